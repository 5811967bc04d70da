// Dark or light: the system's choice, or the reader's where it differs.

import { byId, memory } from "./dom.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

/** @returns {"dark" | "light"} */
function current() {
  const chosen = memory.get("theme");
  if (chosen === "dark" || chosen === "light") return chosen;
  return dark.matches ? "dark" : "light";
}

function apply() {
  document.documentElement.dataset.theme = current();
}

apply(); // at once, before anything is painted

/** Wire the button. @param {() => void} onChange */
export function theme(onChange) {
  const button = byId("theme", HTMLButtonElement);
  const show = () => {
    apply();
    button.ariaLabel = button.title = current() === "dark" ? "Light theme" : "Dark theme";
    onChange();
  };
  button.addEventListener("click", () => {
    const other = current() === "dark" ? "light" : "dark";
    memory.set("theme", (other === "dark") === dark.matches ? null : other);
    show();
  });
  dark.addEventListener("change", show);
  show();
}

// Keys for those who would rather not take the mouse, and files that are dropped.

import { byId, memory } from "./dom.js";

/**
 * @param {{toggle: () => void, finalize: () => void, cut: () => void, filter: () => void}} actions
 */
export function shortcuts(actions) {
  const wanted = keysWanted();
  document.addEventListener("keydown", (event) => {
    if (!wanted.checked) return;
    if (event.defaultPrevented || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target : null;
    if (isTyping(target)) return;
    const action = { f: actions.finalize, c: actions.cut, "/": actions.filter }[event.key.toLowerCase()];
    if (action) {
      event.preventDefault();
      action();
    } else if (event.key === " " && !target?.closest("button, summary, a, input, label")) {
      event.preventDefault();
      actions.toggle();
    }
  });
}

/** The box that switches them off, for who dictates to the browser; kept in this browser. */
function keysWanted() {
  const box = byId("keys", HTMLInputElement);
  const keyed = [...document.querySelectorAll("[aria-keyshortcuts]")].map(
    (element) => /** @type {const} */ ([element, element.getAttribute("aria-keyshortcuts") ?? ""]),
  );
  const tell = () => {
    for (const [element, key] of keyed) {
      if (box.checked) element.setAttribute("aria-keyshortcuts", key);
      else element.removeAttribute("aria-keyshortcuts");
    }
  };
  box.checked = memory.get("keys") !== false;
  box.addEventListener("change", () => {
    memory.set("keys", box.checked ? null : false);
    tell();
  });
  tell();
  return box;
}

/** @param {Element | null} target */
function isTyping(target) {
  if (target instanceof HTMLInputElement) return target.type !== "checkbox" && target.type !== "file";
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/** @param {HTMLElement} curtain shown while a file hangs over the page @param {(file: File) => void} onFile */
export function fileDrop(curtain, onFile) {
  /** @param {DragEvent} event */
  const hasFile = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  document.addEventListener("dragover", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    curtain.classList.add("shown");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) curtain.classList.remove("shown");
  });
  document.addEventListener("drop", (event) => {
    curtain.classList.remove("shown");
    if (!hasFile(event)) return;
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file) onFile(file);
  });
}

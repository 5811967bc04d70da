// Which microphone, and what the browser may do to its sound; kept in this browser.

import { microphones } from "./capture.js";
import { byId, memory } from "./dom.js";

export class Microphone {
  /** @param {() => void} onChange */
  constructor(onChange) {
    this.select = byId("device", HTMLSelectElement);
    this.boxes = [...byId("processing").querySelectorAll("input")];
    /** @type {string} */
    this.remembered = memory.get("device") ?? "";
    const kept = memory.get("processing") ?? {};
    for (const box of this.boxes) box.checked = kept[box.value] === true;
    for (const field of [this.select, ...this.boxes]) {
      field.addEventListener("change", () => {
        memory.set("device", this.device || null);
        memory.set("processing", this.processing);
        onChange();
      });
    }
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.list());
  }

  /** Its id; "" is the system's choice. */
  get device() {
    return this.select.value;
  }

  get name() {
    return this.select.selectedOptions[0]?.textContent ?? "";
  }

  get processing() {
    const chosen = this.boxes.map((box) => [box.value, box.checked]);
    return /** @type {import("./capture.js").Processing} */ (Object.fromEntries(chosen));
  }

  /** Show what there is; a browser names microphones only when one was permitted. */
  async list() {
    const found = (await microphones()).filter(({ deviceId }) => deviceId !== "default");
    const chosen = this.device || this.remembered;
    this.remembered = ""; // a recording may have begun with another one since
    this.select.replaceChildren(
      new Option("Default microphone", ""),
      ...found.map(({ deviceId, label }, index) => new Option(label || `Microphone ${index + 1}`, deviceId)),
    );
    this.select.value = chosen;
    if (this.select.selectedIndex < 0) this.select.value = "";
  }
}

// The buttons that save the newest recording as a file.

import { download } from "./download.js";
import { exported } from "./formats.js";

/** @typedef {import("./recording.js").Recording} Recording */

export class Downloads {
  /**
   * @param {import("./captions.js").Captions} captions
   * @param {(name: string) => void} onMade a file was made without the server
   */
  constructor(captions, onMade) {
    this.captions = captions;
    this.onMade = onMade;
    /** The newest recording of which anything was heard. @type {Recording | null} */
    this.of = null;
    this.buttons = /** @type {HTMLButtonElement[]} */ ([...document.querySelectorAll("[data-export]")]);
    for (const button of this.buttons) button.addEventListener("click", () => this.#save(button.dataset.export ?? ""));
  }

  /** @param {Recording} recording from now on */
  begin(recording) {
    this.of = recording;
    for (const button of this.buttons) button.disabled = false;
  }

  /** What is known here where the server has it no more. @param {string} format */
  #save(format) {
    if (this.of === null) return;
    if (this.of.connection.usable) return this.of.connection.send({ type: "export", format });
    const file = exported(format, this.captions.transcript.turns, this.of.nowMs);
    this.onMade(file.name);
    download(file);
  }
}

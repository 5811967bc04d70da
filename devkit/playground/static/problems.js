// What is wrong now, in sentences, until it is over or dismissed.

import { byId } from "./dom.js";

export class Problems {
  constructor() {
    this.place = byId("problem");
    this.close = byId("problem-close");
    /** @type {Map<string, string>} */
    this.sentences = new Map();
    this.close.addEventListener("click", () => this.clear());
  }

  /** @param {string} what @param {string | null} sentence null when it is over */
  set(what, sentence) {
    if (sentence === null) this.sentences.delete(what);
    else
      this.sentences.set(
        what,
        sentence.replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase()),
      );
    this.#show();
  }

  clear() {
    this.sentences.clear();
    this.#show();
  }

  #show() {
    const text = [...new Set(this.sentences.values())].join("\n");
    if (this.place.textContent !== text) this.place.textContent = text;
    // Who has just used the button is not left nowhere.
    if (text === "" && document.activeElement === this.close) byId("start").focus();
    this.place.hidden = this.close.hidden = text === "";
  }
}

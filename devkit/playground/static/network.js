// The buttons that ask something of the connection: finalize, and cut it to see that nothing is lost.

import { byId } from "./dom.js";

export class Network {
  /** @param {(message: {type: string, [key: string]: unknown}) => void} send */
  constructor(send) {
    this.send = send;
    this.finalizeButton = byId("finalize", HTMLButtonElement);
    this.cutButton = byId("cut", HTMLButtonElement);
    this.seconds = byId("cut-seconds", HTMLSelectElement);
    this.countdown = byId("countdown");
    this.canCut = true;
    this.until = 0;
    this.timer = 0;
    this.finalizeButton.addEventListener("click", () => this.finalize());
    this.cutButton.addEventListener("click", () => this.askCut());
  }

  /** @param {{can_cut?: boolean, cut_note?: string}} hello */
  hello({ can_cut: can, cut_note: note }) {
    this.canCut = can !== false;
    if (!this.canCut && note) this.cutButton.title = note;
  }

  /** @param {boolean} running */
  enable(running) {
    this.finalizeButton.disabled = !running;
    this.cutButton.disabled = this.seconds.disabled = !running || !this.canCut;
  }

  finalize() {
    if (!this.finalizeButton.disabled) this.send({ type: "finalize" });
  }

  askCut() {
    if (!this.cutButton.disabled) this.send({ type: "cut", seconds: Number(this.seconds.value) });
  }

  /** It was cut, for so many seconds. @param {number} seconds */
  cut(seconds) {
    this.until = performance.now() + seconds * 1000;
    clearInterval(this.timer);
    if (seconds > 0) this.timer = setInterval(() => this.#count(), 200);
    this.#count();
  }

  /** For how many ms more it is cut. */
  get leftMs() {
    return Math.max(0, this.until - performance.now());
  }

  over() {
    this.until = 0;
    this.#count();
  }

  #count() {
    const left = Math.ceil(this.leftMs / 1000);
    this.countdown.hidden = left <= 0;
    this.countdown.textContent = left > 0 ? `no network for ${left} s` : "";
    if (left <= 0) clearInterval(this.timer);
  }
}

// The numbers of the recording, from the extension's metrics.

import { byId, write } from "./dom.js";
import { shortTime } from "./latency.js";

/** @typedef {(value: number) => string} Show */

/** Element id, key in the vendor metrics, how it is shown. @type {[string, string, Show][]} */
const FIGURES = [
  ["lost", "lost_ms", shortTime],
  ["lag", "lag_ms", shortTime],
  ["unsettled", "unsettled_ms", shortTime],
  ["final-ms", "final_ms", shortTime],
  ["gated", "gated_ms", shortTime],
  ["replayed", "replayed_ms", shortTime],
  ["sent", "sent_user_ms", shortTime],
  ["reconnects", "reconnects", String],
  ["billed", "billed_seconds", (seconds) => shortTime(seconds * 1000)],
];
const WARM_LAG_MS = 1000;

export class Figures {
  constructor() {
    this.connected = false;
    this.lostMs = NaN;
  }

  begin() {
    this.connected = false;
    this.lostMs = NaN;
    for (const [id, , show] of FIGURES) this.#put(id, 0, show);
    const delay = byId("connect-delay");
    delay.dataset.value = "";
    this.#text(delay, "–");
    this.#word();
  }

  /** While there is no connection, nobody can know what will be missing. @param {boolean} connected */
  service(connected) {
    this.connected = connected;
    this.#word();
  }

  /** Nobody tells any more whether anything was lost. */
  silent() {
    this.service(false);
  }

  /** @param {any} metrics of one `metrics` message */
  take(metrics) {
    if (typeof metrics.connect_delay === "number") this.#put("connect-delay", metrics.connect_delay, shortTime);
    const vendor = metrics.vendor_metrics;
    if (!vendor) return;
    for (const [id, key, show] of FIGURES) if (typeof vendor[key] === "number") this.#put(id, vendor[key], show);
    this.lostMs = vendor.lost_ms ?? this.lostMs;
    this.#word();
  }

  #word() {
    byId("lost-word").hidden = !this.connected || this.lostMs !== 0;
  }

  /** @param {string} id @param {number} value @param {Show} show */
  #put(id, value, show) {
    const figure = byId(id);
    figure.dataset.value = String(value);
    figure.classList.toggle("loud", id === "lost" && value > 0);
    figure.classList.toggle("warm", id === "lag" && value >= WARM_LAG_MS);
    this.#text(figure, show(value));
  }

  /** @param {HTMLElement} figure @param {string} text */
  #text(figure, text) {
    const place = figure.querySelector(".value");
    if (place) write(place, text);
  }
}

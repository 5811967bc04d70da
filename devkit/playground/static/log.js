// The event log: newest last, a line each, the whole message on demand.

import { make } from "./dom.js";
import { Follow } from "./follow.js";
import { LogStore, wanted } from "./log-store.js";

/** @typedef {import("./log-store.js").Kind} Kind */
/** @typedef {import("./log-store.js").Entry} Entry */
/**
 * @typedef {object} Places
 * @property {HTMLElement} list
 * @property {HTMLInputElement} filter
 * @property {HTMLElement} kinds a box for each
 * @property {HTMLElement} newest a button
 * @property {HTMLElement} count
 */

export class Log {
  /** @param {Places} places */
  constructor(places) {
    this.places = places;
    this.store = new LogStore();
    this.follow = new Follow(places.list, places.newest);
    /** @type {Map<number, HTMLElement>} */
    this.nodes = new Map();
    /** @type {Set<Kind>} */
    this.hidden = new Set(["partial"]);
    this.text = "";
    places.filter.addEventListener("input", () => this.#filter());
    places.kinds.addEventListener("change", () => this.#filter());
    places.filter.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      places.filter.value = "";
      this.#filter();
      places.filter.blur();
    });
    this.#filter();
  }

  /** @param {Kind} kind @param {string} name @param {string} summary @param {unknown} [detail] */
  add(kind, name, summary, detail = null) {
    const { entry, gone } = this.store.add(kind, name, summary, detail);
    if (gone) {
      this.nodes.get(gone.number)?.remove();
      this.nodes.delete(gone.number);
    }
    if (wanted(entry, this.text, this.hidden)) this.places.list.append(this.#node(entry));
    this.#count();
    this.follow.grown();
  }

  #filter() {
    this.text = this.places.filter.value.trim().toLowerCase();
    const boxes = [...this.places.kinds.querySelectorAll("input")];
    this.hidden = new Set(boxes.filter((box) => !box.checked).map((box) => /** @type {Kind} */ (box.value)));
    this.nodes.clear();
    const shown = this.store.entries.filter((entry) => wanted(entry, this.text, this.hidden));
    this.places.list.replaceChildren(...shown.map((entry) => this.#node(entry)));
    this.#count();
    this.follow.grown();
  }

  #count() {
    const all = this.store.entries.length;
    const shown = this.places.list.childElementCount;
    this.places.count.textContent = shown === all ? `${all}` : `${shown} of ${all}`;
  }

  /** @param {Entry} entry */
  #node(entry) {
    const node = make("li", `entry ${entry.kind}`);
    const time = make("time", "when", clockOf(entry.time));
    const name = make("span", "name", entry.name);
    const line = make("span", "summary", entry.summary);
    this.nodes.set(entry.number, node);
    if (entry.detail === null) {
      const plain = make("div", "line");
      plain.append(time, name, line);
      node.append(plain);
      return node;
    }
    const details = /** @type {HTMLDetailsElement} */ (make("details"));
    const summary = make("summary", "line");
    summary.append(time, name, line);
    details.append(summary);
    details.addEventListener("toggle", () => {
      if (!details.open) return;
      if (!details.querySelector("pre")) details.append(make("pre", "", JSON.stringify(entry.detail, null, 2)));
      this.follow.stay();
      details.scrollIntoView({ block: "nearest" });
    });
    node.append(details);
    return node;
  }
}

/** @param {Date} time */
function clockOf(time) {
  /** @param {number} number @param {number} [places] */
  const digits = (number, places = 2) => String(number).padStart(places, "0");
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => digits(part)).join(":");
  return `${clock}.${digits(time.getMilliseconds(), 3)}`;
}

// What is said, as it is said.

import { make, write } from "./dom.js";
import { Follow } from "./follow.js";
import { clock, Transcript } from "./transcript.js";

/** @typedef {import("./transcript.js").Turn} Turn */

/** @type {[keyof Turn, string][]} */
const TAGS = [
  ["replayed", "The connection was lost while this was spoken; its audio was sent again on the next one."],
  ["promoted", "A finalize could not wait any longer: this is what was known by then. The rest comes late."],
  ["late", "This came after the finalize that asked for it had been answered."],
];

/** The list of captions; earlier recordings stay above the running one. */
export class Captions {
  /**
   * @param {{list: HTMLElement, empty: HTMLElement, newest: HTMLElement, announcer: HTMLElement}} places
   */
  constructor(places) {
    this.places = places;
    this.follow = new Follow(places.list, places.newest);
    this.transcript = new Transcript();
    /** @type {Map<string, HTMLElement>} */
    this.nodes = new Map();
    this.recordings = 0;
  }

  /** A new recording begins, with its own times. */
  begin() {
    this.transcript = new Transcript();
    this.nodes = new Map();
    this.recordings += 1;
    if (this.places.list.querySelector("[data-turn]") === null) return;
    const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    this.places.list.append(make("li", "divider", `New recording, ${time}`));
    this.follow.atEnd = true;
    this.follow.grown();
  }

  /** Nothing more comes: what is still grey stays as it is, and says so. */
  end() {
    for (const turn of this.transcript.turns) {
      if (turn.final) continue;
      const meta = this.nodes.get(turn.id)?.querySelector(".about");
      if (meta && !meta.querySelector(".unfinished"))
        meta.append(tag("unfinished", "The recording ended before this was final."));
    }
  }

  /** Off the page; a download has it still. */
  clear() {
    this.places.list.replaceChildren();
    this.nodes = new Map();
    this.places.empty.hidden = false;
  }

  /** @param {Turn} turn */
  take(turn) {
    const change = this.transcript.take(turn);
    if (change === null) return;
    const node = this.nodes.get(turn.id);
    if (change.change === "removed") {
      node?.remove();
      this.nodes.delete(turn.id);
      this.places.empty.hidden = this.places.list.childElementCount > 0;
      return;
    }
    this.places.empty.hidden = true;
    const shown = node ?? this.#make(turn.id);
    this.#fill(shown, turn);
    const before = change.before === null ? null : (this.nodes.get(change.before) ?? null);
    if (!node || shown.nextElementSibling !== before) this.places.list.insertBefore(shown, before);
    if (turn.final) this.#announce(turn.text);
    this.follow.grown();
  }

  /** @param {string} id */
  #make(id) {
    const node = make("li", "turn");
    node.dataset.turn = id;
    node.dataset.recording = String(this.recordings);
    const text = make("span", "text");
    text.dir = "auto";
    const time = make("span", "time");
    time.append(make("span"), make("span", "until"));
    node.append(time, text, make("span", "about"));
    this.nodes.set(id, node);
    return node;
  }

  /** @param {HTMLElement} node @param {Turn} turn */
  #fill(node, turn) {
    const [time, text, about] = /** @type {HTMLElement[]} */ ([...node.children]);
    node.classList.toggle("final", turn.final);
    node.classList.toggle("partial", !turn.final);
    node.dataset.startMs = String(turn.startMs);
    node.dataset.endMs = String(turn.endMs);
    const [start, end] = [clock(turn.startMs), clock(turn.endMs)];
    write(time.children[0], start);
    write(time.children[1], turn.final ? ` – ${end}` : ""); // until then it moves with every word
    time.title = turn.final ? `${start} to ${end}` : "";
    write(text, turn.text);
    text.lang = turn.language;
    if (turn.final || about.childElementCount > 0) about.replaceChildren(...aboutOf(turn));
  }

  /** Screen readers hear finals; partials would never let them finish. @param {string} text */
  #announce(text) {
    const { announcer } = this.places;
    announcer.append(make("p", "", text));
    while (announcer.childElementCount > 5) announcer.firstElementChild?.remove();
  }
}

/** @param {Turn} turn */
function aboutOf(turn) {
  const parts = [];
  for (const [name, why] of TAGS) if (turn[name]) parts.push(tag(name, why));
  if (turn.speaker) parts.push(tag(turn.speaker, "Who spoke, as the service tells it."));
  if (turn.language) parts.push(named("language", turn.language, "Language"));
  if (turn.confidence !== null) {
    parts.push(named("confidence", `${Math.round(turn.confidence * 100)} %`, "How sure the recogniser is"));
  }
  return parts;
}

/** @param {string} name @param {string} why */
function tag(name, why) {
  return named(`tag ${name.replace(/\W/g, "-")}`, name, why);
}

/** @param {string} className @param {string} text @param {string} title */
function named(className, text, title) {
  const element = make("span", className, text);
  element.title = title;
  return element;
}

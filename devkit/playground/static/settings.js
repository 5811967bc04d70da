// The form of settings: kept in this browser, sent with a start, and at once while a recording runs.

import { byId, make, memory } from "./dom.js";
import { applies, difference, filled, flatten, given, nest, refusedOf, same } from "./params.js";

/** @typedef {import("./params.js").Values} Values */
/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Field */
/** @typedef {{name: string, streams: boolean, server_turns: boolean, note: string}} Model */

const SEND_AFTER_MS = 300;
const TYPE = "turn_detection.type";
const MODEL = "input_audio_transcription.model";

export class Settings {
  /** @param {(id: number, params: any) => void} send while a recording runs */
  constructor(send) {
    this.send = send;
    this.form = byId("settings", HTMLFormElement);
    this.status = byId("settings-status");
    /** @type {Values} */
    this.defaults = {};
    /** What the recording has; null without one. @type {Values | null} */
    this.inForce = null;
    /** What the server refused and why, until it is changed. @type {{[name: string]: {value: unknown, why: string}}} */
    this.refused = {};
    /** @type {Map<number, Values>} */
    this.underWay = new Map();
    this.lastId = 0;
    /** Of the newest change. */
    this.said = "";
    this.timer = 0;
    /** @type {Model[]} */
    this.models = [];
    this.#restore();
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.#changed());
    this.form.addEventListener("reset", () => setTimeout(() => this.#changed()));
    this.#fit();
  }

  /** What the server said of itself. @param {any} hello */
  hello(hello) {
    this.defaults = flatten(hello.settings);
    this.models = hello.models ?? [];
    byId("models").replaceChildren(
      ...this.models.map((model) => {
        const option = /** @type {HTMLOptionElement} */ (make("option"));
        option.value = model.name;
        return option;
      }),
    );
    for (const field of this.#fields()) {
      const standard = this.defaults[field.name];
      if (
        standard === undefined ||
        field instanceof HTMLSelectElement ||
        typeof standard === "object" ||
        standard === ""
      )
        continue;
      field.placeholder = String(standard);
    }
    this.#fit();
  }

  /** A recording begins: the settings to send with it. */
  begin() {
    clearTimeout(this.timer);
    this.underWay.clear();
    this.refused = {};
    this.inForce = this.#values();
    this.#mark();
    this.#say("", "");
    return nest(given(this.inForce));
  }

  /** The recording is over. */
  end() {
    clearTimeout(this.timer);
    if (this.underWay.size > 0) this.#say("", ""); // nobody answers any more
    this.inForce = null;
    this.underWay.clear();
  }

  /** What the server made of a change. @param {{id: number, code: number, message: string}} answer */
  answered({ id, code, message }) {
    const sent = this.underWay.get(id);
    this.underWay.delete(id);
    if (sent === undefined || this.inForce === null) return;
    if (code === 0) {
      Object.assign(this.inForce, sent);
    } else {
      for (const name of refusedOf(sent, message)) this.refused[name] = { value: sent[name], why: message };
    }
    this.#mark();
    this.#say(code === 0 ? `✓ ${message}` : "", String(code));
    this.#later();
  }

  /** The extension cannot work with what it was started with. @param {string} message */
  blamed(message) {
    const values = this.#values();
    const named = Object.keys(values).filter((name) => message.includes(name));
    for (const name of named) this.refused[name] = { value: values[name], why: "" }; // the page has told it
    this.#mark();
  }

  /** @returns {Field[]} */
  #fields() {
    return /** @type {Field[]} */ ([...this.form.elements].filter((element) => "name" in element && element.name));
  }

  /** What applies, unset where the field is empty. @returns {Values} */
  #values() {
    const type = this.#field(TYPE).value;
    return Object.fromEntries(
      this.#fields()
        .filter((field) => applies(field.name, type) && field.checkValidity())
        .map((field) => [field.name, valueOf(field)]),
    );
  }

  /** @param {string} name @returns {Field} */
  #field(name) {
    return /** @type {Field} */ (this.form.elements.namedItem(name));
  }

  #changed() {
    const kept = Object.fromEntries(this.#fields().map((field) => [field.name, field.value]));
    memory.set("settings", kept);
    this.#fit();
    this.#mark();
    this.#later();
  }

  #later() {
    clearTimeout(this.timer);
    if (this.inForce !== null) this.timer = setTimeout(() => this.#sendChanges(), SEND_AFTER_MS);
  }

  #sendChanges() {
    if (this.inForce === null || this.underWay.size > 0) return; // the answer looks again
    const changes = difference(this.inForce, this.#values());
    for (const [name, { value }] of Object.entries(this.refused))
      if (name in changes && same(changes[name], value)) delete changes[name];
    if (Object.keys(changes).length === 0) return;
    this.lastId += 1;
    this.underWay.set(this.lastId, changes);
    this.#say("Sending…", "");
    this.send(this.lastId, nest(filled(changes, this.defaults)));
  }

  /** Show only what applies, and what is known of the model. */
  #fit() {
    const type = this.#field(TYPE).value;
    for (const field of this.#fields()) {
      const row = field.closest(".field");
      if (row instanceof HTMLElement) row.hidden = !applies(field.name, type);
    }
    const silence = this.#field("turn_detection.silence_duration_ms");
    if (!(silence instanceof HTMLSelectElement))
      silence.placeholder = { server_vad: "500", local_vad: "800" }[type] ?? "800, server 500";
    const name = this.#field(MODEL).value.trim() || String(this.defaults[MODEL] ?? "");
    const model = this.models.find((each) => each.name === name);
    byId("model-note").textContent = model
      ? aboutModel(model)
      : name
        ? "Not a model with known rules; it is asked for all the same."
        : "";
  }

  /** Mark what the server or the browser refuses. */
  #mark() {
    for (const field of this.#fields()) {
      const value = valueOf(field);
      if (field.name in this.refused && !same(this.refused[field.name].value, value)) delete this.refused[field.name];
      const wrong = field.name in this.refused || !field.checkValidity();
      if (wrong) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
      describe(field, this.status.id, field.name in this.refused);
    }
    this.#show();
  }

  /** @param {string} text @param {string} code */
  #say(text, code) {
    this.said = text;
    this.status.dataset.code = code;
    this.#show();
  }

  /** What was refused stays in sight as long as the form has it. */
  #show() {
    const whys = new Set(Object.values(this.refused).map(({ why }) => why));
    const lines = [...whys].map((why) => make("p", "refused", why));
    this.status.replaceChildren(...[...lines, make("p", "", this.said)].filter((line) => line.textContent));
  }

  #restore() {
    const kept = memory.get("settings") ?? {};
    for (const field of this.#fields()) {
      if (typeof kept[field.name] !== "string") continue;
      const before = field.value;
      field.value = field instanceof HTMLSelectElement ? kept[field.name] : clipped(field, kept[field.name]);
      if (field instanceof HTMLSelectElement && field.selectedIndex < 0) field.value = before;
    }
  }
}

/** A field's limit is for who types. @param {HTMLInputElement | HTMLTextAreaElement} field @param {string} text */
function clipped(field, text) {
  return field.maxLength < 0 ? text : text.slice(0, field.maxLength);
}

/** Whether what has this id tells of the field. @param {Field} field @param {string} id @param {boolean} wanted */
function describe(field, id, wanted) {
  const ids = (field.getAttribute("aria-describedby") ?? "").split(" ").filter((each) => each && each !== id);
  if (wanted) ids.push(id);
  if (ids.length > 0) field.setAttribute("aria-describedby", ids.join(" "));
  else field.removeAttribute("aria-describedby");
}

/** @param {Field} field @returns {unknown} */
function valueOf(field) {
  const text = field.value.trim();
  if (field instanceof HTMLInputElement && field.type === "number") return text === "" ? "" : Number(text);
  if (field.dataset.list !== undefined)
    return text
      .split(",")
      .map((word) => word.trim())
      .filter(Boolean);
  return text;
}

/** @param {Model} model */
function aboutModel(model) {
  const parts = [
    model.streams ? "writes while you speak" : "writes when a turn is over",
    model.server_turns ? "can end turns on the server" : "turns end on this side",
    model.note,
  ];
  return `${parts.filter(Boolean).join("; ")}.`;
}

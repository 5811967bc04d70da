// What the page talks to, and how that stands.

import { byId, write } from "./dom.js";

/** @typedef {"idle" | "connecting" | "connected" | "reconnecting" | "offline"} Word */

export class State {
  constructor() {
    this.place = byId("state");
    /** @type {Word} */
    this.service = "connecting";
    this.wasConnected = false;
  }

  /** A recording begins. */
  begin() {
    this.service = "connecting";
    this.wasConnected = false;
  }

  /**
   * The extension tells of its connection. Returns what that is worth in the picture of the recording.
   * @param {{current: string}} payload
   * @returns {"cut" | "back" | null}
   */
  status({ current }) {
    if (current === "connected") {
      const back = this.wasConnected;
      this.service = "connected";
      this.wasConnected = true;
      return back ? "back" : null;
    }
    if (this.service === "offline") return null; // it has given up, until it says otherwise
    this.service = this.wasConnected ? "reconnecting" : "connecting";
    return this.wasConnected ? "cut" : null;
  }

  /** The extension has given up. */
  failed() {
    this.service = "offline";
  }

  /** @param {string} phase of the recording @param {import("./connection.js").Connection | null} connection */
  show(phase, connection) {
    /** @type {Word} */
    let word = this.service;
    if (connection === null || connection.closed) word = "offline";
    else if (!connection.usable) word = "connecting";
    else if (phase === "idle") word = "idle";
    else if (phase === "starting") word = "connecting";
    this.place.dataset.state = document.body.dataset.service = word;
    write(byId("state-word"), word);
  }

  /** @param {any} hello */
  hello({ version, destination }) {
    byId("version").textContent = version ? ` ${version}` : "";
    const { url = "", local = false, note = "" } = destination ?? {};
    const place = byId("place");
    place.textContent = local ? "this machine" : "remote";
    place.classList.toggle("remote", !local);
    const where = byId("where");
    where.textContent = shortUrl(url);
    byId("destination").title = [url, note].filter(Boolean).join("\n");
    const empty = byId("note");
    empty.textContent = note.replace(/-(?=\w)/g, "-\u2060"); // an option's name stays on one line
    empty.hidden = note === "";
  }
}

/** Host and path are what people look for. @param {string} url */
function shortUrl(url) {
  try {
    const { host, pathname } = new URL(url);
    return host + pathname.replace(/\/$/, "");
  } catch {
    return url;
  }
}

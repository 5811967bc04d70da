// The last seconds of a recording: levels, turns and what became of the connection, by ms of audio. No DOM here.

/** @typedef {import("./transcript.js").Turn} Turn */
/** @typedef {{ms: number, kind: "cut" | "back"}} Mark */

export const WINDOW_MS = 20_000;
const KEPT_MS = WINDOW_MS + 5000;
const FLOOR_DB = -54;

export class Timeline {
  constructor() {
    this.nowMs = 0;
    /** @type {{ms: number, peak: number, rms: number}[]} by the start of each block */
    this.levels = [];
    /** @type {Map<string, Turn>} */
    this.turns = new Map();
    /** @type {Mark[]} */
    this.marks = [];
  }

  /** @param {number} ms start of the block @param {number} endMs @param {number} peak @param {number} rms */
  level(ms, endMs, peak, rms) {
    this.levels.push({ ms, peak, rms });
    this.nowMs = endMs;
    if (this.levels[0].ms >= endMs - KEPT_MS - 2000) return;
    this.levels = this.levels.filter((level) => level.ms >= endMs - KEPT_MS);
    this.marks = this.marks.filter((mark, index) => mark.ms >= endMs - KEPT_MS || index === this.marks.length - 1);
    for (const [id, turn] of this.turns) if (turn.endMs < endMs - KEPT_MS) this.turns.delete(id);
  }

  /** @param {Turn} turn */
  turn(turn) {
    if (turn.text.trim() === "") this.turns.delete(turn.id);
    else if (turn.endMs >= this.nowMs - KEPT_MS) this.turns.set(turn.id, turn);
  }

  /** The same twice in a row is one. @param {Mark["kind"]} kind */
  mark(kind) {
    if (this.marks.at(-1)?.kind !== kind) this.marks.push({ ms: this.nowMs, kind });
  }

  /**
   * Loudest peak and RMS of each bar, oldest first. Bars lie at whole multiples of their length, so they do not flicker
   * while the picture moves.
   * @param {number} barMs
   */
  bars(barMs) {
    /** @type {{ms: number, peak: number, rms: number}[]} */
    const bars = [];
    for (const { ms, peak, rms } of this.levels) {
      const start = Math.floor(ms / barMs) * barMs;
      const last = bars.at(-1);
      if (!last || last.ms !== start) bars.push({ ms: start, peak, rms });
      else {
        last.peak = Math.max(last.peak, peak);
        last.rms = Math.max(last.rms, rms);
      }
    }
    return bars;
  }

  /** Stretches without a connection. @returns {{fromMs: number, toMs: number}[]} */
  outages() {
    const outages = [];
    let fromMs = null;
    for (const mark of this.marks) {
      if (mark.kind === "cut") fromMs ??= mark.ms;
      else if (fromMs !== null) {
        outages.push({ fromMs, toMs: mark.ms });
        fromMs = null;
      }
    }
    if (fromMs !== null) outages.push({ fromMs, toMs: this.nowMs });
    return outages;
  }
}

/** How high a bar of this amplitude is, 0 to 1: decibels, as ears hear. @param {number} amplitude */
export function height(amplitude) {
  if (amplitude <= 0) return 0;
  return Math.max(0, 1 - (20 * Math.log10(Math.min(1, amplitude))) / FLOOR_DB);
}

// How long text takes: from the end of the speech to its arrival. No DOM here.

const MARK_EVERY_MS = 100;
const MARKS_KEPT = 3000; // five minutes, more than any replay reaches back
const LATENCIES_KEPT = 500;
const SMALL_LAG_MS = 1000;

/** When which sample was captured: pairs of (ms of audio, performance.now()), bounded. */
export class Clock {
  constructor() {
    /** @type {{ms: number, at: number}[]} */
    this.marks = [];
  }

  /**
   * @param {number} ms audio up to here
   * @param {number} at was there at that moment
   */
  mark(ms, at) {
    const last = this.marks.at(-1);
    if (last && ms - last.ms < MARK_EVERY_MS) return;
    this.marks.push({ ms, at });
    if (this.marks.length > MARKS_KEPT * 1.1) this.marks.splice(0, this.marks.length - MARKS_KEPT);
  }

  /** When the sample at *ms* was captured; null when that is forgotten or is still to come. @param {number} ms */
  capturedAt(ms) {
    const { marks } = this;
    if (marks.length === 0 || ms < marks[0].ms - MARK_EVERY_MS) return null;
    let low = 0;
    let high = marks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (marks[middle].ms < ms) low = middle + 1;
      else high = middle;
    }
    const mark = marks[low];
    if (mark.ms + MARK_EVERY_MS < ms) return null;
    return mark.at + (ms - mark.ms); // audio runs at the speed of time between two marks
  }
}

/** @typedef {{ms: number, spokenAt: number, replayed: boolean, text: string}} Final */
/** @typedef {Final & {counted: boolean}} Latency not counted is what tells of an outage, not of the service */

export class Latencies {
  constructor() {
    /** @type {Latency[]} */
    this.all = [];
    this.connected = false;
    this.lagMs = 0;
    /** From when on speech did not wait for the first connection, or behind speech that had. @type {number | null} */
    this.since = null;
  }

  /** There is a connection. @param {number} now */
  connect(now) {
    this.connected = true;
    this.lag(this.lagMs, now);
  }

  /** So much speech waits to be sent. @param {number} ms @param {number} now */
  lag(ms, now) {
    this.lagMs = ms;
    if (this.connected && ms < SMALL_LAG_MS) this.since ??= now;
  }

  /** @param {Final} final */
  add(final) {
    const counted = !final.replayed && this.since !== null && final.spokenAt >= this.since;
    this.all.push({ ...final, counted });
    if (this.all.length > LATENCIES_KEPT) this.all.shift();
  }

  /** How many tell of the service. */
  get counted() {
    return this.all.filter((latency) => latency.counted).length;
  }

  /** The latency that a share of those that count stay within; null without any. @param {number} share 0 to 1 */
  percentile(share) {
    const sorted = this.all.filter((latency) => latency.counted).map((latency) => latency.ms);
    if (sorted.length === 0) return null;
    sorted.sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))];
  }
}

/** Milliseconds as people read them: 740 ms, 1.2 s. @param {number} ms */
export function shortTime(ms) {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

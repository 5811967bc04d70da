// How long text takes: from the end of the speech to its arrival. No DOM here.

const MARK_EVERY_MS = 100;
const MARKS_KEPT = 3000; // five minutes, more than any replay reaches back
const LATENCIES_KEPT = 500;

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

/** @typedef {{ms: number, replayed: boolean, text: string}} Latency */

export class Latencies {
  constructor() {
    /** @type {Latency[]} */
    this.all = [];
  }

  /** @param {Latency} latency */
  add(latency) {
    this.all.push(latency);
    if (this.all.length > LATENCIES_KEPT) this.all.shift();
  }

  /** How many were not sent again after a drop: those tell of the service, the others of the outage. */
  get counted() {
    return this.all.filter((latency) => !latency.replayed).length;
  }

  /** The latency that a share of those not replayed stay within; null without any. @param {number} share 0 to 1 */
  percentile(share) {
    const sorted = this.all.filter((latency) => !latency.replayed).map((latency) => latency.ms);
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

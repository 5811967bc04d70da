// The level of the last seconds with the turns under it, in one axis of time.

import { font, Picture } from "./canvas.js";
import { height as barHeight, WINDOW_MS } from "./timeline.js";
import { clock } from "./transcript.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./canvas.js").Pen & {x: (ms: number) => number, wave: number}} View
 *   `x` is where a moment is, `wave` how high the level may be */

const LANE = 22;
const AXIS = 16;
const GAP = 6;
const BAR_STEPS_MS = [20, 40, 60, 100, 200];

export class Meter {
  /** @param {HTMLCanvasElement} canvas @param {Timeline} timeline */
  constructor(canvas, timeline) {
    this.canvas = canvas;
    this.timeline = timeline;
    this.small = font(canvas, 11);
    this.picture = new Picture(canvas, (pen) => this.#paint(pen));
  }

  change() {
    this.picture.change();
  }

  recolour() {
    this.picture.recolour();
  }

  /** @param {import("./canvas.js").Pen} pen */
  #paint(pen) {
    const { brush, width, height, colour } = pen;
    const { timeline } = this;
    /** @param {number} ms */
    const x = (ms) => width - ((Math.max(timeline.nowMs, WINDOW_MS) - ms) * width) / WINDOW_MS;
    const view = { ...pen, x, wave: height - LANE - AXIS - GAP };
    brush.font = this.small;
    brush.textBaseline = "middle";
    brush.fillStyle = colour("--outage");
    for (const { fromMs, toMs } of timeline.outages()) brush.fillRect(x(fromMs), 0, x(toMs) - x(fromMs), height - AXIS);
    this.#axis(view);
    this.#wave(view);
    this.#turns(view);
    this.#marks(view);
  }

  /** @param {View} view */
  #axis({ brush, width, height, x, colour }) {
    const to = Math.max(this.timeline.nowMs, WINDOW_MS);
    for (let ms = Math.ceil((to - WINDOW_MS) / 5000) * 5000; ms <= to; ms += 5000) {
      brush.fillStyle = colour("--line");
      brush.fillRect(Math.round(x(ms)), 0, 1, height - AXIS);
      const label = clock(ms).slice(0, -2);
      const half = brush.measureText(label).width / 2;
      brush.fillStyle = colour("--quiet");
      brush.textAlign = "center";
      if (x(ms) > half && x(ms) < width - half) brush.fillText(label, x(ms), height - AXIS / 2 + 1);
    }
  }

  /** @param {View} view */
  #wave({ brush, width, wave, x, colour }) {
    const pxPerMs = width / WINDOW_MS;
    const barMs = BAR_STEPS_MS.find((ms) => ms * pxPerMs >= 2.5) ?? 200;
    const barWidth = Math.max(1, barMs * pxPerMs - 1);
    const middle = wave / 2;
    brush.fillStyle = colour("--line");
    brush.fillRect(0, middle - 0.5, width, 1);
    for (const { ms, peak, rms } of this.timeline.bars(barMs)) {
      const outer = Math.max(1, barHeight(peak) * (wave - 4));
      const inner = barHeight(rms) * (wave - 4);
      brush.fillStyle = colour(peak >= 0.99 ? "--clip" : "--peak");
      brush.fillRect(x(ms), middle - outer / 2, barWidth, outer);
      brush.fillStyle = colour("--level");
      if (inner > 0) brush.fillRect(x(ms), middle - inner / 2, barWidth, inner);
    }
  }

  /** @param {View} view */
  #turns({ brush, width, wave, x, colour }) {
    const top = wave + GAP;
    brush.textAlign = "left";
    for (const turn of this.timeline.turns.values()) {
      const left = x(turn.startMs);
      const wide = Math.max(4, x(turn.endMs) - left);
      if (left > width || left + wide < 0) continue;
      brush.fillStyle = colour(turn.final ? "--final" : "--partial");
      brush.beginPath();
      brush.roundRect(left, top, wide, LANE, 4);
      brush.fill();
      if (wide < 30) continue;
      brush.save();
      brush.clip();
      brush.fillStyle = colour(turn.final ? "--on-final" : "--on-partial");
      const from = Math.max(left, 0) + 7;
      if (left + wide - from > 24) brush.fillText(turn.text, from, top + LANE / 2 + 0.5);
      brush.restore();
    }
  }

  /** @param {View} view */
  #marks({ brush, height, x, colour }) {
    for (const { ms, kind } of this.timeline.marks) {
      const cut = kind === "cut";
      const at = Math.round(x(ms));
      brush.fillStyle = colour(cut ? "--bad" : "--good");
      brush.fillRect(at - 1, 0, 2, height - AXIS);
      brush.textAlign = cut ? "right" : "left"; // the outage lies between the two words
      brush.fillText(kind, cut ? at - 5 : at + 5, 8);
    }
  }
}

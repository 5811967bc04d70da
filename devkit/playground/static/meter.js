// The level of the last seconds with the turns under it, in one axis of time.

import { font, Picture } from "./canvas.js";
import { height as barHeight, WINDOW_MS } from "./timeline.js";
import { clock } from "./transcript.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */

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
    this.picture = new Picture(canvas, (brush, width, height, colour) => this.#paint(brush, width, height, colour));
  }

  change() {
    this.picture.change();
  }

  recolour() {
    this.picture.recolour();
  }

  /**
   * @param {CanvasRenderingContext2D} brush
   * @param {number} width
   * @param {number} height
   * @param {(name: string) => string} colour
   */
  #paint(brush, width, height, colour) {
    const { timeline } = this;
    const pxPerMs = width / WINDOW_MS;
    /** @param {number} ms */
    const x = (ms) => width - (Math.max(timeline.nowMs, WINDOW_MS) - ms) * pxPerMs;
    const wave = height - LANE - AXIS - GAP;
    brush.font = this.small;
    brush.textBaseline = "middle";

    brush.fillStyle = colour("--outage");
    for (const { fromMs, toMs } of timeline.outages()) brush.fillRect(x(fromMs), 0, (toMs - fromMs) * pxPerMs, height - AXIS);
    this.#axis(brush, width, height, x, colour);
    this.#wave(brush, width, wave, pxPerMs, x, colour);
    this.#turns(brush, width, wave + GAP, x, colour);
    this.#marks(brush, height - AXIS, x, colour);
  }

  /** @param {CanvasRenderingContext2D} brush @param {number} width @param {number} height @param {(ms: number) => number} x @param {(name: string) => string} colour */
  #axis(brush, width, height, x, colour) {
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

  /** @param {CanvasRenderingContext2D} brush @param {number} width @param {number} height @param {number} pxPerMs @param {(ms: number) => number} x @param {(name: string) => string} colour */
  #wave(brush, width, height, pxPerMs, x, colour) {
    const barMs = BAR_STEPS_MS.find((ms) => ms * pxPerMs >= 2.5) ?? 200;
    const barWidth = Math.max(1, barMs * pxPerMs - 1);
    const middle = height / 2;
    brush.fillStyle = colour("--line");
    brush.fillRect(0, middle - 0.5, width, 1);
    for (const { ms, peak, rms } of this.timeline.bars(barMs)) {
      const outer = Math.max(1, barHeight(peak) * (height - 4));
      const inner = barHeight(rms) * (height - 4);
      brush.fillStyle = colour(peak >= 0.99 ? "--clip" : "--peak");
      brush.fillRect(x(ms), middle - outer / 2, barWidth, outer);
      brush.fillStyle = colour("--level");
      if (inner > 0) brush.fillRect(x(ms), middle - inner / 2, barWidth, inner);
    }
  }

  /** @param {CanvasRenderingContext2D} brush @param {number} width @param {number} top @param {(ms: number) => number} x @param {(name: string) => string} colour */
  #turns(brush, width, top, x, colour) {
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

  /** @param {CanvasRenderingContext2D} brush @param {number} bottom @param {(ms: number) => number} x @param {(name: string) => string} colour */
  #marks(brush, bottom, x, colour) {
    for (const { ms, kind } of this.timeline.marks) {
      const cut = kind === "cut";
      const at = Math.round(x(ms));
      brush.fillStyle = colour(cut ? "--bad" : "--good");
      brush.fillRect(at - 1, 0, 2, bottom);
      brush.textAlign = cut ? "right" : "left"; // the outage lies between the two words
      brush.fillText(kind, cut ? at - 5 : at + 5, 8);
    }
  }
}

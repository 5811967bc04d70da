// A dot for each final: how long after its speech it came.

import { font, Picture } from "./canvas.js";
import { shortTime } from "./latency.js";

/** @typedef {import("./latency.js").Latencies} Latencies */
/** @typedef {import("./canvas.js").Pen} Pen */

const SHOWN = 60;
const LEFT = 40;
const PAD = 8;
const STEPS = [0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300];

export class LatencyPlot {
  /**
   * @param {{canvas: HTMLCanvasElement, p50: HTMLElement, p95: HTMLElement, count: HTMLElement}} places
   */
  constructor(places) {
    this.places = places;
    /** @type {Latencies | null} */
    this.latencies = null;
    this.small = font(places.canvas, 11);
    this.picture = new Picture(places.canvas, (pen) => this.#paint(pen));
    places.canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX));
  }

  recolour() {
    this.picture.recolour();
  }

  /** @param {Latencies} latencies */
  show(latencies) {
    this.latencies = latencies;
    const p50 = latencies.percentile(0.5);
    const p95 = latencies.percentile(0.95);
    put(this.places.p50, p50);
    put(this.places.p95, p95);
    const others = latencies.all.length - latencies.counted;
    const finals = `${latencies.counted} final${latencies.counted === 1 ? "" : "s"}`;
    const aside = others ? `${others} delayed by an outage (open dots) not counted` : "";
    this.places.count.textContent = [latencies.counted ? finals : "", aside].filter(Boolean).join(", ");
    this.places.canvas.ariaLabel =
      p50 === null || p95 === null
        ? "Latency of each final: none yet"
        : `Latency of ${finals}: half within ${shortTime(p50)}, 95 % within ${shortTime(p95)}`;
    this.picture.change();
  }

  #shown() {
    return this.latencies?.all.slice(-SHOWN) ?? [];
  }

  /** Say what the dot under the pointer is of. @param {number} x */
  #point(x) {
    const shown = this.#shown();
    const dot = shown[Math.round((x - LEFT - PAD) / gapOf(this.places.canvas.clientWidth, shown.length))];
    const why = dot?.replayed ? ", replayed" : ", waited for the first connection";
    this.places.canvas.title = dot ? `${shortTime(dot.ms)}${dot.counted ? "" : why}: ${dot.text}` : "";
  }

  /** @param {Pen} pen */
  #paint(pen) {
    const { brush, width, height, colour } = pen;
    const shown = this.#shown();
    const highest = Math.max(500, ...shown.map((latency) => latency.ms));
    const step = 1000 * (STEPS.find((each) => highest / (each * 1000) <= 4) ?? 300);
    const top = Math.ceil(highest / step) * step;
    /** @param {number} ms */
    const y = (ms) => height - PAD - (Math.max(0, ms) / top) * (height - 2 * PAD);
    brush.font = this.small;
    brush.textBaseline = "middle";
    brush.textAlign = "right";
    for (let ms = 0; ms <= top; ms += step) {
      brush.fillStyle = colour("--line");
      brush.fillRect(LEFT, Math.round(y(ms)), width - LEFT, 1);
      brush.fillStyle = colour("--quiet");
      brush.fillText(`${ms / 1000} s`, LEFT - 8, y(ms));
    }
    this.#percentiles(pen, y);
    const gap = gapOf(width, shown.length);
    shown.forEach(({ ms, counted }, index) => {
      brush.beginPath();
      brush.arc(LEFT + PAD + index * gap, y(ms), 3.5, 0, 2 * Math.PI);
      brush.fillStyle = colour(counted ? "--final" : "--panel");
      brush.strokeStyle = colour(counted ? "--final" : "--bad");
      brush.lineWidth = 1.5;
      brush.fill();
      brush.stroke();
    });
  }

  /** @param {Pen} pen @param {(ms: number) => number} y */
  #percentiles({ brush, width, colour }, y) {
    brush.strokeStyle = colour("--level");
    for (const [share, dash] of [
      [0.5, 6],
      [0.95, 2],
    ]) {
      brush.setLineDash([dash, 3]);
      const ms = this.latencies?.percentile(share);
      if (ms === null || ms === undefined) continue;
      brush.beginPath();
      brush.moveTo(LEFT, y(ms));
      brush.lineTo(width, y(ms));
      brush.stroke();
    }
    brush.setLineDash([]);
  }
}

/** Between two dots. @param {number} width @param {number} count */
function gapOf(width, count) {
  return (width - LEFT - 2 * PAD) / Math.max(12, count - 1);
}

/** @param {HTMLElement} place @param {number | null} ms */
function put(place, ms) {
  place.dataset.value = ms === null ? "" : String(Math.round(ms));
  place.textContent = ms === null ? "–" : shortTime(ms);
}

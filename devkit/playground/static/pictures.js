// What a recording looks like: its level with the turns under it, the figures, and how long its finals took.

import { byId } from "./dom.js";
import { Figures } from "./figures.js";
import { Latencies } from "./latency.js";
import { LatencyPlot } from "./latency-plot.js";
import { Meter } from "./meter.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("./transcript.js").Turn} Turn */

export class Pictures {
  constructor() {
    this.figures = new Figures();
    this.timeline = new Timeline();
    this.latencies = new Latencies();
    this.meter = new Meter(byId("level", HTMLCanvasElement), this.timeline);
    this.plot = new LatencyPlot({
      canvas: byId("latency", HTMLCanvasElement),
      p50: byId("p50"),
      p95: byId("p95"),
      count: byId("latency-count"),
    });
  }

  /** Of a new recording. */
  begin() {
    this.meter.timeline = this.timeline = new Timeline();
    this.latencies = new Latencies();
    this.plot.show(this.latencies);
    this.figures.begin();
    this.meter.change();
  }

  /** @param {number} startMs @param {number} endMs @param {{peak: number, rms: number}} block */
  level(startMs, endMs, { peak, rms }) {
    this.timeline.level(startMs, endMs, peak, rms);
    this.meter.change();
  }

  /** @param {boolean} connected to the service @param {import("./timeline.js").Mark["kind"] | null} mark */
  service(connected, mark) {
    if (connected) this.latencies.connect(performance.now());
    if (mark) this.timeline.mark(mark);
    this.figures.service(connected);
    this.meter.change();
  }

  /** @param {any} metrics of one `metrics` message */
  measured(metrics) {
    this.figures.take(metrics);
    const lagMs = metrics.vendor_metrics?.lag_ms;
    if (typeof lagMs === "number") this.latencies.lag(lagMs, performance.now());
  }

  /** @param {Turn} turn @param {number | null} spokenAt the end of its speech, if that is known */
  turn(turn, spokenAt) {
    this.timeline.turn(turn);
    this.meter.change();
    if (!turn.final || turn.text.trim() === "" || spokenAt === null) return;
    const ms = Math.max(0, performance.now() - spokenAt);
    this.latencies.add({ ms, spokenAt, replayed: turn.replayed, text: turn.text });
    this.plot.show(this.latencies);
  }

  recolour() {
    this.meter.recolour();
    this.plot.recolour();
  }
}

// One recording: what is captured goes to the server, whole and in order, with its place in time.

import { Capture } from "./capture.js";
import { Clock } from "./latency.js";

/** @typedef {import("./capture.js").Block} Block */
/** @typedef {import("./connection.js").Connection} Connection */
/**
 * @typedef {object} Listener
 * @property {(startMs: number, endMs: number, block: Block) => void} onLevel
 * @property {(name: string) => void} onFileEnd
 * @property {(reason: string) => void} onLost
 * @property {(seconds: number) => void} onWaiting audio that waits for the network; 0 when that is over
 */

const WAITING_TOO_LONG_S = 5;
const WAITING_AGAIN_FINE_S = 1;

export class Recording {
  /** @param {Connection} connection @param {Listener} listener */
  constructor(connection, listener) {
    this.connection = connection;
    this.listener = listener;
    this.clock = new Clock();
    this.samples = 0;
    /** Whether the server takes audio. */
    this.open = false;
    /** What was captured before it does. @type {ArrayBuffer[]} */
    this.early = [];
    this.slow = false;
    this.capture = new Capture({
      onBlock: (block) => this.#take(block),
      onFileEnd: (name) => listener.onFileEnd(name),
      onLost: (reason) => listener.onLost(reason),
    });
  }

  get nowMs() {
    const rate = this.capture.sampleRate;
    return rate ? (this.samples * 1000) / rate : 0;
  }

  /** Ask the server for a graph; audio is kept until it is there. @param {any} settings */
  begin(settings) {
    this.connection.send({ type: "start", sample_rate: this.capture.sampleRate, settings });
  }

  /** The server takes audio now. */
  started() {
    this.open = true;
    for (const buffer of this.early.splice(0)) this.connection.sendAudio(buffer);
  }

  /** End the capture; all of it is on its way when this returns. */
  async end() {
    await this.capture.close();
    this.open = false;
  }

  /** @param {Block} block */
  #take(block) {
    const startMs = this.nowMs;
    this.samples += block.samples;
    const endMs = this.nowMs;
    this.clock.mark(endMs, block.at);
    if (this.open) this.connection.sendAudio(block.buffer);
    else this.early.push(block.buffer);
    this.listener.onLevel(startMs, endMs, block);
    this.#watch();
  }

  #watch() {
    const seconds = this.connection.waiting / (2 * this.capture.sampleRate);
    if (seconds > WAITING_TOO_LONG_S) {
      this.slow = true;
      this.listener.onWaiting(seconds);
    } else if (this.slow && seconds < WAITING_AGAIN_FINE_S) {
      this.slow = false;
      this.listener.onWaiting(0);
    }
  }
}

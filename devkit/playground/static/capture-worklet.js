// Runs on the audio thread: what the sources give becomes s16le mono in blocks of 20 ms.

const BLOCK_SECONDS = 0.02;
const QUANTUM = 128;

/**
 * Posts `{buffer, samples, peak, rms, made}` for each block, and `{flushed: true}` when a flush is done.
 * `made` is Date.now() at the block's end: the main thread may hear of it much later.
 */
class Blocks extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(sampleRate * BLOCK_SECONDS);
    this.begun = false;
    this.ended = false;
    this.fresh();
    this.port.onmessage = () => this.flush();
  }

  fresh() {
    this.block = new Int16Array(this.size); // little-endian, as every machine with a browser is
    this.filled = 0;
    this.peak = 0;
    this.squares = 0;
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const channels = inputs[0];
    if (this.ended) return false;
    this.begun ||= channels.length > 0;
    if (!this.begun) return true;
    const frames = channels.length > 0 ? channels[0].length : QUANTUM; // between two sources it is quiet
    for (let at = 0; at < frames; at += 1) {
      let sum = 0;
      for (const channel of channels) sum += channel[at];
      this.take(channels.length > 0 ? sum / channels.length : 0);
    }
    return true;
  }

  /** @param {number} value */
  take(value) {
    const size = Math.abs(value);
    if (size > this.peak) this.peak = size;
    this.squares += value * value;
    this.block[this.filled] = Math.max(-32768, Math.min(32767, Math.round(value * 32768)));
    this.filled += 1;
    if (this.filled === this.size) this.post();
  }

  post() {
    const buffer = this.block.buffer;
    const rms = Math.sqrt(this.squares / Math.max(1, this.filled));
    this.port.postMessage({ buffer, samples: this.size, peak: this.peak, rms, made: Date.now() }, [buffer]);
    this.fresh();
  }

  /** What is left goes out as a whole block, with silence behind it: none of it is lost. */
  flush() {
    this.ended = true;
    if (this.filled > 0) this.post();
    this.port.postMessage({ flushed: true });
  }
}

registerProcessor("blocks", Blocks);

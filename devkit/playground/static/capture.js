// Microphone and files as one stream of blocks for the server.

/**
 * @typedef {{buffer: ArrayBuffer, samples: number, peak: number, rms: number, at: number}} Block
 *   `at` is performance.now() when the block's last sample was there.
 * @typedef {{echoCancellation: boolean, noiseSuppression: boolean, autoGainControl: boolean}} Processing
 * @typedef {object} Listener
 * @property {(block: Block) => void} onBlock
 * @property {(name: string) => void} onFileEnd
 * @property {(reason: string) => void} onLost the microphone went away
 */

const LOWEST_RATE = 8000;
const HIGHEST_RATE = 48000; // what the extension takes
const RESUME_TIMEOUT_MS = 10_000;
const UNTOUCHED_TIMEOUT_MS = 2000;

/** Sources → worklet → blocks. One for each recording. */
export class Capture {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {AudioWorkletNode | null} */
    this.worklet = null;
    /** @type {GainNode | null} */
    this.speaker = null;
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {MediaStreamAudioSourceNode | null} */
    this.microphone = null;
    /** @type {AudioBufferSourceNode | null} */
    this.file = null;
    this.audible = true;
    /** Of microphones: the newest one that was asked for is the one that is wanted. */
    this.requests = 0;
    this.closed = false;
  }

  get sampleRate() {
    return this.context?.sampleRate ?? 0;
  }

  get playing() {
    return this.file !== null;
  }

  /**
   * Take the microphone, in place of the one before.
   * @param {string} device its id, or "" for the system's choice
   * @param {Processing} processing
   */
  async useMicrophone(device, processing) {
    needSecureContext();
    this.requests += 1;
    const request = this.requests;
    const unwanted = () => this.closed || request !== this.requests;
    const stream = await openMicrophone(device, processing).catch((error) => {
      if (!unwanted()) throw error;
    });
    if (!stream) return;
    const track = stream.getAudioTracks()[0];
    let microphone;
    try {
      if (!unwanted()) await this.#ready(track.getSettings().sampleRate);
      if (unwanted() || this.context === null) return endOf(stream);
      microphone = this.context.createMediaStreamSource(stream); // may fail; the one before is listened to then
    } catch (error) {
      endOf(stream);
      throw error;
    }
    this.#dropMicrophone();
    this.stream = stream;
    this.microphone = microphone;
    track.addEventListener("ended", () => {
      if (this.stream !== stream || this.closed) return;
      this.listener.onLost(`The microphone “${track.label}” went away.`);
    });
    if (!this.playing) microphone.connect(/** @type {AudioWorkletNode} */ (this.worklet));
  }

  /**
   * Play a file in real time; a microphone is not listened to meanwhile.
   * @param {File} file
   * @param {boolean} audible
   */
  async playFile(file, audible) {
    needSecureContext();
    await this.#ready();
    const context = /** @type {AudioContext} */ (this.context);
    const sound = await context.decodeAudioData(await file.arrayBuffer());
    if (this.closed) return;
    this.#dropFile();
    this.microphone?.disconnect();
    const source = context.createBufferSource();
    source.buffer = sound;
    source.connect(/** @type {AudioWorkletNode} */ (this.worklet));
    source.connect(/** @type {GainNode} */ (this.speaker));
    source.onended = () => {
      if (this.file !== source || this.closed) return;
      this.#dropFile();
      this.microphone?.connect(/** @type {AudioWorkletNode} */ (this.worklet));
      this.listener.onFileEnd(file.name);
    };
    this.file = source;
    this.setAudible(audible);
    source.start();
  }

  /** @param {boolean} audible whether a file is heard in the room */
  setAudible(audible) {
    this.audible = audible;
    if (this.speaker) this.speaker.gain.value = audible ? 1 : 0;
  }

  /** End it; the last block has been given to the listener when this returns. */
  async close() {
    if (this.closed) return;
    this.closed = true;
    if (this.worklet && this.context?.state === "running") await flushed(this.worklet);
    if (this.worklet) this.worklet.port.onmessage = null;
    this.#dropFile();
    this.#dropMicrophone();
    await this.context?.close();
  }

  /** @param {number} [wanted] the rate of the device, if that is known */
  async #ready(wanted) {
    if (this.context === null) {
      const context = contextAt(wanted);
      this.context = context;
      await context.audioWorklet.addModule("/static/capture-worklet.js");
      this.speaker = new GainNode(context);
      this.speaker.connect(context.destination);
      this.worklet = new AudioWorkletNode(context, "blocks", { numberOfInputs: 1, numberOfOutputs: 1 });
      this.worklet.port.onmessage = (event) => this.#take(event.data);
      this.worklet.onprocessorerror = () => this.listener.onLost("The browser's audio failed.");
      this.worklet.connect(context.destination); // silent; some browsers run only what is connected
      context.addEventListener("statechange", () => {
        if (!this.closed && context.state !== "running" && context.state !== "closed") context.resume().catch(() => {});
      });
    }
    if (this.context.state !== "running") await resumed(this.context);
  }

  /** @param {any} data */
  #take(data) {
    if (data.flushed) return;
    const age = Math.max(0, Date.now() - data.made);
    this.listener.onBlock({ ...data, at: performance.now() - age });
  }

  #dropMicrophone() {
    this.microphone?.disconnect();
    this.microphone = null;
    const stream = this.stream;
    this.stream = null;
    if (stream) endOf(stream);
  }

  #dropFile() {
    const source = this.file;
    this.file = null;
    if (!source) return;
    source.onended = null;
    source.stop();
    source.disconnect();
  }
}

/** @param {MediaStream} stream */
function endOf(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** @param {AudioWorkletNode} worklet */
function flushed(worklet) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 500); // a context that was suspended never answers
    worklet.port.addEventListener("message", (event) => {
      if (!event.data.flushed) return;
      clearTimeout(timer);
      resolve(undefined);
    });
    worklet.port.postMessage("flush");
  });
}

/** A browser leaves it waiting, without a word, until somebody has touched the page. @param {AudioContext} context */
async function resumed(context) {
  const limit = navigator.userActivation?.hasBeenActive === false ? UNTOUCHED_TIMEOUT_MS : RESUME_TIMEOUT_MS;
  /** @type {Promise<void>} */
  const tooLong = new Promise((_, reject) => {
    setTimeout(() => reject(new DOMException("", "SilentContextError")), limit);
  });
  await Promise.race([context.resume(), tooLong]);
}

/** @param {number} [wanted] */
function contextAt(wanted) {
  const fits = wanted !== undefined && wanted >= LOWEST_RATE && wanted <= HIGHEST_RATE;
  const context = fits ? new AudioContext({ sampleRate: wanted }) : new AudioContext();
  if (context.sampleRate <= HIGHEST_RATE) return context;
  context.close();
  return new AudioContext({ sampleRate: HIGHEST_RATE });
}

/**
 * @param {string} device
 * @param {Processing} processing
 */
async function openMicrophone(device, processing) {
  const audio = { ...processing, ...(device ? { deviceId: { exact: device } } : {}) };
  return navigator.mediaDevices.getUserMedia({ audio });
}

/** Neither a microphone nor an AudioWorklet is to be had elsewhere. */
export function needSecureContext() {
  if (!window.isSecureContext) throw new DOMException("", "InsecureContextError");
}

/** The microphones there are; without names until one was permitted. */
export async function microphones() {
  if (!navigator.mediaDevices?.enumerateDevices) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId !== "");
}

const REMEDIES = new Map([
  [
    "NotAllowedError",
    "The browser was not allowed to use the microphone. Allow it in the site's settings (the icon left of the " +
      "address) and press Start again, or play a file.",
  ],
  ["NotFoundError", "No microphone was found. Plug one in and press Start again, or play a file."],
  ["OverconstrainedError", "The chosen microphone is not there any more. Choose another one and press Start again."],
  [
    "NotReadableError",
    "The microphone could not be opened; another program may be using it. Close that and press Start again.",
  ],
  [
    "InsecureContextError",
    "A browser records only on pages of this machine or over https: open the page as http://127.0.0.1, or start the " +
      "playground with --tls-cert and --tls-key.",
  ],
  [
    "SilentContextError",
    "The browser's audio does not start. It plays nothing on a page that nobody has touched yet: click the page once " +
      "and drop the file again.",
  ],
  [
    "NotSupportedError",
    "The browser cannot take this microphone at the sample rate that the recording has. Stop, choose it, and press " +
      "Start again.",
  ],
  ["EncodingError", "The browser cannot decode this file. WAV, MP3, FLAC, M4A and OGG usually work."],
]);

/**
 * What went wrong and what to do, as a sentence.
 * @param {unknown} error
 */
export function whatToDo(error) {
  if (error instanceof Error)
    return REMEDIES.get(error.name) ?? `The audio could not be opened: ${error.message || error.name}.`;
  return `The audio could not be opened: ${error}.`;
}

// Whether there is no way to the speech service, and why: a sentence once that lasts. No DOM here.

/** A short drop is nobody's business: nothing is lost, and the state in the head of the page tells it. */
const PATIENCE_MS = 2000;
/** What the extension says of the playground's own way to the service, in words for whoever has set up no proxy. */
const PLAINLY = [
  ["the proxy answered HTTP 502 cannot connect", "cannot connect"],
  ["the proxy closed the connection, or its answer is not HTTP", "no network"],
];

export class Outage {
  /**
   * @param {(sentence: string | null) => void} tell
   * @param {() => number} wanted for how many ms more somebody wants there to be no connection
   */
  constructor(tell, wanted) {
    this.tell = tell;
    this.wanted = wanted;
    this.timer = 0;
    this.running = false;
    this.dialling = false;
    this.wasConnected = false;
    /** In the words of the connection, which are for programs too. */
    this.cause = "";
    /** What the service said itself, until the status has it. */
    this.words = "";
    this.reason = "";
    this.told = "";
  }

  /** A recording begins. */
  begin() {
    this.running = true;
    this.wasConnected = false;
    this.#over();
  }

  /** The extension tells of its connection. @param {{current: string, message?: string}} status */
  status({ current, message = "" }) {
    this.dialling = current === "connecting";
    if (current === "connected") {
      this.wasConnected = true;
      if (this.told) this.tell(null);
      this.#over();
    } else if (current === "disconnected" && this.running) {
      // An error that repeats is told once.
      if (this.words || message !== this.cause) this.reason = this.words || message;
      this.cause = message;
      this.words = "";
      if (this.told || !this.wasConnected) this.#say();
      else if (this.timer === 0) this.#wait(PATIENCE_MS);
    }
  }

  /** An error that comes while it dials is of that. @param {string} words of the service */
  error(words) {
    if (this.dialling) this.words = words;
  }

  /** The recording is over; what was wrong then is told still. */
  end() {
    this.running = false;
    if (this.told) this.tell(`There was no connection to the speech service${because(this.reason)}.`);
    this.#over();
  }

  /** The extension has said itself why it goes on no more. */
  failed() {
    this.running = false;
    this.#over();
  }

  #over() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.cause = this.words = this.reason = this.told = "";
  }

  /** @param {number} ms */
  #wait(ms) {
    this.timer = setTimeout(() => {
      const wanted = this.wanted();
      if (wanted > 0) this.#wait(wanted + PATIENCE_MS);
      else this.#say();
    }, ms);
  }

  /** Once each: it may have been dismissed. */
  #say() {
    const what = `No connection to the speech service${because(this.reason)}.`;
    const sentence = `${what} What you say is kept, and captioned once it answers.`;
    if (sentence !== this.told) this.tell(sentence);
    this.told = sentence;
  }
}

/** @param {string} reason */
function because(reason) {
  return reason ? `: ${reason.replace(/\.$/, "")}` : "";
}

/** What the extension says of a connection that can be cut: that goes through a proxy. @param {string} message */
export function plainly(message) {
  return PLAINLY.reduce((text, [said, plain]) => text.replace(said, plain), message);
}

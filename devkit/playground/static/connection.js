// The WebSocket to the server of this page.

/**
 * @typedef {object} Listener
 * @property {(message: any) => void} onMessage
 * @property {(why: string) => void} onClose
 */

const GONE = "The connection to the server of this page is gone.";
const UNREACHABLE = "The server of this page cannot be reached.";
const REASONS = new Map([
  [4429, "The server has as many pages as it takes: close another one."],
  [1012, "The server has stopped."],
]);
const REFUSAL_TIMEOUT_MS = 5000;

/** One connection; a new one is made after it has closed. */
export class Connection {
  /**
   * @param {string} url
   * @param {Listener} listener
   */
  constructor(url, listener) {
    let opened = false;
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("open", () => (opened = true));
    this.socket.addEventListener("message", (event) => listener.onMessage(JSON.parse(event.data)));
    this.socket.addEventListener("close", async (event) =>
      listener.onClose(opened ? reasonOf(event) : await refusal()),
    );
  }

  get usable() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  get closed() {
    return this.socket.readyState >= WebSocket.CLOSING;
  }

  /** Bytes that wait for the network. */
  get waiting() {
    return this.socket.bufferedAmount;
  }

  /** @param {{type: string, [key: string]: unknown}} message */
  send(message) {
    if (this.usable) this.socket.send(JSON.stringify(message));
  }

  /** @param {ArrayBuffer} audio */
  sendAudio(audio) {
    if (this.usable) this.socket.send(audio);
  }
}

/** Where the server of this page listens. @param {Location} location */
export function liveUrl(location) {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`;
}

/** @param {CloseEvent} event */
function reasonOf(event) {
  const known = REASONS.get(event.code);
  if (known) return known;
  return event.reason ? `The server closed the connection: ${event.reason}.` : GONE;
}

/** Why there was no WebSocket: a browser does not tell a page, so the page asks for itself again. */
async function refusal() {
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(REFUSAL_TIMEOUT_MS) });
    const why = answer.ok ? "" : (await answer.text()).trim();
    return why || UNREACHABLE;
  } catch {
    return UNREACHABLE;
  }
}

// The turns of a recording, by id, in the order of the audio. No DOM here.

/**
 * @typedef {object} Turn
 * @property {string} id
 * @property {string} text
 * @property {boolean} final
 * @property {number} startMs
 * @property {number} endMs
 * @property {string} language "" when unknown
 * @property {number | null} confidence 0 to 1
 * @property {string} speaker
 * @property {boolean} replayed
 * @property {boolean} promoted
 * @property {boolean} late
 * @property {any} payload the `asr_result` it is of
 * @typedef {{turn: Turn, change: "added" | "changed" | "removed", before: string | null}} Change
 *   `before` is the id of the turn that follows, for who shows them in order
 */

/** @param {any} payload of an `asr_result` @returns {Turn} */
export function turnOf(payload) {
  const info = payload.metadata?.asr_info ?? {};
  return {
    id: String(payload.id),
    text: String(payload.text ?? ""),
    final: payload.final === true,
    startMs: Number(payload.start_ms) || 0,
    endMs: (Number(payload.start_ms) || 0) + (Number(payload.duration_ms) || 0),
    language: payload.language && payload.language !== "und" ? String(payload.language) : "",
    confidence: typeof info.confidence === "number" ? info.confidence : null,
    speaker: info.speaker ? String(info.speaker) : "",
    replayed: info.replayed === true,
    promoted: info.promoted === true,
    late: info.late === true,
    payload,
  };
}

export class Transcript {
  constructor() {
    /** @type {Turn[]} sorted by start */
    this.turns = [];
    /** @type {Map<string, Turn>} */
    this.byId = new Map();
  }

  /**
   * Take a result. A final without text takes back what was shown of it.
   * @param {Turn} turn
   * @returns {Change | null} null if nothing is to be shown
   */
  take(turn) {
    const known = this.byId.get(turn.id);
    if (known) this.#remove(known);
    if (turn.text.trim() === "") return known ? { turn, change: "removed", before: null } : null;
    const index = this.#placeOf(turn.startMs);
    this.turns.splice(index, 0, turn);
    this.byId.set(turn.id, turn);
    return { turn, change: known ? "changed" : "added", before: this.turns[index + 1]?.id ?? null };
  }

  /** @param {Turn} turn */
  #remove(turn) {
    this.byId.delete(turn.id);
    this.turns.splice(this.turns.lastIndexOf(turn), 1);
  }

  /** Behind all that begin no later; nearly always at the end, so the search begins there. @param {number} startMs */
  #placeOf(startMs) {
    let index = this.turns.length;
    while (index > 0 && this.turns[index - 1].startMs > startMs) index -= 1;
    return index;
  }
}

/** m:ss.s, as captions show times. @param {number} ms */
export function clock(ms) {
  const tenths = Math.round(Math.max(0, ms) / 100);
  const seconds = Math.floor(tenths / 10);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}.${tenths % 10}`;
}

// The newest entries of the event log, and which of them are wanted. No DOM here.

/** @typedef {"result" | "partial" | "metrics" | "status" | "error" | "settings" | "page"} Kind */
/** @typedef {{number: number, kind: Kind, name: string, summary: string, detail: unknown, time: Date}} Entry */

export const KEPT = 2000;
const PARTIALS_KEPT = 600;

export class LogStore {
  constructor() {
    /** @type {Entry[]} */
    this.entries = [];
    this.partials = 0;
    this.count = 0;
  }

  /**
   * Add an entry; returns it and what had to go for it. Partials are many, so they give way first.
   * @param {Kind} kind
   * @param {string} name
   * @param {string} summary
   * @param {unknown} detail
   */
  add(kind, name, summary, detail) {
    this.count += 1;
    const entry = { number: this.count, kind, name, summary, detail, time: new Date() };
    this.entries.push(entry);
    if (kind === "partial") this.partials += 1;
    const tooMany = this.partials > PARTIALS_KEPT;
    if (!tooMany && this.entries.length <= KEPT) return { entry, gone: null };
    const index = tooMany ? this.entries.findIndex((each) => each.kind === "partial") : 0;
    const [gone] = this.entries.splice(index, 1);
    if (gone.kind === "partial") this.partials -= 1;
    return { entry, gone };
  }
}

/** @param {Entry} entry @param {string} text lower case @param {Set<Kind>} hidden */
export function wanted(entry, text, hidden) {
  if (hidden.has(entry.kind)) return false;
  return text === "" || `${entry.name} ${entry.summary} ${JSON.stringify(entry.detail)}`.toLowerCase().includes(text);
}

/**
 * Kind and one line for a message of the extension.
 * @param {string} name
 * @param {any} payload
 * @returns {{kind: Kind, summary: string}}
 */
export function told(name, payload) {
  switch (name) {
    case "asr_result":
      return { kind: payload.final ? "result" : "partial", summary: payload.text || "(taken back)" };
    case "metrics":
      return { kind: "metrics", summary: numbers(payload.metrics) };
    case "connection_status_changed":
      return { kind: "status", summary: [payload.current, payload.message].filter(Boolean).join(": ") };
    case "error":
      return { kind: "error", summary: payload.message };
    case "asr_finalize_end":
      return { kind: "result", summary: "the finalize is answered" };
    default:
      return { kind: "status", summary: "" };
  }
}

/** @param {any} metrics */
function numbers(metrics) {
  const { vendor_metrics: vendor, ...rest } = metrics ?? {};
  const few = vendor
    ? { final: vendor.final_ms, unsettled: vendor.unsettled_ms, lag: vendor.lag_ms, lost: vendor.lost_ms }
    : {};
  return Object.entries({ ...rest, ...few })
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} ${value}`)
    .join(", ");
}

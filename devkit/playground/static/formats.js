// A transcript as a file, made here when the server cannot be asked any more; as its own are. No DOM here.

/** @typedef {import("./transcript.js").Turn} Turn */

/** Media type and content. @type {Map<string, [string, (turns: Turn[], durationMs: number) => string]>} */
const FORMATS = new Map([
  ["txt", ["text/plain", asText]],
  ["srt", ["application/x-subrip", asSrt]],
  ["vtt", ["text/vtt", asVtt]],
  ["json", ["application/json", asJson]],
]);
/** Languages written without spaces between sentences. */
const UNSPACED = new Set(["zh", "ja", "th", "lo", "km", "my", "yue"]);

/**
 * @param {string} format its ending
 * @param {Turn[]} turns in the order of the audio
 * @param {number} durationMs of the recording
 */
export function exported(format, turns, durationMs) {
  const known = FORMATS.get(format);
  if (known === undefined) throw new Error(`there is no format ${format}`);
  const [mediaType, write] = known;
  return { name: `transcript.${format}`, media_type: mediaType, content: write(turns, durationMs) };
}

/** @param {Turn[]} turns */
function asText(turns) {
  return turns.map((turn) => `${turn.text.trim()}\n`).join("");
}

/** @param {Turn[]} turns */
function asSrt(turns) {
  return turns.map((turn, index) => `${index + 1}\n${span(turn, ",")}\n${oneLine(turn.text)}\n`).join("\n");
}

/** @param {Turn[]} turns */
function asVtt(turns) {
  return ["WEBVTT\n", ...turns.map((turn) => `\n${span(turn, ".")}\n${escaped(oneLine(turn.text))}\n`)].join("");
}

/** @param {Turn[]} turns @param {number} durationMs */
function asJson(turns, durationMs) {
  const language = languageOf(turns);
  const space = UNSPACED.has(language.split("-")[0]) ? "" : " ";
  const all = {
    file: "live",
    text: turns.map((turn) => turn.text.trim()).join(space),
    duration_ms: Math.floor(durationMs),
    language,
    segments: turns.map(segment),
  };
  return `${JSON.stringify(all)}\n`;
}

/** One that nobody will finish says so. @param {Turn} turn */
function segment({ id, text, final, startMs, endMs, payload }) {
  const info = payload.metadata?.asr_info ?? {};
  return {
    id,
    start_ms: startMs,
    duration_ms: endMs - startMs,
    text: text.trim(),
    language: payload.language ?? "und",
    asr_info: final ? info : { ...info, partial: true },
    words: payload.words ?? [],
  };
}

/** What most of the speech is in. @param {Turn[]} turns */
function languageOf(turns) {
  /** @type {Map<string, number>} */
  const spoken = new Map();
  for (const { payload, startMs, endMs } of turns) {
    const language = payload.language ?? "und";
    spoken.set(language, (spoken.get(language) ?? 0) + endMs - startMs);
  }
  const [most] = [...spoken].sort(([, one], [, other]) => other - one);
  return most ? most[0] : "und";
}

/** @param {Turn} turn @param {string} point before the milliseconds */
function span({ startMs, endMs }, point) {
  return `${clock(startMs, point)} --> ${clock(endMs, point)}`;
}

/** @param {number} ms @param {string} point */
function clock(ms, point) {
  const seconds = Math.floor(ms / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":") + point + String(ms % 1000).padStart(3, "0");
}

/** A blank line would end the cue. @param {string} text */
function oneLine(text) {
  return text.trim().split(/\s+/).join(" ");
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

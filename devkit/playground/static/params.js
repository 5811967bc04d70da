// Settings as the form has them (dotted names) and as the server wants them (nested). No DOM here.

/** @typedef {{[name: string]: unknown}} Values by dotted name; "" and [] are unset */

/** @param {any} nested @param {string} [prefix] @returns {Values} */
export function flatten(nested, prefix = "") {
  /** @type {Values} */
  const values = {};
  for (const [key, value] of Object.entries(nested ?? {})) {
    const name = prefix + key;
    if (value !== null && typeof value === "object" && !Array.isArray(value))
      Object.assign(values, flatten(value, `${name}.`));
    else values[name] = value;
  }
  return values;
}

/** @param {Values} values */
export function nest(values) {
  /** @type {any} */
  const nested = {};
  for (const [name, value] of Object.entries(values)) {
    const keys = name.split(".");
    const last = /** @type {string} */ (keys.pop());
    let place = nested;
    for (const key of keys) place = place[key] ??= {};
    place[last] = value;
  }
  return nested;
}

/** What *after* says otherwise than *before*. @param {Values} before @param {Values} after @returns {Values} */
export function difference(before, after) {
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => !same(before[name], value)));
}

/** What is set at all. @param {Values} values @returns {Values} */
export function given(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => !same(value, "")));
}

/**
 * A change as it is asked for: what was emptied goes back to what the playground was started with.
 * @param {Values} changes
 * @param {Values} defaults
 * @returns {Values}
 */
export function filled(changes, defaults) {
  const full = { ...changes };
  for (const name of Object.keys(full)) if (same(full[name], "")) full[name] = defaults[name] ?? full[name];
  return full;
}

/** Unset is unset, and lists are compared by what is in them. @param {unknown} one @param {unknown} other */
export function same(one, other) {
  return JSON.stringify(emptied(one)) === JSON.stringify(emptied(other));
}

/** @param {unknown} value */
function emptied(value) {
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0) ? "" : value;
}

/** Which kinds of turn detection have a number; the others keep it to themselves. */
const APPLIES = new Map([
  ["turn_detection.threshold", ["auto", "server_vad", "local_vad"]],
  ["turn_detection.prefix_padding_ms", ["auto", "server_vad", "local_vad"]],
  ["turn_detection.silence_duration_ms", ["auto", "server_vad", "local_vad"]],
  ["turn_detection.min_speech_ms", ["auto", "local_vad"]],
  ["turn_detection.eagerness", ["semantic_vad"]],
]);

/** @param {string} name @param {string} type of the turn detection */
export function applies(name, type) {
  return APPLIES.get(name)?.includes(type) ?? true;
}

/**
 * Which of the values that were sent a refusal means: those it names, or all of them.
 * @param {Values} sent
 * @param {string} message
 */
export function refusedOf(sent, message) {
  const names = Object.keys(sent);
  const named = names.filter((name) => message.includes(name));
  return named.length > 0 ? named : names;
}

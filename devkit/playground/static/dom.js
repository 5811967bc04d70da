// Small helpers for the document.

/**
 * The element with this id; the page is broken without it.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {{new(): T}} [type]
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (element === null || (type && !(element instanceof type))) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (element);
}

/**
 * A new element with a class and a text; text is never read as HTML.
 * @param {string} tag
 * @param {string} [className]
 * @param {string} [text]
 */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** Write only what changed: a write costs layout. @param {Element} element @param {string} text */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** What the page remembers in this browser; a browser that forbids it forgets. */
export const memory = {
  /** @param {string} key @returns {any} */
  get(key) {
    try {
      return JSON.parse(localStorage.getItem(`openai-asr.${key}`) ?? "null");
    } catch {
      return null;
    }
  },
  /** @param {string} key @param {unknown} value null forgets */
  set(key, value) {
    try {
      if (value === null) localStorage.removeItem(`openai-asr.${key}`);
      else localStorage.setItem(`openai-asr.${key}`, JSON.stringify(value));
    } catch {
      // nothing is remembered then
    }
  },
};

// The button that starts and stops, and ends the wait for the last words. Once it can be used it is never `disabled`:
// that would take the keyboard's focus away.

import { byId } from "./dom.js";

/** These may take long after an outage. Not at once: a second press on Stop is no wish to lose them. */
const HURRY_AFTER_MS = 3000;
const WORDS = { idle: "Start", starting: "Starting…", recording: "Stop", stopping: "Finishing…" };

export class StartButton {
  /** @param {() => void} onPress */
  constructor(onPress) {
    this.button = byId("start", HTMLButtonElement);
    this.button.addEventListener("click", onPress);
    this.timer = 0;
    this.usable = false;
  }

  /** @param {keyof typeof WORDS} phase of the recording */
  show(phase) {
    clearTimeout(this.timer);
    if (phase === "stopping") this.timer = setTimeout(() => this.#offerHurry(), HURRY_AFTER_MS);
    this.button.textContent = WORDS[phase];
    this.button.disabled = false;
    this.#allow(phase === "idle" || phase === "recording");
    this.button.classList.toggle("running", phase === "recording");
  }

  /** Whether it may be pressed; then it may not any more. */
  take() {
    const { usable } = this;
    this.#allow(false);
    return usable;
  }

  #offerHurry() {
    this.button.textContent = "Stop waiting";
    this.#allow(true);
  }

  /** @param {boolean} usable */
  #allow(usable) {
    this.usable = usable;
    this.button.ariaDisabled = String(!usable);
  }
}

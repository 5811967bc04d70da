// A list that grows at its end and scrolls along as long as its reader is there.

const NEAR_PX = 40;

export class Follow {
  /**
   * @param {HTMLElement} box what scrolls
   * @param {HTMLElement} button leads to the newest; shown while the reader is elsewhere
   */
  constructor(box, button) {
    this.box = box;
    this.button = button;
    this.atEnd = true;
    this.pending = false;
    this.top = 0;
    box.addEventListener("scroll", () => this.#look(), { passive: true });
    button.addEventListener("click", () => {
      this.atEnd = true;
      button.hidden = true;
      this.#scroll();
      box.focus({ preventScroll: true });
    });
    new ResizeObserver(() => this.grown()).observe(box);
  }

  /** The reader looks at something here. */
  stay() {
    this.atEnd = false;
    this.grown();
  }

  /** Something was added or became larger. */
  grown() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      if (this.atEnd) this.#scroll();
      else this.button.hidden = this.#isNear();
    });
  }

  /** Only a move upwards leaves the end: the list may have grown since our own scroll, which this event tells of. */
  #look() {
    const upwards = this.box.scrollTop < this.top;
    this.top = this.box.scrollTop;
    if (this.#isNear()) {
      this.atEnd = true;
      this.button.hidden = true;
    } else if (upwards) {
      this.atEnd = false;
    }
  }

  #isNear() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_PX;
  }

  #scroll() {
    this.box.scrollTop = this.box.scrollHeight;
    this.top = this.box.scrollTop;
  }
}

// What both pictures share: sharp pixels, colours of the theme, and no work that nobody sees.

/**
 * @typedef {object} Pen
 * @property {CanvasRenderingContext2D} brush
 * @property {number} width
 * @property {number} height
 * @property {(name: string) => string} colour of a custom property of the style sheet
 */

/** A canvas that is painted when something changed and it can be seen. */
export class Picture {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(pen: Pen) => void} paint
   */
  constructor(canvas, paint) {
    this.canvas = canvas;
    this.paint = paint;
    this.brush = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.visible = true;
    this.asked = false;
    /** @type {Map<string, string>} */
    this.colours = new Map();
    new ResizeObserver(() => this.change()).observe(canvas);
    new IntersectionObserver((entries) => {
      this.visible = entries.at(-1)?.isIntersecting ?? true;
      this.change();
    }).observe(canvas);
  }

  /** Something changed. */
  change() {
    if (this.asked || !this.visible) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.#draw();
    });
  }

  /** The theme has other colours. */
  recolour() {
    this.colours.clear();
    this.change();
  }

  #draw() {
    const { canvas, brush } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (width === 0 || height === 0) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    brush.clearRect(0, 0, width, height);
    this.paint({ brush, width, height, colour: (name) => this.#colour(name) });
  }

  /** A custom property of the style sheet as a colour that a canvas understands. @param {string} name */
  #colour(name) {
    let colour = this.colours.get(name);
    if (colour === undefined) {
      this.canvas.style.color = `var(${name})`;
      colour = getComputedStyle(this.canvas).color;
      this.colours.set(name, colour);
    }
    return colour;
  }
}

/** The page's own font in a size. @param {HTMLElement} element @param {number} px */
export function font(element, px) {
  return `${px}px ${getComputedStyle(element).fontFamily}`;
}

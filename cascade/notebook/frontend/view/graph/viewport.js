/**
 * Size of the picture and of the room → where the picture stands. Fits at the start and never enlarges by itself;
 * whoever zooms or pans keeps the place they chose.
 */

export const TALLEST = 420;
/** The smallest scale at which text is read with ease, and with some effort. */
const READABLE = 0.75;
const SMALL = 0.6;
const LEAST = 0.05;
const MOST = 2;

export class Viewport {
  k = 1;
  x = 0;
  y = 0;
  width = 0;
  height = 0;
  /** Whether a person chose the place. */
  chosen = false;

  /** @param {(viewport: Viewport) => void} onMove */
  constructor(onMove) {
    this.onMove = onMove;
    this.world = { width: 0, height: 0 };
    /** Where the eye goes first when not all of it fits: the height of the beginning. */
    this.heart = 0;
  }

  /** @param {{width: number, height: number, boxes: {x: number, y: number, h: number}[]}} picture */
  setWorld({ width, height, boxes }) {
    this.world = { width: Math.max(1, width), height: Math.max(1, height) };
    const first = boxes
      .filter((box) => box.x < 600)
      .map((box) => box.y + box.h / 2)
      .sort((a, b) => a - b);
    this.heart = first[first.length >> 1] ?? height / 2;
  }

  /** The scale at which all of the picture is in sight. */
  get fitScale() {
    return Math.min(1, this.width / this.world.width, TALLEST / this.world.height);
  }

  /** Whether all of the picture is in sight. */
  get isWhole() {
    const right = this.x + this.world.width * this.k;
    const bottom = this.y + this.world.height * this.k;
    return this.x > -1 && this.y > -1 && right < this.width + 1 && bottom < this.height + 1;
  }

  /** All of it, unless that would be too small to read. */
  get startScale() {
    return this.fitScale >= SMALL ? this.fitScale : READABLE;
  }

  /** How high the room should be, so that the picture stands in it as at the start. */
  get wantedHeight() {
    return Math.round(Math.min(TALLEST, this.world.height * this.startScale));
  }

  /** @param {number} width @param {number} height of the room */
  setRoom(width, height) {
    this.width = width;
    this.height = height;
    if (this.chosen) this.clamp();
    else this.start();
  }

  /** As it looks at first: all of it, or its beginning where all of it could not be read. */
  start() {
    this.chosen = false;
    this.place(this.startScale);
  }

  /** All of it, however small. */
  fit() {
    this.chosen = this.fitScale < SMALL;
    this.place(this.fitScale);
  }

  /** @param {number} k */
  place(k) {
    this.k = Math.min(1, k);
    const width = this.world.width * this.k;
    const height = this.world.height * this.k;
    this.x = width <= this.width ? (this.width - width) / 2 : 0;
    this.y =
      height <= this.height
        ? (this.height - height) / 2
        : Math.min(0, Math.max(this.height - height, this.height / 2 - this.heart * this.k));
    this.onMove(this);
  }

  /** @param {number} factor @param {number} [x] the point that stays, in the room @param {number} [y] */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const k = Math.min(MOST, Math.max(Math.min(LEAST, this.fitScale), this.k * factor));
    this.x = x - ((x - this.x) * k) / this.k;
    this.y = y - ((y - this.y) * k) / this.k;
    this.k = k;
    this.chosen = true;
    this.clamp();
  }

  /** @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.chosen = true;
    this.clamp();
  }

  /** Keeps some of the picture in sight. */
  clamp() {
    const keep = 48;
    this.x = Math.min(this.width - keep, Math.max(keep - this.world.width * this.k, this.x));
    this.y = Math.min(this.height - keep, Math.max(keep - this.world.height * this.k, this.y));
    this.onMove(this);
  }

  /**
   * @param {{x: number, y: number, w: number, h: number}} box
   * @param {boolean} middle into the middle, or just into sight
   */
  show(box, middle) {
    const left = this.x + box.x * this.k;
    const top = this.y + box.y * this.k;
    const width = box.w * this.k;
    const height = box.h * this.k;
    const inSight = left >= 8 && top >= 8 && left + width <= this.width - 8 && top + height <= this.height - 8;
    if (inSight && this.k >= 0.4) return;
    if (middle && this.k < READABLE) this.k = READABLE;
    this.x = this.width / 2 - (box.x + box.w / 2) * this.k;
    this.y = this.height / 2 - (box.y + box.h / 2) * this.k;
    this.chosen = true;
    this.clamp();
  }
}

/**
 * A clock that ticks only while it is asked to, ten times a second at first and once a second in long runs. Where frames
 * keep coming it does not tick between them: each draws the time as well, and every picture costs the page.
 */

/** How long to wait after a frame for the next one, ms; frames come five times a second. */
const AFTER_FRAME = 250;

export class Ticker {
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;
  #calm = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;

  /**
   * @param {() => void} onTick
   * @param {() => number} elapsed seconds shown now
   * @param {() => boolean} isVisible whether drawing would be seen
   */
  constructor(onTick, elapsed, isVisible) {
    this.onTick = onTick;
    this.elapsed = elapsed;
    this.isVisible = isVisible;
  }

  /** A picture was drawn just now; goes on or stops. @param {boolean} on */
  run(on) {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (on) this.#wait(AFTER_FRAME);
  }

  /** @param {number} [least] ms */
  #wait(least = 100) {
    const slow = this.#calm || this.elapsed() > 60;
    this.#timer = setTimeout(
      () => {
        this.#wait();
        if (this.isVisible()) this.onTick();
      },
      slow ? 1000 : least,
    );
  }
}

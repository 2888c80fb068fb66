/** A clock that ticks only while it is asked to, ten times a second at first and once a second in long runs. */

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

  /** @param {boolean} on */
  run(on) {
    if (!on) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else if (this.#timer === undefined) {
      this.#wait();
    }
  }

  #wait() {
    const slow = this.#calm || this.elapsed() > 60;
    this.#timer = setTimeout(
      () => {
        this.#wait();
        if (this.isVisible()) this.onTick();
      },
      slow ? 1000 : 100,
    );
  }
}

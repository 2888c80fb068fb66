/** Which node people look at. Panels tell it and hear of it here; none of them knows another panel. */

export class Selection {
  /** @type {string|null} */
  node = null;
  /** @type {string} what stands in the find box, lower case */
  find = "";
  /** Whether only what leads to and from the node shall stand out. */
  lineage = false;
  /** @type {Set<(reason: "node"|"find"|"centre") => void>} */
  #listeners = new Set();

  /** @param {(reason: "node"|"find"|"centre") => void} listener */
  listen(listener) {
    this.#listeners.add(listener);
  }

  /** @param {string|null} id */
  select(id) {
    if (this.node === id) return;
    this.node = id;
    if (id === null) this.lineage = false;
    this.#tell("node");
  }

  /** @param {boolean} on */
  follow(on) {
    this.lineage = on;
    this.#tell("find");
  }

  /** @param {string} text */
  search(text) {
    this.find = text.trim().toLowerCase();
    this.#tell("find");
  }

  /** Brings `id` into sight and selects it. @param {string} id */
  centre(id) {
    this.node = id;
    this.#tell("node");
    this.#tell("centre");
  }

  /** @param {"node"|"find"|"centre"} reason */
  #tell(reason) {
    for (const listener of this.#listeners) listener(reason);
  }
}

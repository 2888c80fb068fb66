/** Which node people look at. Panels tell it and hear of it here; none of them knows another panel. */

export class Selection {
  /** @type {string|null} */
  node = null;
  /** @type {string} what stands in the find box, lower case */
  find = "";
  /** @type {string|null} an item of the map, a member of the folded box that is selected */
  part = null;
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
    this.part = null;
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

  /** Looks at one item or member of the selected node; null: at the node. @param {string|null} part */
  choose(part) {
    this.part = part;
    this.#tell("node");
  }

  /** Brings `id` into sight and selects it. @param {string} id */
  centre(id, /** @type {string|null} */ part = null) {
    this.node = id;
    this.part = part;
    this.#tell("node");
    this.#tell("centre");
  }

  /** @param {"node"|"find"|"centre"} reason */
  #tell(reason) {
    for (const listener of this.#listeners) listener(reason);
  }
}

/** The graph panel: a scene, the room it stands in, and what pointer and keys do to it. */

import { html, set, setText, toggle } from "../dom.js";
import { findNodes } from "../find.js";
import { duration } from "../format.js";
import { criticalPath } from "./critical.js";
import { CanvasScene } from "./canvas.js";
import { Scene } from "./scene.js";
import { Viewport } from "./viewport.js";
import { listenToKeys } from "./keys.js";
import { listenToPointer } from "./pointer.js";

/** @import {Context, Panel, Changes} from "../types.js" */

/** Above this many nodes a canvas draws them. */
const SVG_MOST = 400;
const PATH = "lift out the chain of nodes without which the run could not be faster";

/** @param {Context} context @returns {Panel} */
export function createGraph(context) {
  const graph = new Graph(context);
  return {
    element: graph.element,
    draw: (changes) => graph.draw(changes),
    shown: () => graph.resize(),
    destroy: () => graph.destroy(),
  };
}

export class Graph {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    /** @type {Scene|CanvasScene} */
    this.scene = new Scene(context);
    this.level = html("button", "zoom level", { type: "button", title: "natural size", onclick: () => this.natural() });
    const button = (/** @type {string} */ sign, /** @type {string} */ title, /** @type {() => void} */ act) =>
      html("button", "zoom", { type: "button", "aria-label": title, title, onclick: act }, sign);
    this.controls = html(
      "div",
      "zooms",
      { role: "group", "aria-label": "zoom" },
      button("−", "smaller", () => this.viewport.zoom(1 / 1.25)),
      this.level,
      button("+", "larger", () => this.viewport.zoom(1.25)),
      button("Fit", "Fit all", () => this.viewport.fit()),
    );
    this.isPathShown = false;
    this.pathButton = html(
      "button",
      "zoom path-button",
      { type: "button", "aria-pressed": "false", title: PATH, onclick: () => this.showPath(!this.isPathShown) },
      "Critical path",
    );
    this.pathWords = html("div", "path-words", { role: "status" });
    this.pathWords.hidden = true;
    this.room = html("div", "graph-room", {}, this.scene.element);
    this.element = html(
      "section",
      "panel graph",
      { role: "group", "aria-label": "graph" },
      this.room,
      html("div", "zooms paths is-idle", {}, this.pathButton),
      this.controls,
      this.pathWords,
    );
    this.viewport = new Viewport((view) => this.moved(view));
    /** @type {string|null} the node that Tab reaches */
    this.stop = null;
    /** @type {string|null} */
    this.lit = null;
    listenToPointer(this);
    listenToKeys(this);
    context.selection.listen((reason) => this.selected(reason));
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.element);
  }

  /** @param {Changes} changes */
  draw(changes) {
    if (changes.all || changes.picture) return this.build();
    if (this.isPathShown && changes.nodes.size) this.standOut();
    this.scene.update(changes.nodes);
  }

  build() {
    const { model, selection } = this.context;
    const { picture } = model;
    const focused = this.scene.element.contains(document.activeElement);
    this.pickScene(picture.boxes.length > SVG_MOST ? CanvasScene : Scene);
    this.scene.build();
    this.viewport.setWorld(picture);
    this.resize();
    if (!this.stop || !model.placed.has(this.stop)) this.stop = picture.boxes[0]?.id ?? null;
    this.scene.setStop(this.stop);
    this.scene.select(selection.node);
    this.standOut();
    this.scene.light(this.lit);
    this.scene.move(this.viewport);
    if (focused && this.stop) this.scene.focus(this.stop);
  }

  /** @param {typeof Scene | typeof CanvasScene} Wanted */
  pickScene(Wanted) {
    if (this.scene instanceof Wanted) return;
    this.scene.destroy();
    this.scene = new Wanted(this.context);
    this.room.append(this.scene.element);
  }

  resize() {
    const width = this.room.clientWidth;
    if (width === 0) return;
    this.viewport.width = width;
    const height = Math.max(60, this.viewport.wantedHeight);
    this.room.style.height = `${height}px`;
    set(this.scene.element, { width, height });
    this.viewport.setRoom(width, height);
  }

  /** @param {Viewport} view */
  moved(view) {
    this.scene.move(view);
    setText(this.level, `${Math.round(view.k * 100)} %`);
    toggle(this.controls, "is-idle", view.isWhole);
  }

  natural() {
    this.viewport.zoom(1 / this.viewport.k);
  }

  /** @param {string|null} id */
  light(id) {
    if (this.lit === id) return;
    this.lit = id;
    this.scene.light(id);
  }

  /** Goes to `id` as the keyboard does. @param {string} id */
  goTo(id) {
    this.stop = id;
    this.scene.setStop(id);
    const box = this.context.model.placed.get(id);
    if (box) this.viewport.show(box, false);
    this.scene.focus(id);
  }

  /** @param {"node"|"find"|"centre"} reason */
  selected(reason) {
    const { selection, model } = this.context;
    this.focus();
    this.standOut();
    if (reason === "find") return;
    this.scene.select(selection.node);
    const box = selection.node === null ? undefined : model.placed.get(selection.node);
    if (!box) return;
    this.stop = box.id;
    this.scene.setStop(box.id);
    if (reason === "centre") this.viewport.show(box, true);
  }

  /** Draws only what leads to and from the node in focus, or all again. */
  focus() {
    const { selection, model } = this.context;
    if (selection.node !== null && !model.placed.has(selection.node)) selection.lineage = false;
    const wanted = selection.lineage && selection.node !== null;
    if (wanted === model.isFocused) return;
    model.focus(wanted && selection.node !== null ? model.lineage(selection.node) : null);
    this.viewport.chosen = false;
    this.build();
  }

  /** @param {boolean} on */
  showPath(on) {
    this.isPathShown = on;
    set(this.pathButton, { "aria-pressed": String(on) });
    this.standOut();
  }

  /** The critical path, and the words that say what it is. */
  path() {
    const { model, live } = this.context;
    const { ids, seconds, isPredicted, isKnown } = criticalPath(model, model.elapsed(live));
    const names = ids.map((id) => model.boxes.get(id)?.name ?? id);
    const shown = names.length > 6 ? [...names.slice(0, 3), "…", ...names.slice(-2)] : names;
    const how = isPredicted ? (isKnown ? ", as far as it can be foreseen" : ", as far as it is known") : "";
    setText(this.pathWords, `critical path${how}: ${duration(seconds)} in ${shown.join(" → ")}`);
    return new Set(ids);
  }

  /** Lifts out what is searched for, or else the lineage of the selected node when that is asked for. */
  standOut() {
    const { selection, model } = this.context;
    const found = findNodes(model, selection.find);
    toggle(this.element, "is-path", this.isPathShown && !found.length);
    this.pathWords.hidden = !this.isPathShown;
    if (found.length) return this.scene.find(new Set(found), false);
    this.scene.find(this.isPathShown ? this.path() : null, true);
  }

  destroy() {
    this.watcher.disconnect();
    this.scene.destroy();
  }
}

/** The graph panel: a scene, the room it stands in, and what pointer and keys do to it. */

import { html, set, setText, toggle } from "../dom.js";
import { findNodes } from "../find.js";
import { CanvasScene } from "./canvas.js";
import { Scene } from "./scene.js";
import { Viewport } from "./viewport.js";
import { listenToKeys } from "./keys.js";
import { listenToPointer } from "./pointer.js";

/** @import {Context, Panel, Changes} from "../types.js" */

/** Above this many nodes a canvas draws them. */
const SVG_MOST = 400;

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
    this.room = html("div", "graph-room", {}, this.scene.element);
    this.element = html("section", "panel graph", { "aria-label": "graph" }, this.room, this.controls);
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
    this.scene.update(changes.nodes);
  }

  build() {
    const { model, selection } = this.context;
    const { picture } = model.document;
    const focused = this.scene.element.contains(document.activeElement);
    this.pickScene(picture.boxes.length > SVG_MOST ? CanvasScene : Scene);
    this.scene.build();
    this.viewport.setWorld(picture);
    this.resize();
    if (!this.stop || !model.boxes.has(this.stop)) this.stop = picture.boxes[0]?.id ?? null;
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
    const box = this.context.model.boxes.get(id);
    if (box) this.viewport.show(box, false);
    this.scene.focus(id);
  }

  /** @param {"node"|"find"|"centre"} reason */
  selected(reason) {
    const { selection, model } = this.context;
    this.standOut();
    if (reason === "find") return;
    this.scene.select(selection.node);
    const box = selection.node === null ? undefined : model.boxes.get(selection.node);
    if (!box) return;
    this.stop = box.id;
    this.scene.setStop(box.id);
    if (reason === "centre") this.viewport.show(box, true);
  }

  /** Lifts out what is searched for, or else the lineage of the selected node when that is asked for. */
  standOut() {
    const { selection, model } = this.context;
    const found = findNodes(model, selection.find);
    if (found.length) return this.scene.find(new Set(found), false);
    const follows = selection.lineage && selection.node !== null && model.boxes.has(selection.node);
    this.scene.find(follows && selection.node !== null ? model.lineage(selection.node) : null, true);
  }

  destroy() {
    this.watcher.disconnect();
    this.scene.destroy();
  }
}

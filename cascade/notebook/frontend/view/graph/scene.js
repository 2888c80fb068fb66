/**
 * Picture → boxes and arrows in SVG, and states → their looks, in place. Decides no position: all of them come from
 * the picture.
 */

import { classes, fill, set, setText, svg, toggle } from "../dom.js";
import { glyph } from "../icons.js";
import { edges as edgeLooks, kinds, metrics, segments } from "../looks.js";
import { familyOf, fitText, textWidth } from "../measure.js";
import { STALE_SIGN, barParts, describe, smallLine } from "./words.js";

/** @import {Context, Box, Arrow, NodeEntry} from "../types.js" */
/**
 * @typedef {object} DrawnNode
 * @property {Box} box
 * @property {SVGGElement} group
 * @property {SVGGElement} mark
 * @property {SVGTextElement} name
 * @property {SVGTextElement} line
 * @property {Map<string, SVGRectElement>|null} parts of a map's bar
 * @property {string} state
 */
/** @typedef {{arrow: Arrow, group: SVGGElement, path: SVGPathElement}} DrawnEdge */

const INERT = new Set(["skipped", "cancelled"]);

export class Scene {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    this.world = svg("g", "world", { role: "presentation" });
    this.element = svg(
      "svg",
      "canvas",
      {
        role: "tree",
        "aria-label": "graph: arrow keys follow the edges, Enter tells more",
        "data-lm-suppress-shortcuts": "true",
      },
      this.markers(),
      this.world,
    );
    /** @type {Map<string, DrawnNode>} */
    this.nodes = new Map();
    /** @type {DrawnEdge[]} */
    this.edges = [];
    /** @type {Map<string, DrawnEdge[]>} */
    this.edgesAt = new Map();
  }

  markers() {
    const size = metrics.arrow_size;
    const marker = (/** @type {string} */ name) =>
      svg(
        "marker",
        "",
        {
          id: `${this.context.uid}-${name}`,
          viewBox: "0 0 8 8",
          refX: 7,
          refY: 4,
          markerWidth: size,
          markerHeight: size,
          markerUnits: "userSpaceOnUse",
          orient: "auto",
        },
        svg("path", `head-${name}`, { d: "M1,1L7,4L1,7Z" }),
      );
    return svg("defs", "", {}, marker("still"), marker("flow"), marker("hot"));
  }

  build() {
    const { picture } = this.context.model;
    this.family = familyOf(this.context.root);
    this.nodes.clear();
    this.edgesAt.clear();
    this.edges = picture.arrows.map((arrow) => this.makeEdge(arrow));
    for (const edge of this.edges) {
      for (const id of [edge.arrow.source, edge.arrow.target]) {
        this.edgesAt.set(id, [...(this.edgesAt.get(id) ?? []), edge]);
      }
    }
    picture.boxes.forEach((box, index) => this.nodes.set(box.id, this.makeNode(box, index)));
    const lines = svg("g", "", { role: "presentation" }, ...this.edges.map(({ group }) => group));
    const boxes = svg("g", "", { role: "presentation" }, ...[...this.nodes.values()].map(({ group }) => group));
    fill(this.world, lines, boxes);
    toggle(this.world, "is-large", picture.boxes.length > 200);
    this.update(this.nodes.keys());
  }

  /** @param {Iterable<string>} ids whose state changed */
  update(ids) {
    const touched = new Set();
    for (const id of ids) {
      const node = this.nodes.get(id);
      if (!node) continue;
      this.dress(node, this.context.model.node(id));
      for (const edge of this.edgesAt.get(id) ?? []) touched.add(edge);
    }
    for (const edge of touched) this.dressEdge(edge);
  }

  /** @param {Arrow} arrow @returns {DrawnEdge} */
  makeEdge(arrow) {
    const look = Object.hasOwn(edgeLooks, arrow.kind) ? edgeLooks[arrow.kind] : edgeLooks.data;
    const path = svg("path", "edge-line", {
      d: arrow.d,
      "stroke-width": look.width,
      "stroke-dasharray": look.dash || null,
      "stroke-linecap": look.cap ?? null,
    });
    const label =
      arrow.label &&
      svg(
        "text",
        "edge-label",
        { x: arrow.lx, y: arrow.ly, "text-anchor": "middle", "dominant-baseline": "central" },
        fitText(arrow.label, 90, `${metrics.label_size}px ${this.family}`),
      );
    return { arrow, path, group: svg("g", "edge", { "aria-hidden": "true" }, path, label) };
  }

  /** @param {DrawnEdge} edge */
  dressEdge({ arrow, group, path }) {
    const { model } = this.context;
    const target = model.node(arrow.target).s;
    const isFlowing = target === "running" && !INERT.has(model.node(arrow.source).s);
    const isHot = group.matches(".cascade-is-hot");
    toggle(group, "is-flowing", isFlowing);
    toggle(group, "is-off", INERT.has(target) || INERT.has(model.node(arrow.source).s));
    set(path, { "marker-end": `url(#${this.context.uid}-${isHot ? "hot" : isFlowing ? "flow" : "still"})` });
  }

  /** @param {Box} box @param {number} index @returns {DrawnNode} */
  makeNode(box, index) {
    const isMap = box.kind === "map";
    const shift = box.kind === "route" ? metrics.route_shift : 0;
    const mark = svg("g", "", {
      transform: `translate(${metrics.icon_x + shift},${isMap ? metrics.map_name_y - 4.5 : box.h / 2})`,
    });
    const name = svg("text", "node-name", { x: metrics.text_x + shift, "aria-hidden": "true" });
    const line = svg(
      "text",
      "node-line",
      isMap
        ? { x: box.w - metrics.text_right, "text-anchor": "end", y: metrics.map_name_y }
        : { x: metrics.text_x + shift, y: metrics.detail_y },
    );
    set(line, { "aria-hidden": "true" });
    const bar = isMap ? makeBar(box) : null;
    const group = svg(
      "g",
      `node kind-${Object.hasOwn(kinds, box.kind) ? box.kind : "task"}`,
      {
        transform: `translate(${box.x},${box.y})`,
        role: "treeitem",
        tabindex: -1,
        "data-index": index,
      },
      ...outlines(box),
      mark,
      name,
      " ", // the words of a box are two, for whoever reads them as text
      line,
      bar?.group,
      svg("title"),
    );
    return { box, group, mark, name, line, parts: bar?.parts ?? null, state: "" };
  }

  /** @param {DrawnNode} node @param {NodeEntry} entry */
  dress(node, entry) {
    const { box, group, mark, name, line } = node;
    if (node.state !== entry.s) {
      if (node.state) group.classList.remove(classes(`s-${node.state}`));
      group.classList.add(classes(`s-${entry.s}`));
      node.state = entry.s;
      fill(mark, glyph(entry.s));
    }
    toggle(group, "is-next", Boolean(entry.next));
    markStale(node, entry);
    const shift = box.kind === "route" ? metrics.route_shift : 0;
    const room = box.w - metrics.text_x - metrics.text_right + 6 - 2 * shift;
    const lineFont = `${metrics.detail_size}px ${this.family}`;
    const shown = fitText(smallLine(box, entry), node.parts ? box.w * 0.55 : room, lineFont);
    setText(line, shown);
    const taken = node.parts && shown ? textWidth(shown, lineFont) + 8 : 0;
    const called = fitText(box.name, room - taken, `${metrics.name_weight} ${metrics.name_size}px ${this.family}`);
    setText(name, called);
    set(name, { y: node.parts ? metrics.map_name_y : shown ? metrics.name_y : metrics.lone_name_y });
    if (node.parts) drawParts(node.parts, box, entry);
    const sentence = describe(box, entry, { name: called, line: shown });
    set(group, { "aria-label": sentence });
    const title = group.lastElementChild;
    if (title) setText(title, sentence);
  }

  /**
   * Lifts one node, its neighbours and its edges out of the rest; null lets all be equal again.
   * @param {string|null} id
   */
  light(id) {
    for (const edge of this.edges) this.heat(edge, false);
    for (const group of this.world.querySelectorAll(".cascade-node.cascade-is-hot")) toggle(group, "is-hot", false);
    const node = id === null ? undefined : this.nodes.get(id);
    toggle(this.world, "is-lit", node !== undefined);
    if (!node || id === null) return;
    toggle(node.group, "is-hot", true);
    for (const edge of this.edgesAt.get(id) ?? []) {
      this.heat(edge, true);
      const other = edge.arrow.source === id ? edge.arrow.target : edge.arrow.source;
      const neighbour = this.nodes.get(other);
      if (neighbour) toggle(neighbour.group, "is-hot", true);
    }
  }

  /** @param {DrawnEdge} edge @param {boolean} on */
  heat(edge, on) {
    if (edge.group.matches(".cascade-is-hot") === on) return;
    toggle(edge.group, "is-hot", on);
    this.dressEdge(edge);
  }

  /**
   * @param {Set<string>|null} found ids that stand out, null when all are equal
   * @param {boolean} isLineage whether they are one node's lineage, else what is searched for
   */
  find(found, isLineage) {
    toggle(this.world, "is-searched", found !== null);
    toggle(this.world, "is-lineage", isLineage);
    for (const { arrow, group } of this.edges) {
      toggle(group, "is-found", found !== null && found.has(arrow.source) && found.has(arrow.target));
    }
    for (const [id, { group }] of this.nodes) toggle(group, "is-found", found?.has(id) ?? false);
  }

  /** @param {string|null} id */
  select(id) {
    for (const [key, { group }] of this.nodes) {
      toggle(group, "is-selected", key === id);
      set(group, { "aria-selected": key === id ? "true" : null });
    }
  }

  /** Makes `id` the one node that Tab reaches. @param {string|null} id */
  setStop(id) {
    for (const [key, { group }] of this.nodes) set(group, { tabindex: key === id ? 0 : -1 });
  }

  /** @param {string} id */
  focus(id) {
    this.nodes.get(id)?.group.focus({ preventScroll: true });
  }

  /** @param {{k: number, x: number, y: number}} view */
  move({ k, x, y }) {
    set(this.world, { transform: `translate(${x.toFixed(2)},${y.toFixed(2)}) scale(${k.toFixed(4)})` });
  }

  /** The node at a pointer. @param {Event} event @returns {string|null} */
  hit(event) {
    const group = event.target instanceof Element ? event.target.closest("[data-index]") : null;
    if (!group) return null;
    return this.context.model.picture.boxes[Number(group.getAttribute("data-index"))]?.id ?? null;
  }

  destroy() {
    this.element.remove();
  }
}

/** The shape tells the kind: tasks are boxes, params pills, routes hexagons, maps a stack. @param {Box} box */
function outlines({ kind, w, h }) {
  const { radius, route_point: point, stack_offset: offset } = metrics;
  const rect = (/** @type {string} */ name, /** @type {number} */ rx, x = 0, y = 0) =>
    svg("rect", name, { x, y, width: w, height: h, rx });
  if (kind === "route")
    return [svg("path", "box", { d: `M${point},0H${w - point}L${w},${h / 2}L${w - point},${h}H${point}L0,${h / 2}Z` })];
  if (kind === "param" || kind === "env") return [rect("box", h / 2)];
  if (kind === "map") return [rect("box box-behind", radius, offset, -offset), rect("box", radius)];
  return [rect("box", radius)];
}

/** A badge at the corner of a node that would run again. @param {DrawnNode} node @param {NodeEntry} entry */
function markStale({ box, group }, entry) {
  const badge = group.querySelector("[data-stale]");
  toggle(group, "is-stale", Boolean(entry.m));
  if (!entry.m) badge?.remove();
  else if (!badge) {
    const sign = svg("path", "stale-sign", { d: STALE_SIGN });
    const place = { "data-stale": "", transform: `translate(${box.w - 3},3)`, "aria-hidden": "true" };
    group.insertBefore(svg("g", "", place, svg("circle", "stale-badge", { r: 7 }), sign), group.lastElementChild);
  }
}

/** @param {Box} box */
function makeBar(box) {
  const { map_bar_x: left, map_bar_y: top, map_bar_height: height } = metrics;
  const width = box.w - 2 * left;
  const parts = new Map(segments.map(([count]) => [count, svg("rect", `part fill-${count}`, { height })]));
  const group = svg(
    "svg",
    "map-bar",
    { x: left, y: top, width, height },
    svg("rect", "track", { width, height }),
    ...parts.values(),
  );
  return { group, parts };
}

/** @param {Map<string, SVGRectElement>} parts @param {Box} box @param {NodeEntry} entry */
function drawParts(parts, box, entry) {
  const width = box.w - 2 * metrics.map_bar_x;
  for (const { count, from, share } of barParts(entry, segments)) {
    const part = parts.get(count);
    if (part) set(part, { x: (from * width).toFixed(2), width: (share * width).toFixed(2) });
  }
}

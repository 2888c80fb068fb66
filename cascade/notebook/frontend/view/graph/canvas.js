/**
 * Picture → one canvas, for graphs of hundreds of nodes. Draws only what is in sight and leaves out what would be too
 * small to read. The table is its twin for screen readers; the keys work here too.
 */

import { html, set } from "../dom.js";
import { stateFor } from "../icons.js";
import { edges as edgeLooks, iconShapes, metrics, segments, states } from "../looks.js";
import { familyOf, fitText, textWidth } from "../measure.js";
import { STALE_SIGN, barParts, describe, smallLine } from "./words.js";

/** @import {Context, Box, Arrow} from "../types.js" */
/** @typedef {{arrow: Arrow, path: Path2D, left: number, top: number, right: number, bottom: number}} DrawnEdge */
/** @typedef {{k: number, x: number, y: number, width: number, height: number}} View */
/** @typedef {{stroke: string, width: number, dash: string, cap: string, alpha: number}} EdgeLook */

const INERT = new Set(["skipped", "cancelled"]);
/** Below these scales text, icons and arrow heads are left out. */
const TEXT_FROM = 0.4;
const ICON_FROM = 0.2;

/** @type {Record<string, {paint: string, path: Path2D}[]>} */
const icons = {};

/** @param {string} state */
function iconPaths(state) {
  const name = states[stateFor(state) || "pending"].icon;
  return (icons[name] ??= iconShapes[name].map(({ paint, d }) => ({ paint, path: new Path2D(d) })));
}

export class CanvasScene {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    this.element = html("canvas", "canvas", { tabindex: 0, role: "img", "data-lm-suppress-shortcuts": "true" });
    /** @type {DrawnEdge[]} */
    this.edges = [];
    /** @type {View} */
    this.view = { k: 1, x: 0, y: 0, width: 0, height: 0 };
    this.asked = 0;
    /** @type {string|null} */
    this.lit = null;
    /** @type {Set<string>|null} */
    this.hot = null;
    /** @type {Set<string>|null} */
    this.found = null;
    this.isLineage = false;
    /** @type {string|null} */
    this.selected = null;
    /** @type {string|null} */
    this.stop = null;
    this.colours = new Map();
  }

  build() {
    const { model, root } = this.context;
    this.family = familyOf(root);
    this.colours.clear();
    this.edges = model.picture.arrows.flatMap((arrow) => {
      const from = model.placed.get(arrow.source);
      const to = model.placed.get(arrow.target);
      return from && to ? [makeEdge(arrow, from, to)] : [];
    });
    this.tell();
    this.ask();
  }

  /** Says to screen readers where the keys stand. */
  tell() {
    const { model } = this.context;
    const box = this.stop === null ? undefined : model.placed.get(this.stop);
    const place =
      box && this.element.matches(":focus")
        ? describe(box, model.node(box.id))
        : `graph of ${model.placed.size} nodes; the table tells the same`;
    set(this.element, { "aria-label": place });
  }

  /** Draws at once, in the frame in which it is called. @param {Set<string>} changed */
  update(changed) {
    if (changed.size) this.draw();
  }

  /** @param {string|null} id */
  light(id) {
    this.lit = id;
    const { model } = this.context;
    this.hot =
      id === null
        ? null
        : new Set([
            id,
            ...(model.from.get(id) ?? []).map((arrow) => arrow.target),
            ...(model.into.get(id) ?? []).map((arrow) => arrow.source),
          ]);
    const box = id === null ? undefined : model.placed.get(id);
    set(this.element, { title: box ? describe(box, model.node(box.id)) : null });
    this.tell();
    this.ask();
  }

  /** @param {Set<string>|null} found @param {boolean} isLineage */
  find(found, isLineage) {
    this.found = found;
    this.isLineage = isLineage;
    this.ask();
  }

  /** @param {string|null} id */
  select(id) {
    this.selected = id;
    this.ask();
  }

  /** @param {string|null} id */
  setStop(id) {
    this.stop = id;
    this.tell();
    this.ask();
  }

  focus() {
    this.element.focus({ preventScroll: true });
    this.tell();
  }

  /** @param {View} view */
  move(view) {
    this.view = view;
    this.ask();
  }

  /** @param {Event} event @returns {string|null} */
  hit(event) {
    if (!(event instanceof MouseEvent)) return null;
    const ground = this.element.getBoundingClientRect();
    const x = (event.clientX - ground.left - this.view.x) / this.view.k;
    const y = (event.clientY - ground.top - this.view.y) / this.view.k;
    const inside = (/** @type {Box} */ box) => x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h;
    return this.context.model.picture.boxes.find(inside)?.id ?? null;
  }

  destroy() {
    cancelAnimationFrame(this.asked);
    this.element.remove();
  }

  ask() {
    this.asked ||= requestAnimationFrame(() => this.draw());
  }

  /** A colour of the style sheet. @param {string} name without prefix */
  colour(name) {
    let value = this.colours.get(name);
    if (!value) {
      value = getComputedStyle(this.context.root).getPropertyValue(`--cascade-${name}`).trim() || "#888";
      this.colours.set(name, value);
    }
    return value;
  }

  draw() {
    cancelAnimationFrame(this.asked);
    this.asked = 0;
    const pen = this.element.getContext("2d");
    const { k, x, y, width, height } = this.view;
    if (!pen || width === 0) return;
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 3);
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.element.width !== size[0]) this.element.width = size[0];
    if (this.element.height !== size[1]) this.element.height = size[1];
    this.element.style.width = `${width}px`;
    this.element.style.height = `${height}px`;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.setTransform(ratio * k, 0, 0, ratio * k, ratio * x, ratio * y);
    const sight = { left: -x / k, top: -y / k, right: (width - x) / k, bottom: (height - y) / k };
    const seen = (/** @type {{left: number, top: number, right: number, bottom: number}} */ one) =>
      one.right >= sight.left && one.left <= sight.right && one.bottom >= sight.top && one.top <= sight.bottom;
    this.drawEdges(pen, this.edges.filter(seen));
    for (const box of this.context.model.picture.boxes) {
      if (seen({ left: box.x, top: box.y - 6, right: box.x + box.w + 6, bottom: box.y + box.h }))
        this.drawBox(pen, box);
    }
    pen.globalAlpha = 1;
  }

  /**
   * Edges of one look are one path, so that thousands cost few strokes.
   * @param {CanvasRenderingContext2D} pen
   * @param {DrawnEdge[]} seen
   */
  drawEdges(pen, seen) {
    /** @type {Map<string, {path: Path2D, heads: DrawnEdge[], look: EdgeLook}>} */
    const groups = new Map();
    for (const edge of seen) {
      const look = this.edgeLook(edge.arrow);
      const key = JSON.stringify(look);
      let group = groups.get(key);
      if (!group) groups.set(key, (group = { path: new Path2D(), heads: [], look }));
      group.path.addPath(edge.path);
      group.heads.push(edge);
    }
    const order = [...groups.values()].sort((a, b) => a.look.alpha * a.look.width - b.look.alpha * b.look.width);
    for (const { path, heads, look } of order) {
      pen.globalAlpha = look.alpha;
      pen.strokeStyle = pen.fillStyle = look.stroke;
      pen.lineWidth = Math.max(look.width, 0.6 / this.view.k);
      pen.lineCap = /** @type {CanvasLineCap} */ (look.cap);
      pen.setLineDash(look.dash ? look.dash.split(" ").map(Number) : []);
      pen.stroke(path);
      pen.setLineDash([]);
      if (this.view.k >= ICON_FROM) for (const edge of heads) this.drawHead(pen, edge);
      if (this.view.k >= TEXT_FROM) for (const edge of heads) this.drawLabel(pen, edge.arrow);
    }
  }

  /** @param {Arrow} arrow */
  edgeLook({ source, target, kind }) {
    const isLeftOut = this.found !== null && !(this.found.has(source) && this.found.has(target));
    const { model } = this.context;
    const look = Object.hasOwn(edgeLooks, kind) ? edgeLooks[kind] : edgeLooks.data;
    const isHot = this.lit !== null && (source === this.lit || target === this.lit);
    const isOff = INERT.has(model.node(target).s) || INERT.has(model.node(source).s);
    const isFlowing = !isOff && model.node(target).s === "running";
    const far = this.view.k < ICON_FROM ? 0.4 : 1;
    const alpha = isHot ? 1 : far * (isLeftOut ? 0.3 : this.hot ? 0.35 : isOff ? 0.5 : 1);
    const stroke = this.colour(isHot ? "fg" : isFlowing ? "blue" : "edge");
    return {
      stroke,
      width: isHot ? 1.8 : isFlowing ? 1.5 : look.width,
      dash: look.dash,
      cap: look.cap ?? "butt",
      alpha,
    };
  }

  /** The arrow head, along the end of the path. @param {CanvasRenderingContext2D} pen @param {DrawnEdge} edge */
  drawHead(pen, { arrow }) {
    const numbers = arrow.d.match(/-?[\d.]+(?:e-?\d+)?/gi)?.map(Number) ?? [];
    if (numbers.length < 4) return;
    const [bx, by, x, y] = numbers.slice(-4);
    const angle = Math.atan2(y - by, x - bx);
    const size = metrics.arrow_size * 0.8;
    pen.beginPath();
    pen.moveTo(x, y);
    for (const side of [-1, 1])
      pen.lineTo(x - size * Math.cos(angle + side * 0.46), y - size * Math.sin(angle + side * 0.46));
    pen.fill();
  }

  /** @param {CanvasRenderingContext2D} pen @param {Arrow} arrow */
  drawLabel(pen, arrow) {
    if (!arrow.label) return;
    const font = `${metrics.label_size}px ${this.family}`;
    pen.font = font;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const text = fitText(arrow.label, 90, font);
    pen.save();
    pen.fillStyle = this.colour("card");
    const width = textWidth(text, font) + 4;
    pen.fillRect(arrow.lx - width / 2, arrow.ly - 7, width, 14);
    pen.fillStyle = this.colour("dim");
    pen.fillText(text, arrow.lx, arrow.ly);
    pen.restore();
  }

  /**
   * From far away a box is a spot in the colour of its state.
   * @param {CanvasRenderingContext2D} pen
   * @param {Box} box
   */
  drawSpot(pen, box) {
    const hidden = (this.found && !this.found.has(box.id)) || (this.hot && !this.hot.has(box.id));
    pen.globalAlpha = hidden ? 0.25 : 1;
    pen.fillStyle = this.colour(
      box.id === this.selected || (this.found?.has(box.id) && !this.isLineage)
        ? "fg"
        : states[this.context.model.node(box.id).s].tone,
    );
    pen.fillRect(box.x, box.y, box.w, Math.max(box.h, 2 / this.view.k));
  }

  /** @param {CanvasRenderingContext2D} pen @param {Box} box */
  drawBox(pen, box) {
    if (this.view.k < ICON_FROM) return this.drawSpot(pen, box);
    const entry = this.context.model.node(box.id);
    const look = states[entry.s];
    const isHot = this.hot?.has(box.id) ?? false;
    pen.globalAlpha = this.found && !this.found.has(box.id) ? 0.3 : this.hot && !isHot ? 0.55 : 1;
    const grounds = /** @type {Record<string, string>} */ ({ card: "card", soft: "soft", tint: `${look.tone}-tint` });
    pen.lineWidth = look.strong ? metrics.strong_stroke : metrics.stroke;
    pen.strokeStyle = this.colour(look.tone);
    if (entry.next) [pen.strokeStyle, pen.lineWidth] = [this.colour("blue"), 2.4];
    if (box.id === this.selected) pen.lineWidth = 2.6;
    if (this.found?.has(box.id) && !this.isLineage) pen.strokeStyle = this.colour("fg");
    const isStop = box.id === this.stop && this.element.matches(":focus-visible");
    if (entry.m && !isStop) pen.setLineDash([5, 3]);
    else pen.setLineDash(look.dash && !isStop ? look.dash.split(" ").map(Number) : []);
    if (box.kind === "map") this.outline(pen, box, metrics.stack_offset, this.colour("card"));
    if (isStop) [pen.strokeStyle, pen.lineWidth] = [this.colour("blue"), 3];
    this.outline(pen, box, 0, grounds[look.fill] ? this.colour(grounds[look.fill]) : "");
    pen.setLineDash([]);
    if (this.view.k >= ICON_FROM) this.drawIcon(pen, box, entry.s);
    if (entry.m) this.drawStale(pen, box);
    if (box.kind === "map") this.drawBar(pen, box);
    if (this.view.k >= TEXT_FROM) this.drawText(pen, box);
  }

  /** @param {CanvasRenderingContext2D} pen @param {Box} box @param {number} offset @param {string} fill */
  outline(pen, box, offset, fill) {
    const [x, y] = [box.x + offset, box.y - offset];
    const point = metrics.route_point;
    pen.beginPath();
    if (box.kind === "route") {
      const corners = [
        [x + point, y],
        [x + box.w - point, y],
        [x + box.w, y + box.h / 2],
        [x + box.w - point, y + box.h],
        [x + point, y + box.h],
        [x, y + box.h / 2],
      ];
      for (const [cx, cy] of corners) pen.lineTo(cx, cy);
      pen.closePath();
    } else {
      pen.roundRect(x, y, box.w, box.h, box.kind === "param" || box.kind === "env" ? box.h / 2 : metrics.radius);
    }
    if (fill) {
      pen.fillStyle = fill;
      pen.fill();
    }
    pen.stroke();
  }

  /** @param {CanvasRenderingContext2D} pen @param {Box} box */
  drawStale(pen, box) {
    const [x, y] = [box.x + box.w - 3, box.y + 3];
    pen.translate(x, y);
    pen.beginPath();
    pen.arc(0, 0, 7, 0, 2 * Math.PI);
    pen.fillStyle = this.colour("card");
    pen.strokeStyle = this.colour("amber");
    pen.lineWidth = 1.2;
    pen.fill();
    pen.stroke();
    pen.strokeStyle = this.colour("amber-icon");
    pen.stroke(new Path2D(STALE_SIGN));
    pen.translate(-x, -y);
  }

  /** @param {CanvasRenderingContext2D} pen @param {Box} box @param {string} state */
  drawIcon(pen, box, state) {
    const shift = box.kind === "route" ? metrics.route_shift : 0;
    const [x, y] = [
      box.x + metrics.icon_x + shift,
      box.y + (box.kind === "map" ? metrics.map_name_y - 4.5 : box.h / 2),
    ];
    pen.translate(x, y);
    pen.lineCap = pen.lineJoin = "round";
    for (const { paint, path } of iconPaths(state)) {
      const colour = paint === "cut" ? this.colour("card") : this.colour(`${states[state].tone}-icon`);
      pen.fillStyle = pen.strokeStyle = colour;
      pen.lineWidth = metrics.icon_stroke;
      if (paint === "fill") pen.fill(path);
      else pen.stroke(path);
    }
    pen.translate(-x, -y);
    pen.lineCap = "butt";
    pen.lineJoin = "miter";
  }

  /** @param {CanvasRenderingContext2D} pen @param {Box} box */
  drawBar(pen, box) {
    const { map_bar_x: left, map_bar_y: top, map_bar_height: height } = metrics;
    const width = box.w - 2 * left;
    pen.fillStyle = this.colour("track");
    pen.fillRect(box.x + left, box.y + top, width, height);
    for (const { tone, from, share } of barParts(this.context.model.node(box.id), segments)) {
      pen.fillStyle = this.colour(tone);
      if (share) pen.fillRect(box.x + left + from * width, box.y + top, share * width, height);
    }
  }

  /** @param {CanvasRenderingContext2D} pen @param {Box} box */
  drawText(pen, box) {
    const entry = this.context.model.node(box.id);
    const isMap = box.kind === "map";
    const shift = box.kind === "route" ? metrics.route_shift : 0;
    const room = box.w - metrics.text_x - metrics.text_right + 6 - 2 * shift;
    const [nameFont, lineFont] = [
      `${metrics.name_weight} ${metrics.name_size}px ${this.family}`,
      `${metrics.detail_size}px ${this.family}`,
    ];
    const line = fitText(smallLine(box, entry), isMap ? box.w * 0.55 : room, lineFont);
    const taken = isMap && line ? textWidth(line, lineFont) + 8 : 0;
    pen.textBaseline = "alphabetic";
    pen.textAlign = isMap ? "right" : "left";
    pen.font = lineFont;
    pen.fillStyle = this.colour("dim");
    pen.fillText(
      line,
      isMap ? box.x + box.w - metrics.text_right : box.x + metrics.text_x + shift,
      box.y + (isMap ? metrics.map_name_y : metrics.detail_y),
    );
    pen.textAlign = "left";
    pen.font = nameFont;
    pen.fillStyle = this.colour(INERT.has(entry.s) ? "dim" : "fg");
    const y = box.y + (isMap ? metrics.map_name_y : line ? metrics.name_y : metrics.lone_name_y);
    const name = fitText(box.name, room - taken, nameFont);
    pen.fillText(name, box.x + metrics.text_x + shift, y);
    if (states[entry.s].strike) pen.fillRect(box.x + metrics.text_x + shift, y - 4.5, textWidth(name, nameFont), 1);
  }
}

/** @param {Arrow} arrow @param {Box} from @param {Box} to @returns {DrawnEdge} */
function makeEdge(arrow, from, to) {
  const numbers = arrow.d.match(/-?[\d.]+(?:e-?\d+)?/gi)?.map(Number) ?? [];
  const ys = numbers.filter((_, index) => index % 2 === 1);
  return {
    arrow,
    path: new Path2D(arrow.d),
    left: Math.min(from.x, to.x),
    right: Math.max(from.x + from.w, to.x + to.w),
    top: Math.min(from.y, to.y, ...ys),
    bottom: Math.max(from.y + from.h, to.y + to.h, ...ys),
  };
}

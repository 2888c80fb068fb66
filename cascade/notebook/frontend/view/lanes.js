/**
 * Bars → who held what, from when to when, and who waited. One row for each lane; rows that do not fit scroll while the
 * axis stays. Bars are kept and only the changed ones are touched.
 */

import { duration, plural, tick as tickText } from "./format.js";
import { axisTicks, roomyEnd } from "./axis.js";
import { html, svg, set, setText, fill } from "./dom.js";
import { familyOf, fitText, textWidth } from "./measure.js";

/** @import {Context, Panel, Changes} from "./types.js" */
/** @typedef {{group: SVGGElement, rect: SVGRectElement, label: SVGTextElement, title: SVGTitleElement}} DrawnBar */

const ROW = 27;
const BAR = 17;
const TOP = 7;
const AXIS = 26;
const INSET = 14;
const RIGHT = 20;
const FONT = 10.5;
const LABEL_FONT = 11.5;
const ENDINGS = new Set(["done", "failed", "cancelled"]);
const TONES = new Set("running done stored failed cancelled backoff wait setup".split(" "));

/** @param {Context} context @returns {Panel} */
export function createLanes(context) {
  const lanes = new Lanes(context);
  return {
    element: lanes.element,
    draw: (changes) => lanes.draw(changes),
    tick: () => lanes.tick(),
    shown: () => lanes.resize(),
    destroy: () => lanes.watcher.disconnect(),
  };
}

class Lanes {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    const { uid } = context;
    this.names = svg("g", "", {});
    this.grid = svg("g", "", {});
    this.bars = svg("g", "", {});
    this.now = svg("line", "now", { y1: 2 });
    this.body = svg("svg", "lanes-body", { role: "img" }, hatch(uid), this.grid, this.names, this.bars, this.now);
    this.nowText = svg("text", "now-text", { y: 15, "text-anchor": "middle" }, "now");
    this.ticks = svg("g", "", {});
    this.axis = svg("svg", "lanes-axis", { height: AXIS, "aria-hidden": "true" }, this.ticks, this.nowText);
    this.scroller = html("div", "scroll lanes-scroll", {}, this.body);
    this.left = html("div", "more");
    this.element = html("section", "panel lanes", { role: "group", "aria-label": "lanes" }, this.scroller, this.axis, this.left);
    /** @type {DrawnBar[]} */
    this.drawn = [];
    this.width = 0;
    this.end = 0;
    this.margin = 90;
    /** @type {Map<string, number>} */
    this.rowOf = new Map();
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.element);
    this.body.addEventListener("click", (event) => this.choose(event));
  }

  /** @param {Event} event */
  choose(event) {
    const group = event.target instanceof Element ? event.target.closest("[data-bar]") : null;
    const bar = group && this.context.model.document.lanes.bars[Number(group.getAttribute("data-bar"))];
    if (bar && this.context.model.boxes.has(bar.node)) this.context.selection.select(bar.node);
  }

  resize() {
    const width = this.scroller.clientWidth;
    if (width === 0 || width === this.width) return;
    this.width = width;
    this.drawAll();
  }

  /** @param {Changes} changes */
  draw(changes) {
    if (changes.all || changes.rows) {
      this.width = this.scroller.clientWidth || this.width;
      return this.drawAll();
    }
    if (changes.time) return this.drawMoment();
    const end = this.wantedEnd();
    if (end !== this.end) return this.drawAll();
    for (const index of changes.bars) this.drawBar(index);
    if (changes.run) this.drawNow();
  }

  /** Time goes on: the now line and the bars that are still open. */
  tick() {
    if (this.width === 0) return;
    if (this.wantedEnd() !== this.end) return this.drawAll();
    this.drawNow();
    const { bars } = this.context.model.document.lanes;
    for (let index = bars.length - 1; index >= 0; index -= 1) if (bars[index]?.t1 === null) this.drawBar(index);
  }

  /** A replay stands at another moment: the same bars at the same places, as far as they had come by then. */
  drawMoment() {
    if (this.width === 0) return;
    for (let index = 0; index < this.drawn.length; index += 1) this.drawBar(index);
    this.drawNow();
  }

  get isGoing() {
    const { live, model } = this.context;
    return live && !model.ended && model.state !== "pending";
  }

  wantedEnd() {
    const { model, live } = this.context;
    if (model.at !== null) return this.end;
    const elapsed = model.elapsed(live);
    if (this.isGoing || elapsed <= 0) return Math.max(roomyEnd(elapsed), 1);
    return model.document.lanes.bars.reduce((end, bar) => Math.max(end, bar?.t1 ?? 0), elapsed);
  }

  /** @param {number} seconds */
  x(seconds) {
    return this.margin + (seconds / this.end) * (this.width - this.margin - RIGHT);
  }

  drawAll() {
    const { model, root } = this.context;
    const { rows, bars } = model.document.lanes;
    this.rowOf = new Map(rows.map((row, index) => [row.id, index]));
    this.family = familyOf(root);
    this.end = this.wantedEnd();
    const widest = rows.reduce(
      (most, row) => Math.max(most, textWidth(row.label, `${LABEL_FONT}px ${this.family}`)),
      0,
    );
    this.margin = Math.min(Math.max(64, Math.ceil(widest) + INSET + 18), 170, Math.max(64, this.width * 0.3));
    const height = TOP + rows.length * ROW;
    set(this.body, {
      width: this.width,
      height,
      "aria-label": `${plural(rows.length, "lane")}, ${plural(bars.length, "bar")}; the table tells the same`,
    });
    set(this.axis, { width: this.width });
    this.drawRows(height);
    this.drawAxis();
    for (const { group } of this.drawn.splice(bars.length)) group.remove();
    for (let index = 0; index < bars.length; index += 1) this.drawBar(index);
    this.drawNow();
    const { dropped } = model.document;
    this.left.hidden = !dropped.bars;
    setText(this.left, dropped.bars ? `${plural(dropped.bars, "bar")} left out` : "");
  }

  /** @param {number} height */
  drawRows(height) {
    const { rows } = this.context.model.document.lanes;
    const font = `${LABEL_FONT}px ${this.family}`;
    fill(
      this.names,
      ...rows.map((row, index) =>
        svg(
          "text",
          row.kind === "waiting" ? "lane-name is-waiting" : "lane-name",
          { x: INSET, y: TOP + index * ROW + ROW / 2 - 1 },
          fitText(row.label, this.margin - INSET - 12, font),
          svg("title", "", {}, row.label),
        ),
      ),
    );
    const { step, ticks } = axisTicks(this.end, this.width - this.margin);
    this.step = step;
    this.tickTimes = ticks;
    const lines = rows.slice(1).map((_, index) =>
      svg("line", "lane-line", {
        x1: this.margin,
        x2: this.width - RIGHT,
        y1: TOP + (index + 1) * ROW - 1.5,
        y2: TOP + (index + 1) * ROW - 1.5,
      }),
    );
    fill(
      this.grid,
      ...lines,
      ...ticks.map((time) =>
        svg("line", "tick", { x1: round(this.x(time)), x2: round(this.x(time)), y1: 2, y2: height }),
      ),
    );
    set(this.now, { y2: height });
  }

  drawAxis() {
    fill(
      this.ticks,
      ...(this.tickTimes ?? []).flatMap((time) => [
        svg("line", "tick", { x1: round(this.x(time)), x2: round(this.x(time)), y1: 0, y2: 4 }),
        this.tickLabel(time),
      ]),
    );
  }

  /** @param {number} time */
  tickLabel(time) {
    const text = tickText(time, this.step ?? 1);
    const half = textWidth(text, `10px ${this.family}`) / 2;
    const x = Math.min(this.x(time), this.width - 4 - half);
    return svg("text", "tick-text", { x: round(x), y: 15, "text-anchor": "middle", "data-time": time }, text);
  }

  drawNow() {
    const { at } = this.context.model;
    const going = (this.isGoing || at !== null) && this.width > 0;
    set(this.now, { visibility: going ? "visible" : "hidden" });
    set(this.nowText, { visibility: going ? "visible" : "hidden" });
    if (!going) {
      for (const text of this.ticks.querySelectorAll("text")) set(text, { visibility: "visible" });
      return;
    }
    const x = round(this.x(at ?? this.context.model.elapsed(true)));
    setText(this.nowText, at === null ? "now" : tickText(at, (this.step ?? 1) / 10));
    set(this.now, { x1: x, x2: x });
    set(this.nowText, { x });
    for (const text of this.ticks.querySelectorAll("text")) {
      const near = Math.abs(this.x(Number(text.getAttribute("data-time"))) - x) < 34;
      set(text, { visibility: near ? "hidden" : "visible" });
    }
  }

  /** @param {number} index */
  drawBar(index) {
    const bar = this.context.model.document.lanes.bars[index];
    const row = bar ? this.rowOf.get(bar.row) : undefined;
    if (!bar || row === undefined || this.width === 0) return;
    const drawn = (this.drawn[index] ??= this.makeBar(index));
    const { at } = this.context.model;
    set(drawn.group, { visibility: at !== null && bar.t0 > at ? "hidden" : null });
    const isOpen = at !== null && (bar.t1 === null || bar.t1 > at);
    const end = isOpen ? at : (bar.t1 ?? this.context.model.elapsed(this.context.live));
    const x = this.x(bar.t0);
    const width = Math.max(2, this.x(Math.max(end, bar.t0)) - x - 1);
    const height = (Math.max(1, bar.span || 1) - 1) * ROW + BAR;
    const y = TOP + row * ROW + (ROW - BAR) / 2 - 2;
    const tone = isOpen && ENDINGS.has(bar.s) ? "running" : TONES.has(bar.s) ? bar.s : "done";
    set(drawn.group, { class: `cascade-bar cascade-bar-${tone}` });
    set(drawn.rect, { x: round(x), y, width: round(width), height, rx: Math.min(3.5, width / 4) });
    set(drawn.rect, { style: tone === "wait" ? `fill:url(#${this.context.uid}-hatch)` : null });
    const text = width < 18 ? "" : fitText(bar.label, width - 10, `${FONT}px ${this.family}`);
    set(drawn.label, { x: round(x + 6), y: y + height / 2 });
    setText(drawn.label, text.length > 3 || text === bar.label ? text : "");
    setText(
      drawn.title,
      `${bar.text || bar.label}\n${duration(bar.t0)} to ${bar.t1 === null ? "now" : duration(bar.t1)}`,
    );
  }

  /** @param {number} index @returns {DrawnBar} */
  makeBar(index) {
    const title = svg("title");
    const rect = svg("rect", "bar-box");
    const label = svg("text", "bar-text");
    const group = svg("g", "", { "data-bar": index }, title, rect, label);
    this.bars.append(group);
    return { group, rect, label, title };
  }
}

/** The pattern of waiting. @param {string} uid */
function hatch(uid) {
  return svg(
    "defs",
    "",
    {},
    svg(
      "pattern",
      "",
      { id: `${uid}-hatch`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      svg("rect", "hatch-ground", { width: 6, height: 6 }),
      svg("rect", "hatch-line", { width: 2, height: 6 }),
    ),
  );
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100;
}

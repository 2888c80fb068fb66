/** Nodes → the run as a plain table: for keyboards, screen readers and everyone who prefers one. */

import { duration } from "./format.js";
import { html, fill, set, setText } from "./dom.js";
import { icon, wordFor } from "./icons.js";
import { itemWords } from "./detail.js";

/** @import {Context, Panel, Box, NodeEntry} from "./types.js" */
/** @typedef {{key: string|number, id: string}} Keyed */

const COLUMNS = /** @type {const} */ ([
  ["node", "Node"],
  ["state", "State"],
  ["started", "Started"],
  ["took", "Took"],
  ["attempts", "Attempts"],
  ["detail", "Detail"],
]);
const NUMBERS = new Set(["started", "took", "attempts"]);

/** @param {Context} context @returns {Panel} */
export function createNodeTable(context) {
  const { model, selection, live } = context;
  /** @type {Map<string, HTMLTableRowElement>} */
  const rows = new Map();
  const body = html("tbody");
  let order = { column: "", down: false };
  const heads = COLUMNS.map(([key, title]) => {
    const button = html("button", "sorter", { type: "button", onclick: () => sortBy(key) }, title);
    return html("th", NUMBERS.has(key) ? "number" : "", { scope: "col" }, button);
  });
  const table = html(
    "table",
    "table",
    { "aria-label": "nodes" },
    html("thead", "", {}, html("tr", "", {}, ...heads)),
    body,
  );

  const rebuild = () => {
    rows.clear();
    const counts = attemptCounts(model);
    const boxes = sorted(context, order, counts);
    for (const box of boxes) rows.set(box.id, makeRow(context, box, counts));
    fill(body, ...rows.values());
    COLUMNS.forEach(([key], index) =>
      set(heads[index], { "aria-sort": key === order.column ? (order.down ? "descending" : "ascending") : null }),
    );
    mark();
  };
  const sortBy = (/** @type {string} */ column) => {
    order = { column, down: order.column === column && !order.down };
    rebuild();
  };
  const mark = () => {
    for (const [id, row] of rows) set(row, { "aria-selected": id === selection.node ? "true" : null });
  };
  selection.listen((reason) => reason === "node" && mark());
  return {
    element: html(
      "section",
      "panel nodes",
      {},
      html("div", "scroll tall", { tabindex: 0, role: "group", "aria-label": "table of nodes" }, table),
    ),
    draw(changes) {
      if (changes.all || changes.picture) return rebuild();
      if (changes.nodes.size === 0) return;
      const counts = attemptCounts(model);
      for (const id of changes.nodes) {
        const row = rows.get(id);
        const box = model.boxes.get(id);
        if (row && box) fillRow(context, row, box, counts);
      }
    },
    tick() {
      for (const [id, row] of rows) {
        const entry = model.node(id);
        if (entry.t0 !== null && entry.t1 === null) setText(row.cells[3], tookWords(model, entry, live));
      }
    },
  };
}

/** @param {Context} context @param {Box} box @param {Map<string, number>} counts */
function makeRow(context, box, counts) {
  const choose = () => context.selection.centre(box.id);
  const name = html("button", "link", { type: "button", title: "show it in the graph", onclick: choose }, box.name);
  const row = html("tr", "", {}, html("th", "", { scope: "row" }, name));
  for (const [key] of COLUMNS.slice(1)) row.append(html("td", NUMBERS.has(key) ? "number" : ""));
  fillRow(context, row, box, counts);
  return row;
}

/** @param {Context} context @param {HTMLTableRowElement} row @param {Box} box @param {Map<string, number>} counts */
function fillRow({ model, live }, row, box, counts) {
  const entry = model.node(box.id);
  const [, state, started, took, attempts, detail] = row.cells;
  fill(state, html("span", "state", {}, icon(entry.s, 12), " ", wordFor(entry.s)));
  setText(started, entry.t0 === null ? "" : duration(entry.t0));
  setText(took, tookWords(model, entry, live));
  setText(attempts, String(attemptsOf(box, entry, counts) || ""));
  setText(detail, [entry.items ? itemWords(entry.items) : entry.d, entry.why, entry.v].filter(Boolean).join(" · "));
}

/** @param {import("./model.js").RunModel} model @param {NodeEntry} entry @param {boolean} live */
function tookWords(model, entry, live) {
  if (entry.t0 === null) return "";
  if (entry.t1 === null) return model.ended ? "" : duration(model.elapsed(live) - entry.t0);
  return duration(entry.t1 - entry.t0);
}

/** How many tries the lanes saw of each node, by the label of the bar. @param {import("./model.js").RunModel} model */
function attemptCounts(model) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  const tries = new Set(["running", "done", "failed", "cancelled"]);
  const seen = new Set();
  for (const bar of model.document.lanes.bars) {
    // One attempt that holds two capacities has two bars with one start.
    const key = `${bar.node} ${bar.t0}`;
    if (!bar || !tries.has(bar.s) || seen.has(key)) continue;
    seen.add(key);
    counts.set(bar.node, (counts.get(bar.node) ?? 0) + 1);
  }
  return counts;
}

/** @param {Box} box @param {NodeEntry} entry @param {Map<string, number>} counts */
function attemptsOf(box, entry, counts) {
  if (box.kind === "map" || entry.t0 === null || entry.s === "stored" || entry.s === "kept" || entry.s === "param") return 0;
  return Math.max(1, counts.get(box.id) ?? 1);
}

/**
 * @param {Context} context
 * @param {{column: string, down: boolean}} order
 * @param {Map<string, number>} counts
 * @returns {Box[]}
 */
function sorted({ model, live }, { column, down }, counts) {
  const boxes = model.document.picture.boxes;
  if (!column) return boxes;
  const keyOf = (/** @type {Box} */ box) => {
    const entry = model.node(box.id);
    switch (column) {
      case "node":
        return box.name.toLowerCase();
      case "state":
        return entry.s;
      case "started":
        return entry.t0 ?? Infinity;
      case "took":
        return entry.t0 === null ? -1 : (entry.t1 ?? model.elapsed(live)) - entry.t0;
      case "attempts":
        return attemptsOf(box, entry, counts);
      default:
        return entry.d.toLowerCase();
    }
  };
  const keyed = boxes.map((box) => ({ box, key: keyOf(box) }));
  const sign = down ? -1 : 1;
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0));
  return keyed.map(({ box }) => box);
}

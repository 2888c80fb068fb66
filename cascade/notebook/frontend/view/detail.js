/** Selected node → what it is, how it went and why: a strip below the graph, so that it covers nothing. */

import { duration } from "./format.js";
import { html, fill, set, setText } from "./dom.js";
import { bringsFigure, figureStrip } from "./figures.js";
import { icon, wordFor } from "./icons.js";
import { createPeek } from "./peek.js";

/** @import {Context, Panel, NodeEntry} from "./types.js" */

const KINDS = /** @type {Record<string, string>} */ ({
  task: "task",
  map: "map",
  route: "route",
  param: "param",
  env: "environment value",
});

/** Whether a box stands for many nodes that are no items of one map. @param {import("./types.js").Box} box */
export const isGroup = (box) => box.kind === "map" && / nodes$/.test(box.note);

/** @param {Context} context @returns {Panel} */
export function createDetail(context) {
  const { model, selection } = context;
  const element = html("section", "detail", { role: "group", "aria-label": "the selected node" });
  element.hidden = true;
  /** @type {HTMLElement|null} */
  let taking = null;
  const peek = createPeek(context);
  const draw = () => {
    const id = selection.node;
    const box = id === null ? undefined : model.boxes.get(id);
    element.hidden = !box;
    taking = null;
    if (!box || id === null) return;
    const entry = model.node(id);
    taking = html("dd", "", {}, took(context, entry));
    const focused = buttonsOf(element).indexOf(/** @type {any} */ (document.activeElement));
    fill(
      element,
      html(
        "div",
        "detail-head",
        {},
        icon(entry.s, 14),
        html("b", "", {}, box.name),
        html("span", "kind", {}, isGroup(box) ? "nodes of one task" : KINDS[box.kind] ?? box.kind),
        html("span", "status", {}, [wordFor(entry.s), entry.d].filter(Boolean).join(" · ")),
        html("span", "gap"),
        lineageSwitch(context),
        html(
          "button",
          "quiet-button",
          { type: "button", "aria-label": "close", title: "close (Esc)", onclick: () => selection.select(null) },
          "×",
        ),
      ),
      html("dl", "facts", {}, ...facts(context, id, entry, taking)),
      peek.show(id, entry),
      figureStrip(context, id),
    );
    if (focused >= 0) buttonsOf(element)[focused]?.focus();
  };
  selection.listen((reason) => reason !== "find" && draw());
  return {
    element,
    draw(changes) {
      const { node } = selection;
      if (node !== null && (changes.all || changes.picture || changes.nodes.has(node) || bringsFigure(context, node, changes.log))) draw();
    },
    tick() {
      if (taking && selection.node !== null) setText(taking, took(context, model.node(selection.node)));
    },
  };
}

/** @param {HTMLElement} element */
function buttonsOf(element) {
  return [...element.querySelectorAll("button")];
}

/** @param {Context} context */
function lineageSwitch({ selection }) {
  const title = "show only what leads to this node and what comes from it";
  const button = html(
    "button",
    "switch",
    { type: "button", title, "aria-pressed": String(selection.lineage) },
    "Focus",
  );
  button.addEventListener("click", () => {
    selection.follow(!selection.lineage);
    set(button, { "aria-pressed": String(selection.lineage) });
  });
  return button;
}

/**
 * @param {Context} context
 * @param {string} id
 * @param {NodeEntry} entry
 * @param {HTMLElement} taking shows how long it takes, and goes on
 */
function facts(context, id, entry, taking) {
  const { model } = context;
  const box = model.boxes.get(id);
  /** @type {[string, string|Node|null][]} */
  const rows = [
    ["Why", entry.why],
    ["Value", entry.v && html("span", "mono", {}, entry.v)],
    ["Items", entry.items && itemWords(entry.items)],
    ["Started", entry.t0 === null ? null : `at ${duration(entry.t0)}`],
    ["Took", entry.t0 === null ? null : taking],
    ["Note", box?.note ?? null],
    [
      "Reads",
      links(
        context,
        (model.into.get(id) ?? []).map((arrow) => arrow.source),
      ),
    ],
    [
      "Read by",
      links(
        context,
        (model.from.get(id) ?? []).map((arrow) => arrow.target),
      ),
    ],
  ].map((row) => /** @type {[string, string|Node|null]} */ (row));
  return rows
    .filter(([, value]) => value)
    .map(([name, value]) =>
      html("div", "fact", {}, html("dt", "", {}, name), value === taking ? taking : html("dd", "", {}, value)),
    );
}

/** @param {Context} context @param {NodeEntry} entry */
function took({ model, live }, entry) {
  if (entry.t0 === null) return "";
  const end = entry.t1 ?? model.elapsed(live);
  return duration(end - entry.t0);
}

/** @param {import("./types.js").Items} items */
export function itemWords({ total, done, stored, kept = 0, running, failed, waiting }) {
  const over = done + stored + kept + failed;
  const words = [total === null ? `${over} so far` : `${over} of ${total}`];
  if (stored) words.push(`${stored} from the store`);
  if (kept) words.push(`${kept} kept`);
  if (running) words.push(`${running} running`);
  if (waiting) words.push(`${waiting} waiting`);
  if (failed) words.push(`${failed} failed`);
  return words.join(", ");
}

const LINKS = 12;

/** @param {Context} context @param {string[]} ids */
function links({ model, selection }, ids) {
  const known = [...new Set(ids)].filter((id) => model.boxes.has(id));
  if (known.length === 0) return null;
  const list = html("span", "links");
  for (const id of known.slice(0, LINKS)) {
    const name = model.boxes.get(id)?.name ?? id;
    list.append(
      html("button", "link", { type: "button", onclick: () => selection.centre(id) }, icon(model.node(id).s, 10), name),
    );
  }
  if (known.length > LINKS) list.append(`and ${known.length - LINKS} more`);
  return list;
}

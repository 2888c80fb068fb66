/**
 * Selected node → what it is, its arguments, its value: first what the document has, then what the kernel still knows.
 * Invariant: an answer that comes late, for a node that people have left, is not drawn.
 */

import { duration } from "./format.js";
import { fill, html } from "./dom.js";
import { icon, wordFor } from "./icons.js";
import { createParts } from "./parts.js";
import { smallTable } from "./small_table.js";

/** @import {Context, NodeEntry, Peek, PeekValue} from "./types.js" */

const SIZES = /** @type {const} */ ([
  [1e9, "GB"],
  [1e6, "MB"],
  [1e3, "kB"],
]);

/** @param {Context} context */
export function createPeek(context) {
  const { model, selection } = context;
  const element = html("div", "peek");
  const parts = createParts(context);
  let shown = "";
  let turn = 0;

  const draw = (/** @type {Peek|null} */ peek, /** @type {string} */ note) => {
    const { part } = selection;
    fill(
      element,
      part && partHead(context, part, peek),
      ...facts(peek),
      peek && argumentList(context, peek),
      peek?.value && value(peek.value, peek),
      note && html("div", "peek-note", { role: "status" }, note),
      !part && parts.element,
    );
  };
  /** @param {string} id @param {NodeEntry} entry */
  const show = (id, entry) => {
    const { part } = selection;
    const key = JSON.stringify([id, part, entry.s, entry.t1, Boolean(context.ask), model.document.run.id]);
    if (key === shown) return element;
    shown = key;
    turn += 1;
    const mine = turn;
    const known = part ? null : recorded(context, id);
    parts.show(id);
    draw(known, "");
    if (!context.ask) {
      if (part) draw(null, "More of it could be told while the kernel knew this run.");
      return element;
    }
    void context.ask({ what: "peek", node: part ?? id }).then((/** @type {any} */ answer) => {
      if (mine !== turn) return;
      const peek = /** @type {Peek|undefined} */ (answer?.peek);
      draw(peek ? { ...known, ...peek } : known, answer?.error ?? "");
      if (peek?.parts && !part) parts.take(peek.parts);
    });
    return element;
  };
  return { show };
}

/** What the document has about a node. @param {Context} context @param {string} id @returns {Peek|null} */
export function recorded({ model }, id) {
  const { peek } = model.document;
  const found = peek && Object.hasOwn(peek.nodes, id) ? peek.nodes[id] : null;
  if (!found || !peek) return null;
  return {
    task: typeof found.task === "number" ? peek.tasks[found.task] : undefined,
    arguments: found.arguments,
    parts: found.parts,
    value: found.head ? { ...found.head, state: "recorded" } : undefined,
  };
}

/** @param {Context} context @param {string} part @param {Peek|null} peek */
function partHead({ selection, model }, part, peek) {
  const name = model.boxes.get(selection.node ?? "")?.name ?? "all";
  const words = [peek?.s && wordFor(peek.s), peek?.took !== undefined && peek?.took !== null && duration(peek.took)];
  return html(
    "div",
    "part-head",
    {},
    html("button", "link", { type: "button", onclick: () => selection.choose(null) }, `← ${name}`),
    peek?.s && icon(peek.s, 12),
    html("b", "", {}, peek?.label ?? part),
    html("span", "status", {}, words.filter(Boolean).join(" · ")),
    peek?.why && html("span", "", {}, peek.why),
  );
}

/** @param {Peek|null} peek */
function facts(peek) {
  const task = peek?.task;
  if (!task || !(task.signature || task.doc)) return [];
  return [
    html(
      "div",
      "peek-task",
      {},
      task.signature && html("code", "mono", {}, task.signature),
      task.where && html("span", "quiet", {}, task.where),
      task.doc && html("div", "peek-doc", {}, task.doc),
    ),
  ];
}

/** @param {Context} context @param {Peek} peek */
function argumentList({ model, selection }, peek) {
  const given = peek.arguments ?? [];
  if (given.length === 0) return null;
  const rows = given.flatMap(({ name, text, node, value: now }) => [
    html("dt", "", {}, name),
    html(
      "dd",
      "",
      {},
      node && model.boxes.has(node)
        ? html("button", "link", { type: "button", onclick: () => selection.centre(node) }, text)
        : text,
      now && now !== text && ` · ${now}`,
    ),
  ]);
  return html("div", "peek-part", {}, html("div", "caption", {}, "Arguments"), html("dl", "pairs", {}, ...rows));
}

/** @param {PeekValue} found @param {Peek} peek */
function value(found, peek) {
  if (found.state === "none") return null;
  const size = SIZES.find(([unit]) => (found.size ?? 0) >= unit);
  const words = [found.type, size && `${((found.size ?? 0) / size[0]).toFixed(1)} ${size[1]}`].filter(Boolean).join(" · ");
  const caption = html("div", "caption", {}, "Value", words && html("span", "kind", {}, words));
  if (found.state === "gone") {
    return html("div", "peek-part", {}, caption, html("div", "quiet", {}, "Nobody keeps it any more: its readers are done."));
  }
  const note = found.state === "recorded" && html("div", "quiet", {}, "As it was when the node was done.");
  return html(
    "div",
    "peek-part",
    {},
    caption,
    found.text && html("div", "result-text", { tabindex: 0 }, found.text),
    found.table && smallTable(found.table, `value of ${peek.label ?? "the node"}`),
    note,
  );
}

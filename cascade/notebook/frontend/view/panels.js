/** The toggles Graph, Lanes, Log, Table and Params, the find box, and the panels below them. */

import { html, set } from "./dom.js";
import { createDetail } from "./detail.js";
import { createFind } from "./find.js";
import { createGraph } from "./graph/graph.js";
import { createLanes } from "./lanes.js";
import { createLog } from "./log.js";
import { createNodeTable } from "./table.js";
import { createParams } from "./params.js";
import { createReplay } from "./replay.js";
import { addChanges, noChanges } from "./model.js";

/** @import {Context, Panel, Changes} from "./types.js" */

const MAKERS = /** @type {const} */ ([
  ["graph", "Graph", createGraph],
  ["lanes", "Lanes", createLanes],
  ["log", "Log", createLog],
  ["table", "Table", createNodeTable],
  ["params", "Params", createParams],
]);

/** @param {Context} context @returns {Panel} */
export function createPanels(context) {
  const { memory, model } = context;
  const open = /** @type {Record<string, boolean>} */ (memory.open ??= { graph: true, lanes: true, log: true });
  const tabs = html("div", "tabs", { role: "group", "aria-label": "parts of the view" });
  const element = html("div", "panels", {}, tabs);
  const detail = createDetail(context);
  const replay = createReplay(context);
  const all = MAKERS.map(([key, title, make]) => {
    const panel = make(context);
    const button = html("button", "tab", { type: "button", onclick: () => switchTo(key, !open[key]) }, title);
    panel.element.id = `${context.uid}-${key}`;
    set(button, { "aria-controls": panel.element.id });
    tabs.append(button);
    element.append(panel.element);
    if (key === "graph") element.append(replay.element, detail.element);
    // What the panel was not told while it was hidden: opening it draws that, not everything anew.
    return { key, panel, button, missed: { ...noChanges(), all: true } };
  });
  tabs.append(createFind(context));

  const show = () => {
    for (const { key, panel, button } of all) {
      set(button, { "aria-pressed": String(Boolean(open[key])) });
      panel.element.hidden = !open[key];
    }
  };
  const switchTo = (/** @type {string} */ key, /** @type {boolean} */ on) => {
    open[key] = on;
    show();
    const entry = all.find((candidate) => candidate.key === key);
    if (on && entry) {
      drawWith(entry, noChanges());
      entry.panel.shown?.();
    }
  };
  show();
  const isOpen = (/** @type {{key: string}} */ { key }) => Boolean(open[key]);
  const drawWith = (/** @type {typeof all[number]} */ entry, /** @type {Changes} */ changes) => {
    addChanges(entry.missed, changes);
    if (!isOpen(entry)) return;
    const { missed } = entry;
    entry.missed = noChanges();
    entry.panel.draw(missed);
  };
  return {
    element,
    draw(changes) {
      const params = all.find(({ key }) => key === "params");
      if (params) params.button.hidden = model.document.params.length === 0;
      for (const entry of all) drawWith(entry, changes);
      detail.draw(changes);
      replay.draw(changes);
    },
    tick() {
      for (const entry of all) if (isOpen(entry)) entry.panel.tick?.();
      detail.tick?.();
    },
    destroy: () => [...all.map(({ panel }) => panel), replay].forEach((panel) => panel.destroy?.()),
  };
}

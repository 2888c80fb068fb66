/**
 * Document → the run on the page. Puts the panels together, draws what changed at most once a screen frame, and lets
 * the clock tick while the run goes on. Invariant: it can be thrown away and made again from the model at any time.
 */

import { addStyles, followTheme } from "./theme.js";
import { html, uniqueId } from "./dom.js";
import { RunModel, noChanges } from "./model.js";
import { Selection } from "./selection.js";
import { Ticker } from "./ticker.js";
import { createAnnouncer } from "./announcer.js";
import { createFailure } from "./failure.js";
import { createHead } from "./head.js";
import { keep } from "./kept.js";
import { createPanels } from "./panels.js";
import { createResult } from "./result.js";

/** @import {RunDocument, DeltaFrame, Context, Panel} from "./types.js" */

/**
 * @typedef {object} Options
 * @property {(message: {type: string, command?: string, node?: string}) => void} [send] speaks to the kernel; without it no buttons
 * @property {boolean} [live] whether a kernel stands behind the view
 * @property {(question: object) => Promise<any>} [ask] asks the kernel that knows the run
 * @property {Record<string, unknown>} [memory] kept by the caller, so that a view made again looks the same
 */

/**
 * @typedef {object} Kernel what a kernel that knows the run can do
 * @property {(question: object) => Promise<any>} ask
 * @property {(() => void)|null} retry
 */

/**
 * @typedef {object} View
 * @property {(frame: DeltaFrame) => "next"|"old"|"gap"} apply a gap is not drawn: ask for a whole document
 * @property {(document: RunDocument) => void} replace
 * @property {(text: string) => void} tell says what went wrong with an order
 * @property {(kernel: Kernel|null) => void} connect tells that a kernel knows the run, or none does any more
 * @property {() => void} destroy
 */

/**
 * @param {HTMLElement} root empty; the view fills it
 * @param {RunDocument} document
 * @param {Options} [options]
 * @returns {View}
 */
export function createView(root, document, { send = () => {}, live = false, memory = {}, ask } = {}) {
  const model = new RunModel(document);
  const element = html("div", live && !model.ended ? "view is-live" : "view", { role: "region" });
  /** @type {Context} */
  const context = {
    uid: uniqueId(),
    model,
    selection: new Selection(),
    live,
    memory,
    root: element,
    send: (command, more = {}) => send({ type: "command", command, ...more }),
    redraw: () => {},
    ask,
    canRetry: false,
    retry: () => {},
    said: "",
  };
  root.replaceChildren(element);
  keep(element, () => ({ ...model.document, run: { ...model.document.run, elapsed: model.elapsed(live) } }));
  addStyles(element);
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || context.selection.node === null) return;
    context.selection.select(null);
    event.preventDefault();
    event.stopPropagation();
  });
  /** @type {Panel[]} */
  const parts = [createHead(context), createFailure(context), createPanels(context), createResult(context)];
  if (live) parts.push(createAnnouncer(context));
  element.append(...parts.map((part) => part.element));
  return run(context, element, parts);
}

/**
 * @param {Context} context
 * @param {HTMLElement} element
 * @param {Panel[]} parts
 * @returns {View}
 */
function run(context, element, parts) {
  const { model, live } = context;
  let changes = { ...noChanges(), all: true };
  let asked = 0;
  const isVisible = () => element.isConnected && !globalThis.document.hidden;
  const tick = () => parts.forEach((part) => part.tick?.());
  const ticker = new Ticker(tick, () => model.elapsed(live), isVisible);
  const draw = () => {
    asked = 0;
    const now = changes;
    changes = noChanges();
    element.setAttribute("aria-label", labelFor(model.document.run));
    for (const part of parts) part.draw(now);
    const isGoing = live && !model.ended && model.state !== "pending";
    if (isGoing) tick();
    ticker.run(isGoing);
  };
  const ask = () => {
    asked ||= requestAnimationFrame(draw);
  };
  const redrawAll = () => {
    changes.all = true;
    ask();
  };
  context.redraw = (change) => {
    change(changes);
    ask();
  };
  const stopTheme = followTheme(element, redrawAll);
  draw();
  return {
    apply(frame) {
      const place = model.place(frame);
      if (place === "next") {
        model.apply(frame, changes);
        ask();
      }
      return place;
    },
    replace(document) {
      if (model.isOlder(document)) return;
      model.replace(document);
      redrawAll();
    },
    tell(text) {
      context.said = text;
      redrawAll();
    },
    connect(kernel) {
      context.said = "";
      context.ask = kernel?.ask;
      context.canRetry = Boolean(kernel?.retry);
      context.retry = kernel?.retry ?? (() => {});
      redrawAll();
    },
    destroy() {
      cancelAnimationFrame(asked);
      ticker.run(false);
      stopTheme();
      for (const part of parts) part.destroy?.();
      element.remove();
    },
  };
}

/** What tells this card from the others of a page, for who goes from landmark to landmark. @param {RunDocument["run"]} run */
function labelFor({ id, name, simulated }) {
  return `${simulated ? "Simulation" : "Run"} of ${name}${id ? ` (${id.slice(0, 6)})` : ""}`;
}

/**
 * Failures → a calm card: what failed and where in the user's own code, what caused it, with what inputs, what is still
 * good, and what to do next. Of several failures one is told at a time, the first one first.
 */

import { html, fill } from "./dom.js";
import { plural } from "./format.js";
import { icon } from "./icons.js";
import { createRetry } from "./retry.js";

/** @import {Context, Panel, Failure, Frame, Cause} from "./types.js" */

/** @param {Context} context @returns {Panel} */
export function createFailure(context) {
  const { model } = context;
  const element = html("section", "failure", { role: "group", "aria-label": "failure" });
  element.hidden = true;
  const retry = createRetry(context);
  let turn = 0;
  const draw = () => {
    const { failure } = model.document;
    element.hidden = !failure;
    retry.draw();
    if (!failure) return fill(element);
    const all = [failure, ...(failure.more ?? [])];
    turn = Math.min(turn, all.length - 1);
    const shown = all[turn];
    fill(
      element,
      heading(context, shown),
      all.length > 1 && turns(all, failure.others ?? 0, turn, go),
      html(
        "div",
        "failure-body",
        {},
        shown.frames.length > 0 && frames(shown.frames, "your code, outermost call first"),
        ...(shown.causes ?? []).map(cause),
        shown.inputs.length > 0 && inputs(shown),
        failure.good && html("div", "good", {}, icon("done", 12), html("span", "", {}, failure.good)),
        html("div", "failure-acts", {}, retry.element, shown.node && debug(shown)),
      ),
    );
  };
  const go = (/** @type {number} */ place) => {
    turn = place;
    draw();
    element.querySelector("button.cascade-turn:not(:disabled)")?.scrollIntoView({ block: "nearest" });
    /** @type {HTMLElement|null} */ (element.querySelector("button.cascade-turn:not(:disabled)"))?.focus();
  };
  return {
    element,
    draw(changes) {
      if (changes.all || changes.failure) draw();
    },
  };
}

/** @param {Context} context @param {Failure} failure */
function heading({ model, selection }, failure) {
  const isItem = /\[\d+\]$/.test(failure.label) && model.boxes.get(failure.node)?.kind === "map";
  const show = () => model.boxes.has(failure.node) && selection.centre(failure.node, isItem ? failure.label : null);
  const name = model.boxes.has(failure.node)
    ? html("button", "link", { type: "button", title: "show it in the graph", onclick: show }, failure.label)
    : html("b", "", {}, failure.label);
  return html(
    "div",
    "failure-head",
    {},
    html("div", "failure-title", {}, icon("failed", 14), name, html("span", "", {}, " failed")),
    error(failure),
  );
}

/** @param {{error_type: string, error: string}} failed */
function error(failed) {
  return html(
    "div",
    "failure-error",
    { tabindex: 0 },
    html("b", "", {}, failed.error_type),
    failed.error && html("span", "", {}, `: ${failed.error}`),
  );
}

/** @param {Failure[]} all @param {number} others @param {number} turn @param {(place: number) => void} go */
function turns(all, others, turn, go) {
  const button = (/** @type {string} */ text, /** @type {number} */ place) =>
    html(
      "button",
      "switch turn",
      { type: "button", disabled: place < 0 || place >= all.length, onclick: () => go(place) },
      text,
    );
  const left = all.length - 1 - turn + others;
  const words = [`failure ${turn + 1} of ${all.length + others}`, left > 0 && turn === 0 && `and ${plural(left, "more", "more")}`];
  return html(
    "div",
    "failure-turns",
    { role: "group", "aria-label": "failures" },
    button("Previous", turn - 1),
    button("Next failure", turn + 1),
    html("span", "quiet", { role: "status" }, words.filter(Boolean).join(", ")),
  );
}

/** @param {Cause} behind */
function cause(behind) {
  return html(
    "div",
    "failure-cause",
    {},
    html("div", "caption", {}, behind.how),
    error(behind),
    behind.frames.length > 0 && frames(behind.frames, "where that happened"),
  );
}

/** @param {Frame[]} given @param {string} label */
function frames(given, label) {
  const rows = given.map((frame) =>
    html(
      "li",
      "frame",
      {},
      html(
        "div",
        "frame-place",
        {},
        html("span", "", {}, frame.file),
        `, line ${frame.line}`,
        frame.function && ", in ",
        html("span", "", {}, frame.function),
      ),
      frame.code && html("code", "frame-code", {}, frame.code.trim()),
    ),
  );
  return html("ol", "frames", { "aria-label": label }, ...rows);
}

/** @param {Failure} failure */
function inputs(failure) {
  const rows = failure.inputs.flatMap(({ name, preview }) => [html("dt", "", {}, name), html("dd", "", {}, preview)]);
  return html("div", "failure-inputs", {}, html("div", "caption", {}, "Inputs"), html("dl", "pairs", {}, ...rows));
}

/** Says what to type, since a page must not run code. @param {Failure} failure */
function debug(failure) {
  const words = html("span", "debug-words", { role: "status" });
  const button = html("button", "button", { type: "button", "aria-expanded": "false" }, "Debug");
  button.addEventListener("click", () => {
    const isOpen = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!isOpen));
    fill(
      words,
      !isOpen && "In a cell, ",
      !isOpen && html("code", "mono", {}, `%cascade debug ${failure.label}`),
      !isOpen && " puts these inputs into the notebook.",
    );
  });
  return html("span", "debug", {}, button, words);
}

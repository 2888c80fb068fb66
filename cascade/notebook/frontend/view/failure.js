/** Failure → a calm card: what failed and where in the user's own code, with what inputs, and what is still good. */

import { html, fill } from "./dom.js";
import { icon } from "./icons.js";

/** @import {Context, Panel, Failure} from "./types.js" */

/** @param {Context} context @returns {Panel} */
export function createFailure({ model, selection }) {
  const element = html("section", "failure", { "aria-label": "failure" });
  element.hidden = true;
  return {
    element,
    draw(changes) {
      if (!(changes.all || changes.failure)) return;
      const { failure } = model.document;
      element.hidden = !failure;
      if (!failure) return fill(element);
      fill(
        element,
        heading(failure, () => model.boxes.has(failure.node) && selection.centre(failure.node)),
        html(
          "div",
          "failure-body",
          {},
          failure.frames.length > 0 && frames(failure),
          failure.inputs.length > 0 && inputs(failure),
          failure.good && html("div", "good", {}, icon("done", 12), html("span", "", {}, failure.good)),
        ),
      );
    },
  };
}

/** @param {Failure} failure @param {() => void} onShow */
function heading(failure, onShow) {
  const node = html(
    "button",
    "link",
    { type: "button", title: "show it in the graph", onclick: onShow },
    failure.label,
  );
  return html(
    "div",
    "failure-head",
    {},
    html("div", "failure-title", {}, icon("failed", 14), node, html("span", "", {}, " failed")),
    html(
      "div",
      "failure-error",
      {},
      html("b", "", {}, failure.error_type),
      failure.error && html("span", "", {}, `: ${failure.error}`),
    ),
  );
}

/** @param {Failure} failure */
function frames(failure) {
  const rows = failure.frames.map((frame) =>
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
  return html("ol", "frames", { "aria-label": "your code, outermost call first" }, ...rows);
}

/** @param {Failure} failure */
function inputs(failure) {
  const rows = failure.inputs.flatMap(({ name, preview }) => [html("dt", "", {}, name), html("dd", "", {}, preview)]);
  return html("div", "failure-inputs", {}, html("div", "caption", {}, "Inputs"), html("dl", "pairs", {}, ...rows));
}

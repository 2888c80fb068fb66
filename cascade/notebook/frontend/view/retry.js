/** A button that runs again what failed, with what is good kept; there while a kernel knows the run. */

import { html, set, setText } from "./dom.js";

/** @import {Context} from "./types.js" */

const TITLE = "run again what failed or was cancelled; what is good is kept";

/** @param {Context} context */
export function createRetry(context) {
  let isAsked = false;
  const element = html("button", "button", { type: "button", title: TITLE, onclick: () => ask() }, "Retry");
  element.hidden = true;
  const draw = () => {
    if (!context.canRetry || context.said) isAsked = false;
    element.hidden = !context.canRetry || context.model.at !== null;
    setText(element, isAsked ? "Retrying…" : "Retry");
    set(element, { disabled: isAsked });
  };
  const ask = () => {
    isAsked = true;
    draw();
    context.retry();
  };
  return { element, draw };
}

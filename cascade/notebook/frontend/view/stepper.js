/** Step mode → the button Next and the key n: the first ready node starts, or the one that is selected. */

import { html, set } from "./dom.js";

/** @import {Context} from "./types.js" */

/** The node that Next would start although it is not the first: the selected one, if it is ready. @param {Context} context */
function chosen({ model, selection }) {
  return selection.node !== null && model.node(selection.node).next ? selection.node : null;
}

/**
 * @param {Context} context
 * @returns {{element: HTMLButtonElement, draw: () => void}}
 */
export function createNext(context) {
  const { model, root, selection } = context;
  const element = html("button", "button next", { type: "button", onclick: () => press() }, "Next");
  const isReady = () => Object.values(model.document.nodes).some((entry) => entry.next);
  const press = () => {
    if (element.getAttribute("aria-disabled") === "true") return;
    const node = chosen(context);
    context.send("next", node === null ? {} : { node });
  };
  const draw = () => {
    element.hidden = !model.document.run.step || model.ended;
    if (element.hidden) return;
    // Not the attribute `disabled`: a button that is disabled while it has the focus swallows the keys.
    set(element, { "aria-disabled": String(!isReady()), title: titleOf(context) });
  };
  selection.listen((reason) => reason === "node" && draw());
  root.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.matches("input, select, textarea");
    if (event.key !== "n" || element.hidden || typing || event.ctrlKey || event.altKey || event.metaKey) return;
    press();
    event.preventDefault();
    event.stopPropagation();
  });
  return { element, draw };
}

/** @param {Context} context */
function titleOf(context) {
  const node = chosen(context);
  const name = node === null ? null : context.model.boxes.get(node)?.name;
  return name ? `let ${name} start (key n)` : "let the first ready node start (key n)";
}

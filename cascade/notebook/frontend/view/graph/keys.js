/** Keys on the graph: arrows walk along the edges, Enter tells more, Esc leaves, plus and minus zoom. */

import { step } from "./steps.js";

/** @param {import("./graph.js").Graph} graph */
export function listenToKeys(graph) {
  const { room, context, viewport } = graph;
  room.addEventListener("keydown", (event) => {
    if (graph.stop === null || event.altKey || event.metaKey || event.ctrlKey) return;
    const next = step(context.model, graph.stop, event.key);
    if (next !== null) graph.goTo(next);
    else if (event.key === "Enter" || event.key === " ") context.selection.select(graph.stop);
    else if (event.key === "Escape") leave(graph);
    else if (event.key === "+" || event.key === "=") viewport.zoom(1.25);
    else if (event.key === "-") viewport.zoom(1 / 1.25);
    else if (event.key === "0") viewport.fit();
    else if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
    event.stopPropagation();
  });
  room.addEventListener("focusin", (event) => {
    const id = graph.scene.hit(event);
    if (id !== null) {
      graph.stop = id;
      graph.scene.setStop(id);
    }
    graph.light(graph.stop);
  });
  room.addEventListener("focusout", () => graph.light(null));
}

/** First the detail closes, then the graph lets the focus go. @param {import("./graph.js").Graph} graph */
function leave(graph) {
  if (graph.context.selection.node !== null) graph.context.selection.select(null);
  else if (document.activeElement instanceof HTMLElement || document.activeElement instanceof SVGElement)
    document.activeElement.blur();
}

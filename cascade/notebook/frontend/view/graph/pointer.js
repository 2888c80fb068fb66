/** Pointer on the graph: hovering lifts a node's edges out, a click selects, dragging pans, ctrl or cmd + wheel zooms. */

import { toggle } from "../dom.js";

const SLACK = 4;

/** @param {import("./graph.js").Graph} graph */
export function listenToPointer(graph) {
  const { room } = graph;
  room.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "touch" && event.buttons === 0) graph.light(graph.scene.hit(event));
  });
  room.addEventListener("pointerleave", () => graph.light(null));
  room.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const ground = room.getBoundingClientRect();
      const pixels = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
      graph.viewport.zoom(
        Math.exp(-Math.max(-120, Math.min(120, pixels)) / 240),
        event.clientX - ground.left,
        event.clientY - ground.top,
      );
    },
    { passive: false },
  );
  room.addEventListener("pointerdown", (event) => {
    if (event.button === 0) follow(graph, event);
  });
}

/**
 * From press to release: a drag when it goes far, else a click.
 * @param {import("./graph.js").Graph} graph
 * @param {PointerEvent} down
 */
function follow(graph, down) {
  const { room, viewport, context } = graph;
  const pressed = graph.scene.hit(down);
  let [x, y] = [down.clientX, down.clientY];
  let isDrag = false;
  const move = (/** @type {PointerEvent} */ event) => {
    if (!isDrag && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < SLACK) return;
    if (!isDrag) {
      isDrag = true;
      room.setPointerCapture(down.pointerId);
      toggle(room, "is-dragged", true);
    }
    viewport.pan(event.clientX - x, event.clientY - y);
    [x, y] = [event.clientX, event.clientY];
  };
  const end = (/** @type {PointerEvent} */ event) => {
    room.removeEventListener("pointermove", move);
    room.removeEventListener("pointerup", end);
    room.removeEventListener("pointercancel", end);
    toggle(room, "is-dragged", false);
    if (isDrag || event.type === "pointercancel") return;
    const { selection } = context;
    selection.select(pressed === selection.node ? null : pressed);
  };
  room.addEventListener("pointermove", move);
  room.addEventListener("pointerup", end);
  room.addEventListener("pointercancel", end);
}

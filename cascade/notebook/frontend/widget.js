/**
 * The live shell, an anywidget module: the synced snapshot and the frames after it → the view. The snapshot is the
 * truth; after a gap in the frames it asks for a new one. Rendering again, as JupyterLab does when an output scrolls
 * away and back, begins from the newest snapshot.
 */

import { Asker } from "./view/asker.js";
import { createView } from "./view/view.js";

/** @import {RunDocument, DeltaFrame} from "./view/types.js" */
/**
 * @typedef {object} Model what anywidget hands over
 * @property {(name: string) => any} get
 * @property {(content: unknown) => void} send
 * @property {(event: string, listener: (...parts: any[]) => void) => void} on
 * @property {(event: string, listener: (...parts: any[]) => void) => void} off
 */

/** How long to wait for an asked snapshot before asking again, ms. */
const PATIENCE = 2000;

/** What people opened and chose, by display, while the page lives: each rendering may have a model of its own. */
const memories = /** @type {Map<unknown, Record<string, unknown>>} */ (new Map());

/** @param {Model} model */
function memoryOf(model) {
  const display = model.get("snapshot")?.display || model;
  const known = memories.get(display);
  if (known) return known;
  const fresh = {};
  memories.set(display, fresh);
  return fresh;
}

/** @param {{model: Model, el: HTMLElement}} place */
function render({ model, el }) {
  const send = (/** @type {unknown} */ message) => model.send(message);
  const asker = new Asker(send);
  const ask = (/** @type {object} */ question) => asker.ask(question);
  const root = document.createElement("div");
  el.append(root);
  const view = createView(root, model.get("snapshot") ?? {}, { send, ask, live: true, memory: memoryOf(model) });
  let askedAt = -Infinity;
  const askSnapshot = () => {
    if (performance.now() - askedAt < PATIENCE) return;
    askedAt = performance.now();
    send({ type: "snapshot" });
  };
  const onMessage = (/** @type {any} */ message) => {
    if (message?.type === "frame" && view.apply(/** @type {DeltaFrame} */ (message)) === "gap") askSnapshot();
    if (message?.type === "answer") asker.take(message);
    if (message?.type !== "snapshot" || !message.snapshot) return;
    askedAt = -Infinity;
    view.replace(/** @type {RunDocument} */ (message.snapshot));
  };
  const onSnapshot = () => view.replace(model.get("snapshot"));
  model.on("msg:custom", onMessage);
  model.on("change:snapshot", onSnapshot);
  // Frames sent before this view listened are lost: ask once for what is true now.
  if (model.get("snapshot")?.run?.live !== false) askSnapshot();
  return () => {
    model.off("msg:custom", onMessage);
    model.off("change:snapshot", onSnapshot);
    view.destroy();
    root.remove();
  };
}

export default { render };

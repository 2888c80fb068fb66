/**
 * The shell of `cs.controls`, an anywidget module: a form, and below it the view of the run that it starts. The synced
 * snapshot holds both; after it come `form`, `frame` and `snapshot` messages. Rendering again, as JupyterLab does when
 * the saved picture beside the widget is brought up to date, goes on where the person was.
 */

import { Asker } from "./view/asker.js";
import { html, toggle } from "./view/dom.js";
import { createForm } from "./view/form.js";
import { keep, keptIn } from "./view/kept.js";
import { addStyles, followTheme } from "./view/theme.js";
import { createView } from "./view/view.js";

/** @import {DeltaFrame, RunDocument} from "./view/types.js" */
/** @import {Model} from "./widget.js" */
/**
 * @typedef {object} Memory
 * @property {Record<string, unknown>} view what people opened and chose in the run
 * @property {number|null} focus the control that a person is at
 * @property {{root: HTMLElement, leave: () => void}[]} shown the renderings there are
 * @property {object} form the newest word on values and errors: the model only knows how it was opened
 * @property {RunDocument|null} run the same for the run
 */

/** How many frames of the screen a new rendering may take to come onto the page. */
const FRAMES = 30;

/** By the id of the controls: each rendering gets a model object of its own. @type {Map<string, Memory>} */
const memories = new Map();

/** @param {string} id @returns {Memory} */
function memoryOf(id) {
  const known = memories.get(id) ?? { view: {}, focus: null, shown: [], form: {}, run: null };
  memories.set(id, known);
  return known;
}

/** @param {{model: Model, el: HTMLElement}} place */
function render({ model, el }) {
  const send = (/** @type {unknown} */ message) => model.send(message);
  const asker = new Asker(send);
  const given = model.get("snapshot") ?? {};
  const memory = memoryOf(String(given.form?.id ?? ""));
  for (const old of memory.shown.filter(({ root }) => !root.isConnected)) old.leave();
  const shownForm = () => ({ name: "", fields: [], values: [], errors: [], note: "", ...given.form, ...memory.form });
  const form = createForm(shownForm(), send);
  const top = html("div", "view control-card", {}, form.element);
  const below = html("div", "control-run");
  const root = html("div", "control-shell", {}, top, below);
  el.append(root);
  addStyles(top);
  const stopTheme = followTheme(top, () => {});
  const ask = (/** @type {object} */ question) => asker.ask(question);
  const view = createView(below, memory.run ?? given.run ?? {}, { send, ask, live: true, memory: memory.view });
  keep(root, () => /** @type {RunDocument} */ ({ ...keptIn(below), controls: shownForm() }));
  const showRun = (/** @type {RunDocument} */ run) => {
    memory.run = run;
    toggle(root, "is-idle", !run?.run?.id);
    view.replace(run);
  };
  const showForm = (/** @type {import("./view/form.js").State} */ state) => {
    memory.form = state;
    form.update(state);
  };
  toggle(root, "is-idle", !(memory.run ?? given.run)?.run?.id);
  const onMessage = (/** @type {any} */ message) => {
    if (message?.type === "form") showForm(message.form);
    if (message?.type === "frame" && view.apply(/** @type {DeltaFrame} */ (message)) === "gap") send({ type: "snapshot" });
    if (message?.type === "answer") asker.take(message);
    if (message?.type === "snapshot" && message.snapshot) showRun(message.snapshot);
    if (message?.type !== "state") return;
    showForm(message.state.form);
    showRun(message.state.run);
  };
  model.on("msg:custom", onMessage);
  // What was said before this listened is lost: ask once for what is true now.
  send({ type: "snapshot" });
  const leave = () => {
    memory.shown = memory.shown.filter((one) => one.root !== root);
    model.off("msg:custom", onMessage);
    stopTheme();
    view.destroy();
    root.remove();
  };
  memory.shown.push({ root, leave });
  rememberFocus(form, memory);
  return leave;
}

/**
 * The focus stays at its control when the rendering is replaced by another one.
 * @param {ReturnType<typeof createForm>} form
 * @param {Memory} memory
 */
function rememberFocus({ element, controls, focus }, memory) {
  element.addEventListener("focusin", (event) => {
    memory.focus = controls.findIndex((control) => control.element.contains(/** @type {Node} */ (event.target)));
  });
  element.addEventListener("focusout", () => setTimeout(() => {
    if (element.isConnected && !element.contains(document.activeElement)) memory.focus = null;
  }));
  const wanted = memory.focus;
  if (wanted === null || wanted < 0) return;
  let left = FRAMES;
  const tryFocus = () => {
    const isFree = document.activeElement === null || !document.activeElement.matches("input, textarea, select, [contenteditable=true]");
    if (element.isConnected && isFree) focus(wanted);
    else if (left-- > 0 && !element.isConnected) requestAnimationFrame(tryFocus);
  };
  tryFocus();
}

export default { render };

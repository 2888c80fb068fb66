/**
 * JupyterLab's application → the kernel of the document in which a view stands. A renderer knows no kernel, so this
 * plugin finds it: the widget of the main area around the view has a session. Without it, views are as in a saved page.
 */

import { setMeeting } from "./link.js";

/** @typedef {import("./link.js").KernelConnection} KernelConnection */
/** @typedef {{connect: (listener: (...parts: any[]) => void) => unknown}} Signal */
/**
 * @typedef {object} SessionContext
 * @property {{kernel: (KernelConnection & {connectionStatus: string})|null}|null} session
 * @property {Signal} kernelChanged
 * @property {Signal} statusChanged
 * @property {Signal} connectionStatusChanged
 */
/** @typedef {{node: HTMLElement, sessionContext?: SessionContext, content?: {sessionContext?: SessionContext}, context?: {saveState: Signal}}} Place */

/** @param {Place} place */
const contextOf = (place) => place.sessionContext ?? place.content?.sessionContext ?? null;

/** @type {WeakSet<object>} */
const watched = new WeakSet();
const GONE = new Set(["dead", "restarting", "autorestarting"]);

/** @param {{shell: {widgets: (area: string) => Iterable<Place>}}} app */
function activate(app) {
  /** @type {Set<() => void>} */
  const listeners = new Set();
  const tell = () => [...listeners].forEach((listener) => listener());
  /** @type {Set<(place: HTMLElement) => void>} */
  const savers = new Set();
  const save = (/** @type {Place} */ place) => [...savers].forEach((saver) => saver(place.node));
  const look = (/** @type {HTMLElement} */ element) => {
    for (const place of app.shell.widgets("main")) {
      const context = place.node.contains(element) ? contextOf(place) : null;
      if (!context) continue;
      watch(context, tell);
      watchSaving(place, save);
      return context;
    }
    return null;
  };
  const standing = (/** @type {HTMLElement} */ element) => {
    const context = look(element);
    if (!context) return "none";
    const kernel = context.session?.kernel;
    if (!kernel || kernel.isDisposed || GONE.has(kernel.status)) return "gone";
    return kernel.connectionStatus === "connected" && kernel.status !== "unknown" ? "up" : "away";
  };
  const find = (/** @type {HTMLElement} */ element) =>
    standing(element) === "up" ? (look(element)?.session?.kernel ?? null) : null;
  setMeeting({ find, standing, listeners, savers });
  tell();
}

/** JupyterLab tells that it begins to save before it reads what it saves. @param {Place} place @param {(place: Place) => void} save */
function watchSaving(place, save) {
  if (!place.context || watched.has(place.context)) return;
  watched.add(place.context);
  place.context.saveState.connect((_, /** @type {string} */ state) => {
    if (state === "started") save(place);
  });
}

/** @param {SessionContext} context @param {() => void} tell */
function watch(context, tell) {
  if (watched.has(context)) return;
  watched.add(context);
  context.kernelChanged.connect(tell);
  context.connectionStatusChanged.connect(tell);
  let before = "";
  context.statusChanged.connect((_, /** @type {string} */ status) => {
    // Busy and idle come and go with each cell; only a kernel that is new, or gone, is news.
    const now = ["busy", "idle"].includes(status) ? "up" : status;
    if (now !== before) tell();
    before = now;
  });
}

export default {
  id: "cascade-notebook:kernel",
  description: "Lets finished runs ask the kernel of their notebook.",
  autoStart: true,
  activate,
};

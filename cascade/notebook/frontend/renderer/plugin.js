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
/** @typedef {{node: HTMLElement, sessionContext?: SessionContext, content?: {sessionContext?: SessionContext}}} Place */

/** @param {Place} place */
const contextOf = (place) => place.sessionContext ?? place.content?.sessionContext ?? null;

/** @type {WeakSet<SessionContext>} */
const watched = new WeakSet();

/** @param {{shell: {widgets: (area: string) => Iterable<Place>}}} app */
function activate(app) {
  /** @type {Set<() => void>} */
  const listeners = new Set();
  const tell = () => [...listeners].forEach((listener) => listener());
  const find = (/** @type {HTMLElement} */ element) => {
    for (const place of app.shell.widgets("main")) {
      const context = place.node.contains(element) ? contextOf(place) : null;
      if (!context) continue;
      watch(context, tell);
      const kernel = context.session?.kernel;
      const isThere = kernel && !kernel.isDisposed && kernel.connectionStatus === "connected";
      return isThere && !["dead", "restarting", "autorestarting", "unknown"].includes(kernel.status) ? kernel : null;
    }
    return null;
  };
  setMeeting({ find, listeners });
  tell();
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

/**
 * A live view → the document that a notebook keeps of it. Views of a widget and the renderer of JupyterLab are bundled
 * apart, so they meet at a symbol of the element.
 */

/** @import {RunDocument} from "./types.js" */

const KEPT = Symbol.for("cascade-notebook:document");
/** What a saved document may weigh, characters of JSON; as in document.py. */
const LIMIT = 200_000;

/** Lets whoever finds `element` ask what it shows now. @param {Element} element @param {() => RunDocument} tell */
export function keep(element, tell) {
  /** @type {any} */ (element)[KEPT] = tell;
}

/** What the outermost view in `root` shows now; null where there is none. @param {Element} root @returns {RunDocument|null} */
export function keptIn(root) {
  for (const element of root.querySelectorAll("[class*=cascade-]")) {
    const tell = /** @type {any} */ (element)[KEPT];
    if (tell) return fit(structuredClone(tell()));
  }
  return null;
}

/** Drops the oldest lines and bars until the document weighs no more than it may. @param {RunDocument} document */
function fit(document) {
  const { log, lanes, dropped } = document;
  while ((log.length || lanes.bars.length) && JSON.stringify(document).length > LIMIT) {
    const isLog = log.length >= lanes.bars.length;
    const longer = isLog ? log : lanes.bars;
    const gone = longer.splice(0, Math.ceil(longer.length / 2)).length;
    dropped[isLog ? "log" : "bars"] += gone;
  }
  return document;
}

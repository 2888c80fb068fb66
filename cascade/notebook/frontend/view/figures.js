/**
 * What nodes displayed → small pictures and tables in their places, and one picture large over the view when it is asked
 * for: by click or Enter; Esc closes it. The kernel is asked for the whole picture where it listens; else what the
 * document holds must do.
 */

import { clock, plural } from "./format.js";
import { html, fill, set, setText } from "./dom.js";
import { image } from "./pictures.js";

/** @import {Context, Figure, LogLine} from "./types.js" */

const IN_LOG = { width: 220, height: 120 };
const IN_STRIP = { width: 150, height: 100 };
const MOST_IN_STRIP = 8;
const MARGIN = 10;

/**
 * What a line of the log shows beside its words, null if nothing.
 * @param {Context} context
 * @param {LogLine} line
 */
export function displayed(context, line) {
  const { figure } = line;
  if (!figure) return null;
  if (figure.columns?.length) return table(figure);
  return thumbnail(context, line, figure, IN_LOG);
}

/**
 * The latest pictures of a node in a row, null if it showed none.
 * @param {Context} context
 * @param {string} node
 */
export function figureStrip(context, node) {
  const lines = context.model.document.log.filter((line) => line.node === node && line.figure?.data);
  if (lines.length === 0) return null;
  const strip = html("div", "figures", { role: "group", "aria-label": "what this node showed" });
  for (const line of lines.slice(-MOST_IN_STRIP)) {
    const shown = line.figure && thumbnail(context, line, line.figure, IN_STRIP);
    if (shown) strip.append(html("div", "shown", {}, shown, html("div", "shown-name", {}, caption(line))));
  }
  const left = lines.length - MOST_IN_STRIP;
  if (left > 0) strip.append(html("div", "more", {}, `${plural(left, "earlier picture")} in the log`));
  return strip;
}

/**
 * Whether one of the `count` newest lines shows something of `node`.
 * @param {Context} context
 * @param {string} node
 * @param {number} count
 */
export function bringsFigure({ model }, node, count) {
  return count > 0 && model.document.log.slice(-count).some((line) => line.figure && line.node === node);
}

/** @param {LogLine} line */
function caption(line) {
  const words = line.text.length > 40 ? `${line.text.slice(0, 39)}…` : line.text;
  return [line.label.endsWith("]") ? line.label : "", words, clock(line.t)].filter(Boolean).join(" · ");
}

/**
 * @param {Context} context
 * @param {LogLine} line
 * @param {Figure} figure
 * @param {{width: number, height: number}} room
 */
function thumbnail(context, line, figure, room) {
  const small = image(figure, `${line.label}: ${line.text}`, room);
  if (!small) return figure.id && context.ask ? askFor(context, line, figure) : null;
  const label = `enlarge the picture of ${line.label}: ${line.text}`;
  const button = html("button", "thumbnail", { type: "button", title: "enlarge", "aria-label": label }, small);
  button.addEventListener("click", () => open(context, line, figure, button));
  small.addEventListener("error", () => fill(button, line.text));
  return button;
}

/** A picture that the document has no room for. @param {Context} context @param {LogLine} line @param {Figure} figure */
function askFor(context, line, figure) {
  const button = html("button", "link", { type: "button" }, "show the picture");
  button.addEventListener("click", () => open(context, line, figure, button));
  return button;
}

/** @param {Figure} figure */
function table({ columns, rows, more }) {
  const row = (/** @type {"th"|"td"} */ tag, /** @type {string[]} */ cells) =>
    html("tr", "", {}, ...cells.map((text) => html(tag, "", tag === "th" ? { scope: "col" } : {}, text)));
  return html(
    "div",
    "scroll shown-table",
    { tabindex: 0, role: "group", "aria-label": "table" },
    html(
      "table",
      "table",
      {},
      html("thead", "", {}, row("th", columns)),
      html("tbody", "", {}, ...rows.map((cells) => row("td", cells))),
    ),
    more > 0 && html("div", "more", {}, plural(more, "more row")),
  );
}

// -- large ------------------------------------------------------------------------------------------------------------

/** The viewer that is open, of each view. @type {WeakMap<Element, () => void>} */
const viewers = new WeakMap();

/**
 * @param {Context} context
 * @param {LogLine} line
 * @param {Figure} figure
 * @param {HTMLElement} from gets the focus back
 */
function open(context, line, figure, from) {
  const { root } = context;
  viewers.get(root)?.();
  const note = html("span", "shown-note");
  const place = html("div", "viewer-picture", { tabindex: -1 });
  const done = html("button", "quiet-button", { type: "button", "aria-label": "close", title: "close (Esc)" }, "×");
  const head = html("div", "detail-head", {}, html("b", "", {}, line.label), note, html("span", "gap"), done);
  const words = html("div", "viewer-words", {}, line.text);
  const viewer = html("div", "viewer", { role: "dialog", "aria-label": `picture of ${line.label}` }, head, place, words);
  const close = () => {
    viewer.remove();
    root.style.minHeight = "";
    viewers.delete(root);
    const back = from.isConnected ? from : root.querySelector(".cascade-log-scroll");
    if (back instanceof HTMLElement) back.focus({ preventScroll: true });
  };
  viewers.set(root, close);
  done.addEventListener("click", close);
  viewer.addEventListener("keydown", (event) => {
    event.stopPropagation(); // JupyterLab must not take keys for its own
    if (event.key !== "Escape") return;
    event.preventDefault();
    close();
  });
  const near = from.getBoundingClientRect().top - root.getBoundingClientRect().top;
  const settle = () => settleAt(root, viewer, near);
  const show = (/** @type {Figure} */ shown) => {
    const large = image({ ...shown, w: figure.w, h: figure.h }, line.text);
    if (!large) return false;
    large.addEventListener("load", settle);
    fill(place, large);
    return true;
  };
  root.append(viewer);
  show(figure);
  setText(note, noteOf(figure));
  if (!figure.whole && figure.id && context.ask) askWhole(context, figure, note, show);
  settle();
  done.focus({ preventScroll: true });
  viewer.scrollIntoView({ block: "nearest" });
}

/**
 * @param {Context} context
 * @param {Figure} figure
 * @param {HTMLElement} note
 * @param {(figure: Figure) => boolean} show
 */
async function askWhole(context, figure, note, show) {
  setText(note, "loading the whole picture…");
  let answer;
  try {
    answer = await context.ask?.({ what: "figure", figure: figure.id });
  } catch {
    answer = null;
  }
  const whole = answer?.figure;
  setText(note, whole && show({ ...figure, ...whole }) ? noteOf({ ...figure, whole: true }) : noteOf(figure));
}

/** What is said of a picture beside its name. @param {Figure} figure */
function noteOf({ w, h, whole, made, data }) {
  const size = w > 0 ? `${w} × ${h}` : "";
  const kind = whole ? size : data ? `a small version${size ? ` of ${size}` : ""}` : "the picture is not kept any more";
  return made > 0 ? `${kind} · first shown ${moment(made)}` : kind;
}

/** Day and time as people here write them. @param {number} seconds since the epoch */
export function moment(seconds) {
  return new Date(seconds * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

/**
 * Puts the viewer near what was clicked, and makes room for it in a view that is smaller.
 * @param {HTMLElement} root
 * @param {HTMLElement} viewer
 * @param {number} near
 */
function settleAt(root, viewer, near) {
  if (!viewer.isConnected) return;
  root.style.minHeight = "";
  const { offsetHeight: height } = viewer;
  const top = Math.max(MARGIN, Math.min(near - height / 2, root.clientHeight - height - MARGIN));
  set(viewer, { style: `top:${Math.round(top)}px` });
  root.style.minHeight = `${height + 2 * MARGIN}px`;
}

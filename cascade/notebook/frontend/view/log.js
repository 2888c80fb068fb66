/**
 * Log lines → what was said, by the run and by each node, filtered. Keeps the last lines in the page only, and follows
 * the end unless someone scrolled away from it.
 */

import { clock, plural } from "./format.js";
import { html, fill, setText } from "./dom.js";
import { displayed, moment } from "./figures.js";
import { stateFor, icon } from "./icons.js";

/** @import {Context, Panel, LogLine} from "./types.js" */

const SHOWN = 500;
const STREAMS = /** @type {const} */ ([
  ["", "all lines"],
  ["event", "events"],
  ["output", "output"],
  ["stdout", "stdout"],
  ["stderr", "stderr"],
  ["display", "pictures and tables"],
  ["log", "logging"],
  ["warning", "warnings"],
]);
const LEVELS = /** @type {const} */ ([
  ["", "all levels"],
  ["info", "info and above"],
  ["warning", "warnings and errors"],
  ["error", "errors only"],
]);
const WEIGHT = /** @type {Record<string, number>} */ ({ debug: 0, info: 1, warning: 2, error: 3 });

/** @param {Context} context @returns {Panel} */
export function createLog(context) {
  const { selection, memory } = context;
  const filter = /** @type {{stream: string, level: string}} */ (memory.log ??= { stream: "", level: "" });
  const chip = html("span", "chip-place");
  const tally = html("span", "tally");
  const left = html("div", "more");
  const lines = html("div", "lines");
  const scroller = html(
    "div",
    "scroll log-scroll",
    { role: "log", "aria-live": "off", "aria-label": "log", tabindex: 0 },
    left,
    lines,
  );
  const redraw = () => drawAll(context, filter, { chip, tally, left, lines, scroller });
  const bar = html(
    "div",
    "log-bar",
    {},
    chip,
    tally,
    html("span", "gap"),
    choice("which lines", STREAMS, filter.stream, (value) => {
      filter.stream = value;
      redraw();
    }),
    choice("which levels", LEVELS, filter.level, (value) => {
      filter.level = value;
      redraw();
    }),
  );
  selection.listen((reason) => reason === "node" && redraw());
  return {
    element: html("section", "panel log", {}, bar, scroller),
    draw(changes) {
      if (changes.all || changes.log >= SHOWN) redraw();
      else if (changes.log > 0) add(context, filter, { tally, left, lines, scroller }, changes.log);
    },
    shown: () => {
      if (context.live) scroller.scrollTop = scroller.scrollHeight;
    },
  };
}

/**
 * @param {string} label
 * @param {readonly (readonly [string, string])[]} options
 * @param {string} now
 * @param {(value: string) => void} onChoice
 */
function choice(label, options, now, onChoice) {
  const select = html("select", "choice", { "aria-label": label });
  for (const [value, text] of options) select.append(html("option", "", { value, selected: value === now }, text));
  select.addEventListener("change", () => onChoice(select.value));
  return html("span", "choosing", {}, select);
}

/** @param {Context} context @param {{stream: string, level: string}} filter @returns {(line: LogLine) => boolean} */
function passes({ selection, model }, filter) {
  const node = selection.node !== null && model.boxes.has(selection.node) ? selection.node : null;
  const least = filter.level ? WEIGHT[filter.level] : -1;
  return (line) => {
    if (node !== null && line.node !== node) return false;
    if (
      filter.stream === "output"
        ? !OWN.has(line.stream)
        : filter.stream && line.stream !== filter.stream
    )
      return false;
    return (WEIGHT[line.level] ?? 1) >= least;
  };
}

/**
 * @param {Context} context
 * @param {{stream: string, level: string}} filter
 * @param {{chip: Element, tally: Element, left: HTMLElement, lines: Element, scroller: Element}} parts
 */
function drawAll(context, filter, { chip, tally, left, lines, scroller }) {
  const { model, selection } = context;
  const place = isAtEnd(scroller) ? null : scroller.scrollTop;
  const box = selection.node === null ? undefined : model.boxes.get(selection.node);
  fill(
    chip,
    box &&
      html(
        "span",
        "chip",
        {},
        `only ${box.name}`,
        html(
          "button",
          "chip-close",
          { type: "button", "aria-label": `show the lines of all nodes`, onclick: () => selection.select(null) },
          "×",
        ),
      ),
  );
  const passing = model.document.log.filter(passes(context, filter));
  fill(lines, ...passing.slice(-SHOWN).map((line) => row(context, line)));
  if (passing.length === 0) lines.append(html("div", "empty", {}, emptyWords(context, model.document.log.length > 0)));
  tellCount(context, { tally, left, lines }, passing.length);
  scroller.scrollTop = place ?? (context.live ? scroller.scrollHeight : 0);
}

/** @param {Element} scroller */
function isAtEnd(scroller) {
  return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 24;
}

/** @param {Context} context @param {boolean} filtered */
function emptyWords({ model }, filtered) {
  if (filtered) return "No line passes the filter.";
  return model.ended ? "Nothing was said." : "Nothing said yet.";
}

/**
 * @param {Context} context
 * @param {{stream: string, level: string}} filter
 * @param {{tally: Element, left: HTMLElement, lines: Element, scroller: Element}} parts
 * @param {number} count of lines that came
 */
function add(context, filter, { tally, left, lines, scroller }, count) {
  const atEnd = isAtEnd(scroller);
  const isIn = passes(context, filter);
  const { log } = context.model.document;
  const fresh = log.slice(-count).filter(isIn);
  if (fresh.length && lines.firstElementChild?.matches(".cascade-empty")) lines.replaceChildren();
  lines.append(...fresh.map((line) => row(context, line)));
  while (lines.childElementCount > SHOWN) lines.firstElementChild?.remove();
  tellCount(context, { tally, left, lines }, log.filter(isIn).length);
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
}

/**
 * How many lines there are, and how many of them are not in the page.
 * @param {Context} context
 * @param {{tally: Element, left: HTMLElement, lines: Element}} parts
 * @param {number} passing lines of the document that pass the filter
 */
function tellCount({ model }, { tally, left, lines }, passing) {
  const gone = model.forgotten + model.document.dropped.log;
  const here = model.document.log.length;
  const all = plural(here + gone, "line");
  setText(tally, passing < here ? `${passing.toLocaleString("en")} of ${all}` : all);
  const missing = Math.max(0, passing - lines.querySelectorAll(".cascade-line").length) + gone;
  left.hidden = missing === 0;
  setText(left, missing ? `${plural(missing, "earlier line")} left out` : "");
}

/** The streams that are a node's own words and pictures. */
const OWN = new Set(["stdout", "stderr", "display"]);

/** The one text with a link in it: where a cluster shows what it does. */
const DASHBOARD = /^(on the cluster at \S+, dashboard )(https?:\/\/[^\s"'<>]+)$/;

/** @param {LogLine} line @returns {(string|Node)[]} */
function said(line) {
  const found = line.stream === "event" && !line.node && DASHBOARD.exec(line.text);
  if (!found) return [line.text];
  const [, words, href] = found;
  return [words, html("a", "link", { href, target: "_blank", rel: "noopener noreferrer" }, href)];
}

/** @param {Context} context @param {LogLine} line */
function row(context, line) {
  const own = OWN.has(line.stream);
  const mark = own ? "" : stateFor(line.s) ? line.s : stateFor(line.level) ? line.level : "";
  const tag = line.stream === "stderr" || line.stream === "warning" || line.stream === "log" ? line.stream : "";
  const shown = displayed(context, line);
  const made = line.figure?.made ? html("span", "tag", {}, `first shown ${moment(line.figure.made)}`) : null;
  return html(
    "div",
    `line${own ? " own" : ""}${shown ? " has-figure" : ""}${line.level === "error" ? " is-error" : ""}`,
    {},
    html("span", "time", {}, clock(line.t)),
    mark ? icon(mark, 12) : html("span", "no-icon", {}, own ? "›" : ""),
    html("span", "who", { title: line.label }, line.label),
    html("span", "said", {}, tag && html("span", "tag", {}, tag), made, ...said(line)),
    shown,
  );
}

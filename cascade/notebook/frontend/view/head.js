/** Run → the head: what runs, how far it is, what it holds, and the buttons that steer it. */

import { amount, duration, roughly } from "./format.js";
import { icon, wordFor } from "./icons.js";
import { html, fill, set, setText, toggle } from "./dom.js";
import { createNext } from "./stepper.js";
import { createRetry } from "./retry.js";

/** @import {Context, Panel, Changes} from "./types.js" */

/** The order in which counts are told and the bar is filled. */
const TOLD = ["done", "stored", "kept", "running", "waiting", "retry", "queued", "failed", "skipped", "cancelled"];
const FILLED = ["stored", "kept", "done", "failed", "skipped", "cancelled", "retry", "running"];

/** @param {Context} context @returns {Panel} */
export function createHead(context) {
  const { model, live } = context;
  const picture = html("span", "head-icon");
  const name = html("span", "name");
  const status = html("span", "status");
  const buttons = createButtons(context);
  const retry = createRetry(context);
  const said = html("div", "said-so", { role: "alert" });
  const title = html("div", "head", {}, picture, html("div", "titles", {}, name, status), retry.element, buttons?.element);
  const bar = html("div", "progress", { role: "progressbar", "aria-label": "progress", "aria-valuemin": 0 });
  const counts = html("div", "counts");
  const element = html("div", "top", {}, title, said, bar, counts);
  const segments = new Map(FILLED.map((state) => [state, html("i", `fill-${state}`)]));
  bar.append(...segments.values());
  let shownState = "";

  const drawStatus = () => setText(status, statusText(context));
  const draw = (/** @type {Changes} */ changes) => {
    if (!(changes.all || changes.run || changes.capacities)) return;
    const { run } = model.document;
    if (shownState !== run.state) {
      shownState = run.state;
      fill(picture, icon(run.state, 18));
    }
    setText(name, run.name);
    set(name, { title: run.id ? `${run.name} · ${run.id}` : run.name });
    toggle(element, "is-going", live && run.state === "running");
    drawStatus();
    drawBar(context, bar, segments);
    fill(
      counts,
      html("div", "tallies", {}, ...countWords(run.counts)),
      html("div", "tallies", {}, ...capacityWords(model.document.capacities)),
    );
    buttons?.draw();
    retry.draw();
    setText(said, context.said);
    said.hidden = !context.said;
  };
  return { element, draw, tick: drawStatus };
}

/** `running · 3.2 s · about 2 s left` @param {Context} context */
function statusText({ model, live }) {
  const { run } = model.document;
  if (model.at !== null) return `${stateWord(run)} · replay`;
  const then = run.lost ? "when its kernel ended" : "when this was saved";
  const words = [live || model.ended ? stateWord(run) : `${stateWord(run)} ${then}`];
  const elapsed = model.elapsed(live);
  if (run.state !== "pending") words.push(duration(elapsed));
  const left = (run.eta ?? 0) - (elapsed - run.elapsed);
  if (live && run.eta !== null && run.state === "running" && left > 0) words.push(roughly(left));
  if (run.step) words.push("step by step");
  if (run.message) words.push(run.message);
  return words.join(" · ");
}

/** @param {import("./types.js").Run} run */
function stateWord({ state, simulated }) {
  if (simulated) return state === "completed" ? "simulated" : `simulated, ${wordFor(state)}`;
  return wordFor(state);
}

/**
 * @param {Context} context
 * @param {HTMLElement} bar
 * @param {Map<string, HTMLElement>} segments
 */
function drawBar({ model }, bar, segments) {
  const { finished, total } = model.progress;
  const { counts } = model.document.run;
  for (const [state, segment] of segments) {
    const share = total ? (100 * (Number(counts[state]) || 0)) / total : 0;
    segment.style.width = `${share}%`;
  }
  set(bar, { "aria-valuemax": total, "aria-valuenow": finished, "aria-valuetext": `${finished} of ${total} over` });
}

/** @param {Record<string, number>} counts */
function countWords(counts) {
  const told = TOLD.filter((state) => counts[state] > 0);
  return (told.length ? told : ["pending"])
    .filter((state) => counts[state] > 0)
    .map((state) =>
      html(
        "span",
        "count",
        {},
        icon(state, 11),
        html("b", "", {}, counts[state].toLocaleString("en")),
        ` ${wordFor(state)}`,
      ),
    );
}

/** @param {import("./types.js").Capacity[]} capacities */
function capacityWords(capacities) {
  return capacities.map(({ name, used, total, kind }) =>
    html(
      "span",
      "count",
      { title: `${kind || "capacity"} ${name}: ${amount(used)} of ${amount(total)} in use` },
      html("span", "", {}, name),
      " ",
      html("b", "", {}, amount(used)),
      `/${amount(total)}`,
    ),
  );
}

/** @param {Context["model"]} model */
function resumeWord(model) {
  return model.document.run.step ? "Run on" : "Resume";
}

/** Pause or Resume, and Cancel; a click shows at once and the run's own word replaces it. @param {Context} context */
function createButtons(context) {
  const { model, live, send } = context;
  if (!live) return null;
  /** @type {string} */
  let asked = "";
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let patience;
  const pause = html("button", "button", {
    type: "button",
    onclick: () => ask(model.state === "paused" || model.document.run.step ? "resume" : "pause"),
  });
  const cancel = html("button", "button", { type: "button", onclick: () => ask("cancel") }, "Cancel");
  const next = createNext(context);
  const element = html("span", "buttons", {}, next.element, pause, cancel);
  const draw = () => {
    const { state } = model;
    if (asked === "pause" && state !== "running" && state !== "pending") asked = "";
    const isHeld = state === "paused" || model.document.run.step;
    if (asked === "resume" && !isHeld) asked = "";
    if (asked === "cancel" && state === "cancelling") asked = "";
    const cancelling = asked === "cancel" || state === "cancelling";
    element.hidden = model.ended || model.at !== null;
    next.draw();
    setText(
      pause,
      asked === "pause" ? "Pausing…" : asked === "resume" ? "Resuming…" : !isHeld ? "Pause" : resumeWord(model),
    );
    setText(cancel, cancelling ? "Cancelling…" : "Cancel");
    set(pause, { disabled: asked !== "" || cancelling });
    set(cancel, { disabled: cancelling });
  };
  const ask = (/** @type {string} */ command) => {
    asked = command;
    clearTimeout(patience);
    patience = setTimeout(() => {
      asked = "";
      draw();
    }, 5000);
    send(command);
    draw();
  };
  return { element, draw };
}

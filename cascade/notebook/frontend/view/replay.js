/**
 * A scrubber under the finished graph: play, drag or step through the run again. It changes what the model tells
 * (states, counts, log, time), and every panel draws that as it draws everything. At the end the saved run stands there
 * again. Invariant: nothing changes its place, and no kernel is asked.
 */

import { clock } from "./format.js";
import { html, set, setText, svg, toggle } from "./dom.js";
import { Replay } from "./replay_model.js";

/** @import {Context, Panel, RunDocument, LogLine} from "./types.js" */

const SPEEDS = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800];
/** How long a replay takes at the speed that is chosen first, s. */
const USUAL = 10;
/** How often the picture changes while it plays and motion is not wanted, ms. */
const CALM = 1000;
const STEPS = 1000;
const PLAY = "M3,1.5L12,7L3,12.5Z";
const PAUSE = "M3,2H5.5V12H3ZM8.5,2H11V12H8.5Z";

/** @param {Context} context @returns {Panel} */
export function createReplay(context) {
  const player = new Player(context);
  return { element: player.element, draw: (changes) => player.draw(changes.all), destroy: () => player.pause() };
}

class Player {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    /** @type {Replay|null} */
    this.replay = null;
    /** @type {RunDocument|null} the run as it was saved */
    this.saved = null;
    this.isPlaying = false;
    this.asked = 0;
    this.isCalm = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;
    this.sign = svg("path", "", { d: PLAY });
    const picture = svg("svg", "play-sign", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" }, this.sign);
    this.button = html("button", "play", { type: "button", onclick: () => (this.isPlaying ? this.pause() : this.play()) }, picture);
    this.range = html("input", "scrubber", { type: "range", min: 0, max: STEPS, value: STEPS, step: 1, "aria-label": "moment of the run", "data-lm-suppress-shortcuts": "true" });
    this.range.addEventListener("input", () => this.drag());
    this.range.addEventListener("keydown", (event) => this.press(event));
    this.time = html("span", "replay-time");
    this.speed = html("select", "choice", { "aria-label": "speed of the replay" });
    for (const speed of SPEEDS) this.speed.append(html("option", "", { value: speed }, `${speed}×`));
    this.element = html(
      "div",
      "replay",
      { role: "group", "aria-label": "replay", "data-lm-suppress-shortcuts": "true" },
      this.button,
      this.range,
      this.time,
      html("span", "choosing", {}, this.speed),
    );
    this.tellPlaying();
  }

  /** A whole run came, or it ended: the scrubber stands at its end. @param {boolean} isNew */
  draw(isNew) {
    const { model } = this.context;
    if (model.at !== null) return;
    const { track } = model.document;
    this.element.hidden = !track || !model.ended || model.document.run.elapsed <= 0;
    if (this.element.hidden || !track || (!isNew && this.replay)) return;
    if (this.saved?.run.id === model.document.run.id && this.replay && this.saved.track === track) return;
    this.pause();
    this.saved = { ...model.document, run: { ...model.document.run } };
    this.replay = new Replay(this.saved, track);
    const fit = this.replay.end / USUAL;
    this.speed.value = String(Math.max(SPEEDS[0], ...SPEEDS.filter((speed) => speed <= fit)));
    this.tellTime(this.replay.end);
    if (!model.document.replay) return;
    this.saved.replay = model.document.replay = false;
    requestAnimationFrame(() => {
      this.go(0);
      if (!this.isCalm) this.play();
    });
  }

  // -- moving ---------------------------------------------------------------------------------------------------------

  /** Shows the run at `seconds`; at its end it is the saved run again. @param {number} seconds */
  go(seconds) {
    const { context, replay, saved } = this;
    if (!replay || !saved) return;
    const { model } = context;
    const at = Math.min(Math.max(seconds, 0), replay.end);
    const isOver = at >= replay.end;
    if (model.at === null && !isOver) this.hold(true);
    model.at = isOver ? null : at;
    const before = replay.index;
    const changed = replay.seek(at);
    this.tellTime(at);
    context.redraw((changes) => {
      const now = model.document;
      now.nodes = isOver ? { ...saved.nodes } : replay.entries(at);
      for (const id of changed) changes.nodes.add(id);
      if (before !== replay.index) this.watchLast(changes.nodes, before);
      const { state, used } = replay;
      now.run = isOver ? saved.run : { ...saved.run, state, elapsed: at, counts: replay.counts(), message: "", eta: null };
      now.capacities = isOver ? saved.capacities : saved.capacities.map((one, place) => ({ ...one, used: used[place] }));
      changes.log += this.showLog(now, isOver ? Infinity : at);
      changes.run = changes.time = true;
    });
    if (isOver) this.hold(false);
  }

  /** Boxes whose last words appear or go although their state stays. @param {Set<string>} nodes @param {number} before */
  watchLast(nodes, before) {
    const { replay } = this;
    if (!replay) return;
    const [low, high] = [Math.min(before, replay.index), Math.max(before, replay.index)];
    replay.boxes.forEach((id, place) => {
      const last = replay.lastOf.get(place) ?? -1;
      if (last > low && last <= high) nodes.add(id);
    });
  }

  /**
   * Puts the lines up to `at` into the document; returns how many came, infinitely many when some went.
   * @param {RunDocument} now @param {number} at
   */
  showLog(now, at) {
    const all = /** @type {RunDocument} */ (this.saved).log;
    const count = at === Infinity ? all.length : linesUntil(all, at);
    const came = count - now.log.length;
    if (came === 0) return 0;
    now.log = all.slice(0, count);
    return came > 0 ? came : Infinity;
  }

  /** Keeps the log as high as it was, so that nothing below it moves. @param {boolean} on */
  hold(on) {
    const { root } = this.context;
    toggle(root, "is-replayed", on);
    for (const part of root.querySelectorAll(".cascade-log-scroll, .cascade-counts")) {
      if (part instanceof HTMLElement) part.style.minHeight = on ? `${part.offsetHeight}px` : "";
    }
  }

  drag() {
    this.pause();
    const { replay } = this;
    if (replay) this.go((Number(this.range.value) / STEPS) * replay.end);
  }

  /** Arrows go from one change to the next; Home, End and Page keys are the browser's own. @param {KeyboardEvent} event */
  press(event) {
    const { replay } = this;
    if (!replay || event.ctrlKey || event.altKey || event.metaKey) return;
    const now = this.context.model.at ?? replay.end;
    if (event.key === "ArrowRight" || event.key === "ArrowUp") this.stop(replay.neighbour(now, 1));
    else if (event.key === "ArrowLeft" || event.key === "ArrowDown") this.stop(replay.neighbour(now, -1));
    else if (event.key === " ") this.isPlaying ? this.pause() : this.play();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {number} seconds */
  stop(seconds) {
    this.pause();
    this.go(seconds);
  }

  // -- playing --------------------------------------------------------------------------------------------------------

  play() {
    const { replay, context } = this;
    if (!replay || this.isPlaying) return;
    this.isPlaying = true;
    this.tellPlaying();
    let shown = context.model.at ?? 0;
    let drawnAt = performance.now();
    if (context.model.at === null) this.go(0);
    const turn = (/** @type {number} */ time) => {
      if (!this.isPlaying) return;
      if (!this.element.isConnected) return this.pause();
      const passed = Math.max(0, time - drawnAt);
      if (!this.isCalm || passed >= CALM) {
        drawnAt = time;
        shown += (passed / 1000) * Number(this.speed.value);
        this.go(shown);
        if (shown >= replay.end) return this.pause();
      }
      this.asked = requestAnimationFrame(turn);
    };
    this.asked = requestAnimationFrame(turn);
  }

  pause() {
    cancelAnimationFrame(this.asked);
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.tellPlaying();
  }

  tellPlaying() {
    const word = this.isPlaying ? "Pause the replay" : "Replay";
    set(this.button, { "aria-label": word, title: word });
    set(this.sign, { d: this.isPlaying ? PAUSE : PLAY });
  }

  /** @param {number} at */
  tellTime(at) {
    const end = this.replay?.end ?? 0;
    const text = `${clock(at)} of ${clock(end)}`;
    setText(this.time, text);
    const place = end ? Math.round((at / end) * STEPS) : STEPS;
    if (Number(this.range.value) !== place) this.range.value = String(place);
    set(this.range, { "aria-valuetext": text });
    this.range.style.setProperty("--cascade-share", `${end ? (100 * at) / end : 100}%`);
  }
}

/** How many lines of the log were said up to `at`; they are in order. @param {LogLine[]} lines @param {number} at */
function linesUntil(lines, at) {
  let [low, high] = [0, lines.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lines[middle].t <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

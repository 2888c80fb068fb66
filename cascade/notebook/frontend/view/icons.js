/** State → drawn icon and word. Shapes come from looks.json, the one source that the SVG of Python reads too. */

import { svg } from "./dom.js";
import { iconShapes, states } from "./looks.js";

/** What stands for the states of runs, the states of bars and the levels of log lines. */
const ALIASES = /** @type {Record<string, string>} */ ({
  completed: "done",
  paused: "queued",
  cancelling: "waiting",
  error: "failed",
  warning: "retry",
  wait: "waiting",
  backoff: "retry",
  setup: "queued",
  env: "param",
});
/** What has a state's colour and a shape of its own: a warning is no retry. */
const SHAPES = /** @type {Record<string, string>} */ ({ warning: "warning" });
const RUN_WORDS = /** @type {Record<string, string>} */ ({
  completed: "done",
  paused: "paused",
  cancelling: "cancelling",
});

/** The state of looks.json that stands for `name`, "" when none does. @param {string} name */
export function stateFor(name) {
  const state = Object.hasOwn(ALIASES, name) ? ALIASES[name] : name;
  return Object.hasOwn(states, state) ? state : "";
}

/** How people call a state. @param {string} name */
export function wordFor(name) {
  if (Object.hasOwn(RUN_WORDS, name)) return RUN_WORDS[name];
  return Object.hasOwn(states, name) ? states[name].word : name;
}

/**
 * The icon's shapes as a group around 0,0, to stand inside another drawing that has the state's class.
 * @param {string} name a state
 */
export function glyph(name) {
  const state = stateFor(name);
  const group = svg("g", "glyph");
  for (const shape of state ? iconShapes[SHAPES[name] ?? states[state].icon] : [])
    group.append(svg("path", `ink-${shape.paint}`, { d: shape.d }));
  return group;
}

/**
 * The icon as a picture of its own, hidden from screen readers: the word stands beside it.
 * @param {string} name a state
 * @param {number} [size] px
 */
export function icon(name, size = 13) {
  const attributes = { width: size, height: size, viewBox: "-6.5 -6.5 13 13", "aria-hidden": "true" };
  return svg("svg", `icon s-${stateFor(name) || "pending"}`, attributes, glyph(name));
}

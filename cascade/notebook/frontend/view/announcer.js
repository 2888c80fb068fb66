/** Run → a sentence for screen readers, at most one a second, and only when something worth hearing changed. */

import { html } from "./dom.js";
import { plural } from "./format.js";
import { wordFor } from "./icons.js";

/** @import {Context, Panel} from "./types.js" */

const PAUSE = 1000;

/** @param {Context} context @returns {Panel} */
export function createAnnouncer({ model }) {
  const element = html("div", "unseen", { "aria-live": "polite", role: "status" });
  let said = "";
  let lastAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let timer;

  const speak = () => {
    timer = undefined;
    const sentence = describe(model);
    if (sentence === said) return;
    said = sentence;
    lastAt = performance.now();
    element.textContent = sentence;
  };
  return {
    element,
    draw(changes) {
      if (!(changes.all || changes.run) || timer !== undefined) return;
      const wait = lastAt + PAUSE - performance.now();
      if (wait <= 0) speak();
      else timer = setTimeout(speak, wait);
    },
    destroy: () => clearTimeout(timer),
  };
}

/**
 * Progress is told in tenths, so that a long run does not talk all the time.
 * @param {import("./model.js").RunModel} model
 */
function describe(model) {
  const { name, counts } = model.document.run;
  const { finished, total } = model.progress;
  const words = [`${name} ${wordFor(model.state)}`];
  const tenth = total ? Math.floor((10 * finished) / total) * 10 : 0;
  if (!model.ended) words.push(`${tenth} percent`);
  else words.push(`${finished} of ${plural(total, "node")}`);
  if (counts.failed) words.push(`${counts.failed} failed`);
  if (model.document.failure) words.push(model.document.failure.error_type);
  return words.join(", ");
}

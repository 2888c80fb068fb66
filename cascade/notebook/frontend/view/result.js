/** Result → its type and text, or a small table. Values were made into bounded text by the kernel. */

import { html, fill } from "./dom.js";
import { figureStrip } from "./figures.js";
import { image } from "./pictures.js";
import { smallTable } from "./small_table.js";

/** @import {Context, Panel} from "./types.js" */

/** @param {Context} context @returns {Panel} */
export function createResult(context) {
  const { model } = context;
  const element = html("section", "result", { role: "group", "aria-label": "result" });
  element.hidden = true;
  return {
    element,
    draw(changes) {
      if (!(changes.all || changes.result)) return;
      const { result } = model.document;
      element.hidden = !result;
      if (!result) return fill(element);
      const beside = result.text.split("\n").slice(1).join("\n"); // below a table: the names that a task cell gives, too
      fill(
        element,
        html("div", "caption", {}, "Result", result.type && html("span", "kind", {}, result.type)),
        result.picture ? image(result.picture, `${result.type}: ${result.text}`) : null,
        result.table ? smallTable(result.table, "result table") : null,
        result.table && !beside ? null : html("div", "result-text", { tabindex: 0 }, result.table ? beside : result.text),
        ...(result.picture ? [] : shownAtTheEnd(context)),
      );
    },
  };
}

/** How many nodes at the end of a graph are asked for their pictures. */
const ENDS = 4;

/** The pictures of the nodes that nobody reads: of a cell that draws, they are what it is for. @param {Context} context */
function shownAtTheEnd(context) {
  const { model } = context;
  const ends = model.document.picture.boxes.filter(({ id, kind }) => kind === "task" && !model.from.get(id)?.length);
  return ends.length > ENDS ? [] : ends.map(({ id }) => figureStrip(context, id));
}

/** Result → its type and text, or a small table. Values were made into bounded text by the kernel. */

import { html, fill } from "./dom.js";
import { image } from "./pictures.js";
import { smallTable } from "./small_table.js";

/** @import {Context, Panel} from "./types.js" */

/** @param {Context} context @returns {Panel} */
export function createResult({ model }) {
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
      );
    },
  };
}

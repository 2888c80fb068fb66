/** Result → its type and text, or a small table. Values were made into bounded text by the kernel. */

import { html, fill } from "./dom.js";
import { plural } from "./format.js";

/** @import {Context, Panel, SmallTable} from "./types.js" */

/** @param {Context} context @returns {Panel} */
export function createResult({ model }) {
  const element = html("section", "result", { "aria-label": "result" });
  element.hidden = true;
  return {
    element,
    draw(changes) {
      if (!(changes.all || changes.result)) return;
      const { result } = model.document;
      element.hidden = !result;
      if (!result) return fill(element);
      fill(
        element,
        html("div", "caption", {}, "Result", result.type && html("span", "kind", {}, result.type)),
        result.table ? smallTable(result.table) : html("div", "result-text", { tabindex: 0 }, result.text),
      );
    },
  };
}

/** @param {SmallTable} table */
function smallTable({ columns, rows, more }) {
  const numeric = columns.map((_, column) => rows.length > 0 && rows.every((row) => isNumber(row[column])));
  const cell = (/** @type {"th"|"td"} */ tag, /** @type {string} */ text, /** @type {number} */ column) =>
    html(tag, numeric[column] ? "number" : "", tag === "th" ? { scope: "col" } : {}, text ?? "");
  const head = html("tr", "", {}, ...columns.map((text, column) => cell("th", text, column)));
  const body = rows.map((row) => html("tr", "", {}, ...columns.map((_, column) => cell("td", row[column], column))));
  return html(
    "div",
    "scroll",
    { tabindex: 0, role: "group", "aria-label": "result table" },
    html("table", "table", {}, html("thead", "", {}, head), html("tbody", "", {}, ...body)),
    more > 0 && html("div", "more", {}, `${plural(more, "more row")}`),
  );
}

/** @param {string|undefined} text */
function isNumber(text) {
  return text !== undefined && (/^-?[\d,.]+(e[+-]?\d+)?%?$/i.test(text) || text === "" || text === "NaN");
}

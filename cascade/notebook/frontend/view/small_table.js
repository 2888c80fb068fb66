/** A few rows of text → a table. Values were made into bounded text by the kernel. */

import { html } from "./dom.js";
import { plural } from "./format.js";

/** @import {SmallTable} from "./types.js" */

/** @param {SmallTable} table @param {string} label for screen readers */
export function smallTable({ columns, rows, more }, label) {
  const width = columns.length || Math.max(0, ...rows.map((row) => row.length));
  const places = Array.from({ length: width }, (_, place) => place);
  const numeric = places.map((place) => rows.length > 0 && rows.every((row) => isNumber(row[place])));
  const cell = (/** @type {"th"|"td"} */ tag, /** @type {string} */ text, /** @type {number} */ place) =>
    html(tag, numeric[place] ? "number" : "", tag === "th" ? { scope: "col" } : {}, text ?? "");
  const head = columns.length > 0 && html("tr", "", {}, ...columns.map((text, place) => cell("th", text, place)));
  const body = rows.map((row) => html("tr", "", {}, ...places.map((place) => cell("td", row[place], place))));
  return html(
    "div",
    "scroll",
    { tabindex: 0, role: "group", "aria-label": label },
    html("table", "table", {}, head && html("thead", "", {}, head), html("tbody", "", {}, ...body)),
    more > 0 && html("div", "more", {}, plural(more, "more row")),
  );
}

/** @param {string|undefined} text */
function isNumber(text) {
  return text !== undefined && (/^-?[\d,.]+(e[+-]?\d+)?%?$/i.test(text) || text === "" || text === "NaN");
}

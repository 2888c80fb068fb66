/** Params → a table of what this run was given. */

import { html, fill } from "./dom.js";

/** @import {Context, Panel} from "./types.js" */

/** @param {Context} context @returns {Panel} */
export function createParams({ model }) {
  const body = html("tbody");
  const heads = ["Name", "Value", "Type", "Description"].map((text) => html("th", "", { scope: "col" }, text));
  const table = html(
    "table",
    "table",
    { "aria-label": "params" },
    html("thead", "", {}, html("tr", "", {}, ...heads)),
    body,
  );
  return {
    element: html("section", "panel params", {}, html("div", "scroll", {}, table)),
    draw(changes) {
      if (!(changes.all || changes.params)) return;
      const rows = model.document.params.map(({ name, value, type, description }) =>
        html(
          "tr",
          "",
          {},
          html("th", "", { scope: "row" }, name),
          html("td", "mono", {}, value),
          html("td", "quiet", {}, type),
          html("td", "quiet", {}, description),
        ),
      );
      fill(body, ...rows);
    },
  };
}

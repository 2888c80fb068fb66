/** The items of a map, the members of a folded box → a list, failed first; a click shows one of them. */

import { duration, plural } from "./format.js";
import { fill, html, setText } from "./dom.js";
import { icon, wordFor } from "./icons.js";

/** @import {Context, Parts} from "./types.js" */

/** @param {Context} context */
export function createParts(context) {
  const { model, selection, memory } = context;
  const rows = html("ul", "parts", { "aria-label": "items, failed first" });
  const more = html("div", "more");
  const find = html("input", "find", {
    type: "search",
    placeholder: "Find an item",
    "aria-label": "Find an item",
    "data-lm-suppress-shortcuts": "true",
  });
  const body = html("div", "parts-body", {}, find, rows, more);
  const button = html("button", "switch", { type: "button" }, "Items");
  const element = html("div", "peek-part", {}, button, body);
  /** @type {Parts} */
  let known = { rows: [], more: 0 };
  let node = "";
  const isOpen = () => memory.parts === true;

  const draw = () => {
    const wanted = find.value.trim().toLowerCase();
    const seen = known.rows.filter(([label]) => label.toLowerCase().includes(wanted));
    fill(rows, ...seen.map((row) => html("li", "item-row", {}, ...partOf(row))));
    setText(more, known.more > 0 ? `and ${plural(known.more, "more", "more")}; find them by name` : "");
    body.hidden = !isOpen();
    button.setAttribute("aria-expanded", String(isOpen()));
    setText(button, `${isOpen() ? "Hide" : "Show"} ${isMap() ? "items" : "nodes"}`);
  };
  const isMap = () => model.boxes.get(node)?.kind === "map" && !/ nodes$/.test(model.boxes.get(node)?.note ?? "");
  const ask = () => {
    const mine = [node, find.value].join("\n");
    void context.ask?.({ what: "parts", node, find: find.value }).then((/** @type {any} */ answer) => {
      if (answer?.parts && mine === [node, find.value].join("\n")) take(answer.parts);
    });
  };
  const take = (/** @type {Parts} */ parts) => {
    known = parts;
    draw();
  };
  button.addEventListener("click", () => {
    memory.parts = !isOpen();
    draw();
    if (isOpen()) ask();
  });
  find.addEventListener("input", () => {
    draw();
    ask();
  });
  find.addEventListener("keydown", (event) => {
    // The notebook must not take letters typed here for its own commands.
    event.stopPropagation();
  });
  return {
    element,
    take,
    /** @param {string} id */
    show(id) {
      if (node !== id) find.value = "";
      node = id;
      const recorded = model.document.peek?.nodes[id]?.parts;
      element.hidden = model.boxes.get(id)?.kind !== "map";
      known = recorded ?? { rows: [], more: 0 };
      draw();
      if (!element.hidden && isOpen()) ask();
    },
  };
  /** @param {Parts["rows"][number]} row */
  function partOf([label, state, seconds, text, id]) {
    const target = isMap() ? label : id;
    return [
      icon(state, 12),
      html("button", "link", { type: "button", onclick: () => selection.choose(target) }, label),
      html(
        "span",
        "quiet",
        {},
        [wordFor(state), seconds !== null && duration(seconds), text].filter(Boolean).join(" · "),
      ),
    ];
  }
}

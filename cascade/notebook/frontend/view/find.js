/** The find box: words → nodes that stand out, one after the other. */

import { html, setText } from "./dom.js";

/** @import {Context} from "./types.js" */

/** Typing marks the nodes whose name holds the text; Enter goes from one to the next. @param {Context} context */
export function createFind({ model, selection }) {
  const count = html("span", "find-count", { "aria-live": "polite" });
  const input = html("input", "find", {
    type: "search",
    placeholder: "Find a node",
    "aria-label": "Find a node",
    spellcheck: "false",
  });
  let turn = -1;
  const matches = () => findNodes(model, selection.find);
  const tell = () => {
    const found = matches();
    const place = turn >= 0 ? `${turn + 1} of ` : "";
    setText(count, selection.find ? (found.length ? `${place}${found.length}` : "none") : "");
  };
  input.addEventListener("input", () => {
    turn = -1;
    selection.search(input.value);
    tell();
  });
  input.addEventListener("keydown", (event) => {
    // The notebook must not take letters typed here for its own commands.
    event.stopPropagation();
    if (event.key === "Escape") {
      input.value = "";
      turn = -1;
      selection.search("");
    } else if (event.key === "Enter") {
      const found = matches();
      if (found.length) {
        turn = (turn + (event.shiftKey ? found.length - 1 : 1)) % found.length;
        selection.centre(found[turn]);
      }
    } else return;
    event.preventDefault();
    tell();
  });
  return html(
    "span",
    "finder",
    { "data-jp-suppress-context-menu": "", "data-lm-suppress-shortcuts": "true" },
    count,
    input,
  );
}

/** Ids in reading order. @param {import("./model.js").RunModel} model @param {string} text lower case */
export function findNodes(model, text) {
  if (!text) return [];
  return model.document.picture.boxes
    .filter((box) => box.name.toLowerCase().includes(text) || box.id.toLowerCase().includes(text))
    .map((box) => box.id);
}

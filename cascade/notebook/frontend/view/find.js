/** The find box: words → nodes that stand out, one after the other. */

import { html, setText } from "./dom.js";

/** @import {Context} from "./types.js" */

/** Typing marks the nodes whose name holds the text; Enter goes from one to the next. @param {Context} context */
export function createFind(context) {
  const { model, selection } = context;
  const count = html("span", "find-count", { "aria-live": "polite" });
  const input = html("input", "find", {
    type: "search",
    placeholder: "Find a node",
    "aria-label": "Find a node",
    spellcheck: "false",
  });
  let turn = -1;
  /** @type {Found[]} items and members that the kernel, or the document, found in boxes that show more than one */
  let inside = [];
  const matches = () => {
    const [own, parts] = [findNodes(model, selection.find).map(toFound), inside];
    return /\[/.test(selection.find) ? [...parts, ...own.filter(({ id }) => !parts.some((part) => part.id === id))] : [...own, ...parts];
  };
  const lookInside = () => {
    const find = selection.find;
    inside = recordedParts(model, find);
    if (find.length < 2) return;
    void context.ask?.({ what: "find", find }).then((/** @type {any} */ answer) => {
      if (!answer?.found || find !== selection.find) return;
      inside = answer.found.map((/** @type {[string, string, string, string]} */ [label, , box, part]) => ({ id: box, part: part ?? label }));
      tell();
    });
  };
  const tell = () => {
    const found = matches();
    const place = turn >= 0 ? `${turn + 1} of ` : "";
    setText(count, selection.find ? (found.length ? `${place}${found.length}` : "none") : "");
  };
  input.addEventListener("input", () => {
    turn = -1;
    selection.search(input.value);
    lookInside();
    tell();
  });
  input.addEventListener("keydown", (event) => {
    // The notebook must not take letters typed here for its own commands.
    event.stopPropagation();
    if (event.key === "Escape") {
      input.value = "";
      turn = -1;
      selection.search("");
      inside = [];
    } else if (event.key === "Enter") {
      const found = matches();
      if (found.length) {
        turn = (turn + (event.shiftKey ? found.length - 1 : 1)) % found.length;
        selection.centre(found[turn].id, found[turn].part);
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
  const base = text.replace(/\[\d*\]?$/, "");
  return model.document.picture.boxes
    .filter((box) => {
      const name = box.name.toLowerCase();
      if (base !== text && base && box.kind === "map" && name === base) return true;
      return name.includes(text) || box.id.toLowerCase().includes(text);
    })
    .map((box) => box.id);
}

/** @typedef {{id: string, part: string|null}} Found */

/** @param {string} id @returns {Found} */
const toFound = (id) => ({ id, part: null });

/**
 * Items and members that the document lists.
 * @param {import("./model.js").RunModel} model
 * @param {string} text lower case
 * @returns {Found[]}
 */
export function recordedParts(model, text) {
  if (text.length < 2) return [];
  const known = Object.entries(model.document.peek?.nodes ?? {});
  return known
    .flatMap(([id, { parts }]) =>
      (parts?.rows ?? [])
        .filter(([label]) => (label.includes("[") ? text.includes("[") : true) && label.toLowerCase().includes(text))
        .map(([label, , , , node]) => ({ id, part: label.includes("[") && node === id ? label : node })),
    )
    .slice(0, 40);
}

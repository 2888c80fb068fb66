/** Text and room → the text that fits, cut with an ellipsis. Measures off the page, so it works while hidden. */

/** @type {CanvasRenderingContext2D|null} */
let pen = null;
/** @type {Map<string, number>} */
const widths = new Map();

/**
 * @param {string} text
 * @param {string} font CSS shorthand
 */
export function textWidth(text, font) {
  const key = `${font}|${text}`;
  const known = widths.get(key);
  if (known !== undefined) return known;
  pen ??= document.createElement("canvas").getContext("2d");
  if (!pen) return text.length * 7;
  pen.font = font;
  const { width } = pen.measureText(text);
  if (widths.size > 20000) widths.clear();
  widths.set(key, width);
  return width;
}

/**
 * @param {string} text
 * @param {number} room px
 * @param {string} font CSS shorthand
 */
export function fitText(text, room, font) {
  const line = text.length > 400 ? text.slice(0, 400) : text;
  if (line.length === text.length && textWidth(line, font) <= room) return line;
  const letters = [...line];
  let low = 0;
  let high = letters.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (textWidth(`${letters.slice(0, middle).join("")}…`, font) <= room) low = middle;
    else high = middle - 1;
  }
  return low ? `${letters.slice(0, low).join("").trimEnd()}…` : "";
}

/**
 * The font family that `element` is shown in.
 * @param {Element} element
 */
export function familyOf(element) {
  return getComputedStyle(element).fontFamily || "sans-serif";
}

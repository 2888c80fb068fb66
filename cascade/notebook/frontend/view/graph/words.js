/** A node and its state → the words on its box and for screen readers. Pure. */

import { itemWords } from "../detail.js";
import { wordFor } from "../icons.js";

/** @import {Box, NodeEntry} from "../types.js" */

/** An arrow that turns back: the mark of a node that would run again. */
export const STALE_SIGN = "M-3,0a3,3 0 1 0 1.1,-2.3M-3,-3.4V-1.2H-.8";

/** The small line of a box: what the state says, else the note. @param {Box} box @param {NodeEntry} entry */
export function smallLine(box, entry) {
  if (entry.next) return entry.items ? `next · ${countWords(entry.items)}` : "next";
  if (box.kind === "map" && entry.items) return countWords(entry.items);
  return entry.m || entry.d || box.note;
}

/** @param {import("../types.js").Items} items */
function countWords(items) {
  const over = items.done + items.stored + (items.kept ?? 0) + items.failed;
  return items.total === null ? `${over} so far` : `${over} of ${items.total}`;
}

/**
 * The name for screen readers and for who speaks what is to be clicked: the words of the box first, in the order in
 * which they are seen, then the state and what else there is to tell: what was cut on the box in full, the rest once.
 * @param {Box} box
 * @param {NodeEntry} entry
 * @param {{name: string, line: string}} [seen] what the box shows
 */
export function describe(box, entry, seen = { name: box.name, line: smallLine(box, entry) }) {
  const { name, line } = seen;
  const words = [wordFor(entry.s)];
  if (entry.next && !line.startsWith("next")) words.push("next");
  const told = entry.items ? itemWords(entry.items) : entry.d;
  const rest = entry.items && line.endsWith(countWords(entry.items)) ? told.split(", ").slice(1).join(", ") : told;
  if (rest && rest !== line) words.push(rest);
  if (entry.m) words.push(entry.m === line ? "stale" : `stale: ${entry.m}`);
  const whole = smallLine(box, entry);
  if (line !== whole && whole === box.note) words.push(whole);
  const tail = [name === box.name ? "" : box.name, entry.why].filter(Boolean).map((text) => `. ${text}`);
  return `${line ? `${name}, ${line}` : name}: ${words.join(", ")}${tail.join("")}`;
}

/**
 * How much of a map's bar each count takes, left to right.
 * @param {NodeEntry} entry
 * @param {[string, string][]} segments
 * @returns {{count: string, tone: string, from: number, share: number}[]} in parts of 1
 */
export function barParts({ items }, segments) {
  const told = /** @type {Record<string, number>} */ (/** @type {unknown} */ (items ?? {}));
  const counts = /** @type {Record<string, number>} */ ({ ...told, stored: (told.stored ?? 0) + (told.kept ?? 0) });
  const seen = segments.reduce((sum, [count]) => sum + (counts[count] ?? 0), counts.waiting ?? 0);
  const total = Math.max(items?.total ?? seen, seen, 1);
  let from = 0;
  return segments.map(([count, tone]) => {
    const share = (counts[count] ?? 0) / total;
    const part = { count, tone, from, share };
    from += share;
    return part;
  });
}

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
  const over = items.done + items.stored + items.failed;
  return items.total === null ? `${over} so far` : `${over} of ${items.total}`;
}

/** @param {Box} box @param {NodeEntry} entry */
export function describe(box, entry) {
  const words = [`${box.name}: ${wordFor(entry.s)}`];
  if (entry.next) words.push("next");
  if (entry.items) words.push(itemWords(entry.items));
  else if (entry.d) words.push(entry.d);
  if (entry.m) words.push(`stale: ${entry.m}`);
  return words.join(", ") + (entry.why ? `. ${entry.why}` : "");
}

/**
 * How much of a map's bar each count takes, left to right.
 * @param {NodeEntry} entry
 * @param {[string, string][]} segments
 * @returns {{count: string, tone: string, from: number, share: number}[]} in parts of 1
 */
export function barParts({ items }, segments) {
  const counts = /** @type {Record<string, number>} */ (/** @type {unknown} */ (items ?? {}));
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

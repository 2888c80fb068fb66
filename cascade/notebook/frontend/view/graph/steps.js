/** A node and an arrow key → the next node: along the edges sideways, among neighbours up and down. Pure. */

/** @import {RunModel} from "../model.js" */
/** @import {Box} from "../types.js" */

/**
 * @param {RunModel} model
 * @param {string} id
 * @param {string} key of a keyboard event
 * @returns {string|null} null when the key leads nowhere
 */
export function step(model, id, key) {
  const box = model.placed.get(id);
  const { boxes } = model.picture;
  if (!box) return null;
  switch (key) {
    case "ArrowRight":
      return nearest(
        box,
        (model.from.get(id) ?? []).map((arrow) => model.placed.get(arrow.target)),
      );
    case "ArrowLeft":
      return nearest(
        box,
        (model.into.get(id) ?? []).map((arrow) => model.placed.get(arrow.source)),
      );
    case "ArrowDown":
      return beside(box, boxes, 1);
    case "ArrowUp":
      return beside(box, boxes, -1);
    case "Home":
      return boxes[0]?.id ?? null;
    case "End":
      return boxes.at(-1)?.id ?? null;
    default:
      return null;
  }
}

/** @param {Box} box */
const middle = (box) => ({ x: box.x + box.w / 2, y: box.y + box.h / 2 });

/** @param {Box} from @param {(Box|undefined)[]} candidates */
function nearest(from, candidates) {
  return closest(from, candidates, (dx, dy) => Math.abs(dy) + Math.abs(dx) / 4);
}

/**
 * The next box of the same column, else the closest one that way.
 * @param {Box} from
 * @param {Box[]} boxes
 * @param {1|-1} way
 */
function beside(from, boxes, way) {
  const that = boxes.filter((box) => box !== from && (middle(box).y - middle(from).y) * way > 1);
  const column = that.filter((box) => box.x < from.x + from.w && from.x < box.x + box.w);
  return closest(
    from,
    column.length ? column : that,
    (dx, dy) => Math.abs(dy) + Math.abs(dx) * (column.length ? 0.1 : 2),
  );
}

/** @param {Box} from @param {(Box|undefined)[]} candidates @param {(dx: number, dy: number) => number} cost */
function closest(from, candidates, cost) {
  let best = null;
  let least = Infinity;
  for (const box of candidates) {
    if (!box) continue;
    const price = cost(middle(box).x - middle(from).x, middle(box).y - middle(from).y);
    if (price < least) [best, least] = [box.id, price];
  }
  return best;
}

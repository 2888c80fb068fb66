/** Picture + some of its boxes → a picture of these alone, moved to the corner; no box changes its place beside another. */

import { metrics } from "../looks.js";

/** @import {Picture} from "../types.js" */

/** @param {Picture} picture @param {Set<string>} ids @returns {Picture} */
export function pictureOf(picture, ids) {
  const kept = picture.boxes.filter((box) => ids.has(box.id));
  if (kept.length === 0) return picture;
  const arrows = picture.arrows.filter((arrow) => ids.has(arrow.source) && ids.has(arrow.target));
  const ys = [...kept.flatMap((box) => [box.y, box.y + box.h]), ...arrows.flatMap((arrow) => numbersOf(arrow.d, 1))];
  const xs = [...kept.flatMap((box) => [box.x, box.x + box.w]), ...arrows.flatMap((arrow) => numbersOf(arrow.d, 0))];
  const [left, top] = [least(xs) - metrics.margin, least(ys) - metrics.margin];
  return {
    width: most(xs) - left + metrics.margin,
    height: most(ys) - top + metrics.margin,
    boxes: kept.map((box) => ({ ...box, x: box.x - left, y: box.y - top })),
    arrows: arrows.map((arrow) => ({
      ...arrow,
      d: movePath(arrow.d, -left, -top),
      lx: arrow.lx - left,
      ly: arrow.ly - top,
    })),
  };
}

const NUMBER = /-?\d*\.?\d+(?:e-?\d+)?/gi;

/** Every second number of a path of absolute points: 0 the xs, 1 the ys. @param {string} d @param {0|1} axis */
function numbersOf(d, axis) {
  return (d.match(NUMBER) ?? []).map(Number).filter((_, place) => place % 2 === axis);
}

/** @param {string} d of absolute points @param {number} dx @param {number} dy */
export function movePath(d, dx, dy) {
  let place = 0;
  return d.replace(NUMBER, (number) => {
    const moved = Number(number) + (place % 2 ? dy : dx);
    const gap = place > 0 ? " " : "";
    place += 1;
    return `${gap}${Math.round(moved * 100) / 100}`;
  });
}

/** @param {number[]} numbers */
const least = (numbers) => numbers.reduce((a, b) => Math.min(a, b), Infinity);
/** @param {number[]} numbers */
const most = (numbers) => numbers.reduce((a, b) => Math.max(a, b), -Infinity);

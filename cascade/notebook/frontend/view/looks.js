/** looks.json → shapes, states and sizes in the view's terms. The colours of it go into the style sheet (build.mjs). */

import looks from "../../../graph/looks.json";

/** @typedef {{d: string, paint: "line"|"fill"|"cut"}} Shape `cut` is drawn in the colour of the ground */
/**
 * @typedef {{icon: string, word: string, tone: string, fill: string, dash: string, strong?: boolean,
 *   strike?: boolean}} StateLook
 */

export const { metrics } = looks;

/** @type {Record<string, StateLook>} */
export const states = looks.states;

/** @type {Record<string, {icon: string, word: string}>} */
export const kinds = looks.kinds;

/** @type {Record<string, {dash: string, width: number, cap?: string}>} */
export const edges = looks.edges;

/** The parts of a map's bar from left to right: which count, in which tone. */
export const segments = /** @type {[string, string][]} */ (looks.segments);

/** @type {Record<string, Shape[]>} */
export const iconShapes = Object.fromEntries(
  Object.entries(looks.icons).map(([name, parts]) => [
    name,
    /** @type {const} */ (["fill", "line", "cut"])
      .filter((paint) => paint in parts)
      .map((paint) => ({ paint, d: /** @type {Record<string, string>} */ (parts)[paint] })),
  ]),
);

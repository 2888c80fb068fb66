/**
 * Run → its critical path: the nodes without which it could not have been faster. Pure.
 *
 * Of a run that is over, the chain that really was: from the node that ended last, back through the one of its needs
 * that ended last. Of one that goes on, the longest chain by the times so far and, for what is to come, those of
 * earlier runs.
 */

/** @import {RunModel} from "../model.js" */

/** @typedef {{ids: string[], seconds: number, isPredicted: boolean, isKnown: boolean}} Path */

/** @param {RunModel} model @param {number} elapsed seconds since the start @returns {Path} first node first */
export function criticalPath(model, elapsed) {
  return model.ended ? realPath(model) : predictedPath(model, elapsed);
}

/** @param {RunModel} model @returns {Path} */
function realPath(model) {
  const endOf = (/** @type {string} */ id) => model.node(id).t1;
  const last = (/** @type {string[]} */ ids) => {
    let best = null;
    for (const id of ids) if (endOf(id) !== null && (best === null || Number(endOf(id)) > Number(endOf(best)))) best = id;
    return best;
  };
  const ids = [];
  const seen = new Set();
  let next = last(model.document.picture.boxes.map((box) => box.id));
  while (next !== null && !seen.has(next)) {
    seen.add(next);
    ids.unshift(next);
    next = last((model.into.get(next) ?? []).map((arrow) => arrow.source));
  }
  const seconds = ids.reduce((sum, id) => sum + (Number(endOf(id)) - Number(model.node(id).t0 ?? endOf(id))), 0);
  return { ids, seconds, isPredicted: false, isKnown: true };
}

/** @param {RunModel} model @param {number} elapsed @returns {Path} */
function predictedPath(model, elapsed) {
  const usual = model.document.usual ?? {};
  let isKnown = true;
  const weight = (/** @type {string} */ id) => {
    const { s, t0, t1 } = model.node(id);
    if (t0 !== null && t1 !== null) return t1 - t0;
    if (["stored", "kept", "skipped", "param", "cancelled"].includes(s)) return 0;
    if (!Object.hasOwn(usual, id)) isKnown = false;
    return Math.max(usual[id] ?? 0, t0 === null ? 0 : elapsed - t0);
  };
  /** @type {Map<string, {seconds: number, before: string|null}>} */
  const best = new Map();
  // The picture is laid out from left to right, so that needs stand left of what needs them.
  const boxes = [...model.document.picture.boxes].sort((a, b) => a.x - b.x);
  let end = null;
  for (const { id } of boxes) {
    let before = null;
    for (const { source } of model.into.get(id) ?? []) {
      const known = best.get(source);
      if (known && (before === null || known.seconds > (best.get(before)?.seconds ?? 0))) before = source;
    }
    const seconds = weight(id) + (before === null ? 0 : (best.get(before)?.seconds ?? 0));
    best.set(id, { seconds, before });
    if (end === null || seconds >= (best.get(end)?.seconds ?? 0)) end = id;
  }
  const ids = [];
  for (let id = end; id !== null; id = best.get(id)?.before ?? null) ids.unshift(id);
  return { ids, seconds: end === null ? 0 : (best.get(end)?.seconds ?? 0), isPredicted: true, isKnown };
}

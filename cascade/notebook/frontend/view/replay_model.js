/**
 * Track + seconds → what was true then: the state of each box, counts, capacities, the run. Knows nothing of the page.
 * Invariant: at its moments it tells what the events told (`cascade/notebook/track.py` says how a track reads); between
 * two moments, what was true at the earlier one.
 */

/** @import {RunDocument, Track, NodeEntry, RunState, State} from "./types.js" */
/** @typedef {number|number[]} Told */

const UNITS = /** @type {State[]} */ (
  "pending queued running waiting retry done stored failed skipped cancelled kept".split(" ")
);
const RUN_STATES = /** @type {RunState[]} */ (
  "pending running paused cancelling completed failed cancelled".split(" ")
);
const ENDED = new Set(["done", "stored", "kept", "failed", "skipped", "cancelled"]);
const VALUES = new Set(["param", "env"]);

export class Replay {
  /** @param {RunDocument} saved of a run that has ended @param {Track} track */
  constructor(saved, track) {
    this.saved = saved;
    this.boxes = track.boxes;
    /** @type {number[]} when each moment was, in seconds */
    this.times = [];
    /** @type {Told[][]} pairs of place and state */
    this.moments = [];
    /** @type {Map<number, number>} the last moment at which a place changed */
    this.lastOf = new Map();
    let cell = 0;
    track.moments.forEach(([delta, ...pairs], index) => {
      cell += Number(delta);
      this.times.push(cell * track.step);
      this.moments.push(pairs);
      for (let at = 0; at < pairs.length; at += 2) this.lastOf.set(Number(pairs[at]), index);
    });
    /** The document tells its length in whole milliseconds. */
    this.end = Math.max(saved.run.elapsed, this.times.at(-1) ?? 0);
    this.values = new Set(saved.picture.boxes.filter((box) => VALUES.has(box.kind)).map((box) => box.id));
    /** @type {Map<number, Told>} states by place, as they are at `index` */
    this.now = new Map();
    /** @type {number} the moment that is shown; -1: before the first */
    this.index = -1;
    this.seek(Infinity); // what is on the page now
  }

  /** The moment that holds at `seconds`. @param {number} seconds */
  momentAt(seconds) {
    let [low, high] = [0, this.times.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= seconds + 1e-9) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The time of the nearest moment after (or before) `seconds`. @param {number} seconds @param {1|-1} way */
  neighbour(seconds, way) {
    const index = this.momentAt(seconds);
    if (way > 0) return this.times[index + 1] ?? this.end;
    return this.times[index] < seconds - 1e-9 ? this.times[index] : (this.times[index - 1] ?? 0);
  }

  /**
   * Goes to a moment.
   * @param {number} seconds
   * @returns {Set<string>} the boxes that look different now
   */
  seek(seconds) {
    const wanted = this.momentAt(seconds);
    /** @type {Set<number>} */
    const touched = new Set();
    if (wanted < this.index) {
      for (const place of this.now.keys()) touched.add(place);
      this.now.clear();
      this.index = -1;
    }
    for (let next = this.index + 1; next <= wanted; next += 1) {
      const pairs = this.moments[next];
      for (let at = 0; at < pairs.length; at += 2) {
        this.now.set(Number(pairs[at]), pairs[at + 1]);
        touched.add(Number(pairs[at]));
      }
    }
    this.index = wanted;
    return new Set([...touched].filter((place) => place >= 0).map((place) => this.boxes[place]));
  }

  /** What the box looks like now. @param {string} id @param {number} place @param {number} seconds @returns {NodeEntry} */
  entry(id, place, seconds) {
    const last = this.saved.nodes[id];
    if (!last || this.values.has(id)) return last;
    const told = this.now.get(place) ?? 0;
    const isLast = this.index >= (this.lastOf.get(place) ?? -1);
    if (isLast && this.now.has(place)) return last;
    const s = UNITS[Array.isArray(told) ? told[0] : told] ?? "pending";
    const t0 = last.t0 !== null && last.t0 <= seconds + 1e-4 && s !== "pending" && s !== "queued" ? last.t0 : null;
    return { s, t0, t1: ENDED.has(s) && t0 !== null ? last.t1 : null, d: "", why: "", v: "", items: items(told) };
  }

  /** All boxes. @param {number} seconds @returns {Record<string, NodeEntry>} */
  entries(seconds) {
    /** @type {Record<string, NodeEntry>} */
    const all = { ...this.saved.nodes };
    this.boxes.forEach((id, place) => {
      if (all[id]) all[id] = this.entry(id, place, seconds);
    });
    return all;
  }

  /** How many units are in each state. @returns {Record<string, number>} */
  counts() {
    const counts = Object.fromEntries(UNITS.map((state) => [state, 0]));
    this.boxes.forEach((id, place) => {
      if (this.values.has(id)) return;
      const told = this.now.get(place) ?? 0;
      if (Array.isArray(told)) told.slice(3).forEach((count, at) => (counts[UNITS[at]] += count));
      else counts[UNITS[told]] += 1;
    });
    return counts;
  }

  /** @returns {RunState} */
  get state() {
    return RUN_STATES[Number(this.now.get(-1) ?? 0)] ?? "running";
  }

  /** How much of each capacity is in use, in the order of the document. */
  get used() {
    return this.saved.capacities.map((_, at) => Number(this.now.get(-2 - at) ?? 0));
  }
}

/** The counts of a box that stands for several units, as the document tells them. @param {Told} told */
function items(told) {
  if (!Array.isArray(told)) return null;
  const [, total, waiting, ...tally] = told;
  const of = (/** @type {State} */ state) => tally[UNITS.indexOf(state)] ?? 0;
  return {
    total: total < 0 ? null : total,
    done: of("done"),
    stored: of("stored"),
    kept: of("kept"),
    running: of("running"),
    failed: of("failed"),
    waiting,
  };
}

/**
 * Document + frames → the run as it is now. Knows nothing of the page. Invariant: what was given is never changed
 * (a widget hands the same snapshot out again), and a frame is taken only in its turn.
 */

import { pictureOf } from "./graph/focus.js";

/** @import {RunDocument, DeltaFrame, Changes, NodeEntry, Arrow, Box, RunState} from "./types.js" */

const LOG_KEPT = 2000;
const MOST_BARS = 2000;
const LANES = ["capacity", "resource", "tasks", "waiting"];
const ENDED = new Set(["completed", "failed", "cancelled"]);
const STATES = new Set("pending queued running waiting retry done stored kept failed skipped cancelled param".split(" "));

/** @type {NodeEntry} */
const UNKNOWN = { s: "pending", t0: null, t1: null, d: "", why: "", v: "", items: null };

/** @type {import("./types.js").Bar} holds the place of a bar that no frame brought yet: it stands on no row */
const NO_BAR = { row: "", span: 1, node: "", label: "", t0: 0, t1: 0, s: "done", text: "" };

const FLAGS = /** @type {const} */ (
  ["all", "run", "picture", "rows", "capacities", "params", "result", "failure", "time"]
);

/** @returns {Changes} */
export function noChanges() {
  return {
    all: false,
    run: false,
    picture: false,
    nodes: new Set(),
    rows: false,
    bars: new Set(),
    capacities: false,
    log: 0,
    params: false,
    result: false,
    failure: false,
    time: false,
  };
}

/** Adds what `more` tells to `changes`. @param {Changes} changes @param {Changes} more */
export function addChanges(changes, more) {
  for (const id of more.nodes) changes.nodes.add(id);
  for (const index of more.bars) changes.bars.add(index);
  changes.log += more.log;
  for (const part of FLAGS) changes[part] ||= more[part];
}

export class RunModel {
  /** @type {Set<string>|null} */
  #focusedIds = null;
  /** @type {import("./types.js").Picture|null} */
  #focused = null;
  /** @type {Map<string, Box>} the boxes that are drawn, where they are drawn */
  placed = new Map();

  /** @param {RunDocument} given */
  constructor(given) {
    /** @type {RunDocument} */
    this.document = copy(given);
    /** @type {number|null} null until a numbered document or frame came */
    this.seq = null;
    this.receivedAt = 0;
    /** @type {Map<string, Box>} */
    this.boxes = new Map();
    /** @type {Map<string, Arrow[]>} */
    this.into = new Map();
    /** @type {Map<string, Arrow[]>} */
    this.from = new Map();
    /** @type {number} how many log lines came and were let go here */
    this.forgotten = 0;
    /** @type {number|null} the moment that a replay shows, in seconds; null: the run as it is */
    this.at = null;
    this.replace(given);
  }

  /** Whether `given` tells of the same run, at an earlier moment than this. @param {RunDocument} given */
  isOlder(given) {
    return (
      given.run?.id === this.document.run.id &&
      typeof given.seq === "number" &&
      this.seq !== null &&
      given.seq < this.seq
    );
  }

  /** @param {RunDocument} given */
  replace(given) {
    this.document = copy(given);
    this.seq = typeof given.seq === "number" ? given.seq : null;
    this.receivedAt = performance.now();
    this.forgotten = 0;
    this.at = null;
    this.#trimLog();
    this.#indexPicture();
  }

  /**
   * Whether `frame` is the next one, one that is already in, or one after a gap.
   * @param {DeltaFrame} frame
   * @returns {"next"|"old"|"gap"}
   */
  place(frame) {
    if (this.seq === null || typeof frame.seq !== "number") return "next";
    if (frame.seq <= this.seq) return "old";
    return frame.seq === this.seq + 1 ? "next" : "gap";
  }

  /**
   * @param {DeltaFrame} frame
   * @param {Changes} changes told what this frame changed
   */
  apply(frame, changes) {
    if (typeof frame.seq === "number") this.seq = frame.seq;
    const now = this.document;
    if (frame.run) {
      now.run = { ...now.run, ...frame.run };
      if (typeof frame.run.elapsed === "number") this.receivedAt = performance.now();
      changes.run = true;
    }
    if (frame.picture) {
      now.picture = picture(frame.picture);
      this.#indexPicture();
      changes.picture = true;
    }
    for (const [id, entry] of Object.entries(frame.nodes ?? {})) {
      now.nodes[id] = entry;
      changes.nodes.add(id);
    }
    this.#applyLanes(frame, changes);
    this.#applyRest(frame, changes);
  }

  /** @param {DeltaFrame} frame @param {Changes} changes */
  #applyLanes(frame, changes) {
    const { rows, bars } = this.document.lanes;
    if (frame.rows?.length) {
      rows.push(...frame.rows);
      inOrder(rows);
      changes.rows = true;
    }
    for (const [index, bar] of frame.bars ?? []) {
      if (!(index >= 0 && index < MOST_BARS)) continue;
      while (bars.length < index) bars.push(NO_BAR); // those between are still to come
      bars[index] = bar;
      changes.bars.add(index);
    }
  }

  /** @param {DeltaFrame} frame @param {Changes} changes */
  #applyRest(frame, changes) {
    const now = this.document;
    if (frame.capacities) {
      now.capacities = frame.capacities;
      changes.capacities = true;
    }
    if (frame.log?.length) {
      now.log.push(...frame.log);
      changes.log += frame.log.length;
      this.#trimLog();
    }
    if (frame.dropped) now.dropped = frame.dropped;
    if (frame.params) {
      now.params = frame.params;
      changes.params = true;
    }
    if ("result" in frame) {
      now.result = frame.result ?? null;
      changes.result = true;
    }
    if ("failure" in frame) {
      now.failure = frame.failure ?? null;
      changes.failure = true;
    }
  }

  #trimLog() {
    const extra = this.document.log.length - LOG_KEPT;
    if (extra <= 0) return;
    this.document.log.splice(0, extra);
    this.forgotten += extra;
  }

  /** What is drawn: the picture, or the part of it that is in focus. */
  get picture() {
    return this.#focused ?? this.document.picture;
  }

  /** Draws only these boxes; null: all of them. @param {Set<string>|null} ids */
  focus(ids) {
    this.#focusedIds = ids;
    this.#focused = ids ? pictureOf(this.document.picture, ids) : null;
    this.placed = ids ? new Map(this.picture.boxes.map((box) => [box.id, box])) : this.boxes;
  }

  get isFocused() {
    return this.#focusedIds !== null;
  }

  #indexPicture() {
    this.boxes = new Map(this.document.picture.boxes.map((box) => [box.id, box]));
    this.into = new Map();
    this.from = new Map();
    for (const arrow of this.document.picture.arrows) {
      listAt(this.into, arrow.target).push(arrow);
      listAt(this.from, arrow.source).push(arrow);
    }
    this.focus(this.#focusedIds && [...this.#focusedIds].some((id) => this.boxes.has(id)) ? this.#focusedIds : null);
  }

  /** @param {string} id @returns {NodeEntry} */
  node(id) {
    const entry = Object.hasOwn(this.document.nodes, id) ? this.document.nodes[id] : UNKNOWN;
    return STATES.has(entry.s) ? entry : { ...entry, s: "pending" };
  }

  /** `id` with all that leads to it and all that it leads to. @param {string} id */
  lineage(id) {
    const found = new Set([id]);
    for (const [edges, end] of /** @type {const} */ ([
      [this.into, "source"],
      [this.from, "target"],
    ])) {
      const open = [id];
      const seen = new Set(open);
      for (let next = open.pop(); next !== undefined; next = open.pop()) {
        for (const arrow of edges.get(next) ?? []) {
          if (seen.has(arrow[end])) continue;
          seen.add(arrow[end]);
          open.push(arrow[end]);
        }
      }
      for (const one of seen) found.add(one);
    }
    return found;
  }

  /** @returns {RunState} */
  get state() {
    return this.document.run.state;
  }

  get ended() {
    return ENDED.has(this.state);
  }

  /** Seconds since the run's start, going on by the page's own clock until it ends. @param {boolean} live */
  elapsed(live) {
    const { elapsed } = this.document.run;
    if (!live || this.ended || this.state === "pending") return elapsed;
    return elapsed + (performance.now() - this.receivedAt) / 1000;
  }

  /** Units that will not change any more, and all units. */
  get progress() {
    const { counts } = this.document.run;
    let total = 0;
    for (const value of Object.values(counts)) total += Number(value) || 0;
    const over = ["done", "stored", "kept", "failed", "skipped", "cancelled"];
    const finished = over.reduce((sum, state) => sum + (Number(counts[state]) || 0), 0);
    return { finished, total };
  }
}

/** @template T @param {Map<string, T[]>} map @param {string} key @returns {T[]} */
function listAt(map, key) {
  let list = map.get(key);
  if (!list) map.set(key, (list = []));
  return list;
}

/** A document of our own, with every part there. @param {Partial<RunDocument>} given @returns {RunDocument} */
function copy(given) {
  /** @type {import("./types.js").Run} */
  const run = {
    id: "",
    name: "run",
    state: "pending",
    started: 0,
    elapsed: 0,
    live: false,
    message: "",
    eta: null,
    ...given.run,
    counts: { ...given.run?.counts },
  };
  return {
    v: given.v ?? 1,
    run,
    picture: picture(given.picture),
    nodes: { ...given.nodes },
    lanes: { rows: [...(given.lanes?.rows ?? [])], bars: [...(given.lanes?.bars ?? [])] },
    capacities: given.capacities ?? [],
    log: [...(given.log ?? [])],
    dropped: { log: 0, bars: 0, ...given.dropped },
    params: given.params ?? [],
    result: given.result ?? null,
    failure: given.failure ?? null,
    peek: given.peek ?? null,
    usual: given.usual ?? {},
    track: given.track ?? null,
    replay: given.replay ?? false,
  };
}

/** @param {Partial<import("./types.js").Picture>|undefined} given */
function picture(given) {
  return {
    width: given?.width ?? 0,
    height: given?.height ?? 0,
    boxes: given?.boxes ?? [],
    arrows: given?.arrows ?? [],
  };
}

/**
 * Put rows that came later where they belong: those of one lane together, waiting last.
 * @param {import("./types.js").LaneRow[]} rows
 */
function inOrder(rows) {
  const laneOf = (/** @type {{id: string}} */ row) => row.id.slice(0, row.id.lastIndexOf("/") >>> 0);
  /** @type {Map<string, number>} */
  const lanes = new Map();
  for (const row of rows) if (!lanes.has(laneOf(row))) lanes.set(laneOf(row), lanes.size);
  const place = (/** @type {{id: string}} */ row) => lanes.get(laneOf(row)) ?? 0;
  rows.sort((a, b) => LANES.indexOf(a.kind) - LANES.indexOf(b.kind) || place(a) - place(b));
}

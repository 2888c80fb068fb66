/**
 * The run document as types: what every part of the view agrees on. No code.
 *
 * @typedef {"pending"|"queued"|"running"|"waiting"|"retry"|"done"|"stored"|"failed"|"skipped"|"cancelled"|"param"} State
 * @typedef {"pending"|"running"|"paused"|"cancelling"|"completed"|"failed"|"cancelled"} RunState
 *
 * @typedef {{id: string, name: string, state: RunState, started: number, elapsed: number, live: boolean,
 *   message: string, eta: number|null, counts: Record<string, number>}} Run
 * @typedef {{id: string, name: string, kind: string, note: string, x: number, y: number, w: number, h: number}} Box
 * @typedef {{source: string, target: string, kind: string, label: string, d: string, lx: number, ly: number}} Arrow
 * @typedef {{width: number, height: number, boxes: Box[], arrows: Arrow[]}} Picture
 * @typedef {{total: number|null, done: number, stored: number, running: number, failed: number, waiting: number}} Items
 * @typedef {{s: State, t0: number|null, t1: number|null, d: string, why: string, v: string, items: Items|null}} NodeEntry
 * @typedef {{id: string, label: string, kind: string}} LaneRow
 * @typedef {{row: string, span: number, node: string, label: string, t0: number, t1: number|null, s: string,
 *   text: string}} Bar
 * @typedef {{name: string, used: number, total: number, kind: string}} Capacity
 * @typedef {{t: number, s: string, node: string, label: string, text: string, stream: string, level: string}} LogLine
 * @typedef {{name: string, value: string, type: string, description: string}} Param
 * @typedef {{columns: string[], rows: string[][], more: number}} SmallTable
 * @typedef {{type: string, text: string, table: SmallTable|null}} Result
 * @typedef {{file: string, line: number, function: string, code: string}} Frame
 * @typedef {{node: string, label: string, error_type: string, error: string, frames: Frame[],
 *   inputs: {name: string, preview: string}[], good: string}} Failure
 *
 * @typedef {{v: number, seq?: number, run: Run, picture: Picture, nodes: Record<string, NodeEntry>,
 *   lanes: {rows: LaneRow[], bars: Bar[]}, capacities: Capacity[], log: LogLine[],
 *   dropped: {log: number, bars: number}, params: Param[], result: Result|null, failure: Failure|null}} RunDocument
 * @typedef {{seq: number, run?: Partial<Run>, picture?: Picture, nodes?: Record<string, NodeEntry>, rows?: LaneRow[],
 *   bars?: [number, Bar][], capacities?: Capacity[], log?: LogLine[], dropped?: {log: number, bars: number},
 *   params?: Param[], result?: Result|null, failure?: Failure|null}} DeltaFrame
 *
 * What changed since the last drawing.
 * @typedef {{all: boolean, run: boolean, picture: boolean, nodes: Set<string>, rows: boolean, bars: Set<number>,
 *   capacities: boolean, log: number, params: boolean, result: boolean, failure: boolean}} Changes
 *
 * What a panel gets from the view it lives in.
 * @typedef {{uid: string, model: import("./model.js").RunModel, selection: import("./selection.js").Selection,
 *   live: boolean, send: (command: string) => void, memory: Record<string, unknown>, root: HTMLElement}} Context
 *
 * One part of the view. `tick` is called while the run goes on.
 * @typedef {{element: HTMLElement, draw: (changes: Changes) => void, tick?: () => void, shown?: () => void,
 *   destroy?: () => void}} Panel
 */

export {};

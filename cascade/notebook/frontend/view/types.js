/**
 * The run document as types: what every part of the view agrees on. No code.
 *
 * @typedef {"pending"|"queued"|"running"|"waiting"|"retry"|"done"|"stored"|"kept"|"failed"|"skipped"|"cancelled"|"param"} State
 * @typedef {"pending"|"running"|"paused"|"cancelling"|"completed"|"failed"|"cancelled"} RunState
 *
 * @typedef {{id: string, name: string, state: RunState, started: number, elapsed: number, live: boolean,
 *   message: string, eta: number|null, counts: Record<string, number>, step?: boolean,
 *   simulated?: boolean, lost?: boolean}} Run `simulated`: it has not taken place; `lost`: its kernel ended before it did
 * @typedef {{id: string, name: string, kind: string, note: string, x: number, y: number, w: number, h: number}} Box
 * @typedef {{source: string, target: string, kind: string, label: string, d: string, lx: number, ly: number}} Arrow
 * @typedef {{width: number, height: number, boxes: Box[], arrows: Arrow[]}} Picture
 * @typedef {{total: number|null, done: number, stored: number, kept?: number, running: number, failed: number,
 *   waiting: number}} Items
 * @typedef {{s: State, t0: number|null, t1: number|null, d: string, why: string, v: string, items: Items|null,
 *   next?: boolean, m?: string}} NodeEntry `m`: marked as stale, and the text that says so
 * @typedef {{id: string, label: string, kind: string}} LaneRow
 * @typedef {{row: string, span: number, node: string, label: string, t0: number, t1: number|null, s: string,
 *   text: string}} Bar
 * @typedef {{name: string, used: number, total: number, kind: string}} Capacity
 * @typedef {{t: number, s: string, node: string, label: string, text: string, stream: string, level: string,
 *   figure?: Figure}} LogLine
 * @typedef {{id: string, mime: string, data: string, w: number, h: number, bytes: number, whole: boolean, made: number,
 *   columns: string[], rows: string[][], more: number}} Figure
 * @typedef {{name: string, value: string, type: string, description: string}} Param
 * @typedef {{columns: string[], rows: string[][], more: number}} SmallTable
 * @typedef {{type: string, text: string, table: SmallTable|null,
 *   picture?: {mime: string, data: string, w: number, h: number}|null}} Result
 * @typedef {{file: string, line: number, function: string, code: string}} Frame
 * @typedef {{node: string, label: string, error_type: string, error: string, frames: Frame[],
 *   inputs: {name: string, preview: string}[], good: string, causes?: Cause[], more?: Failure[],
 *   others?: number}} Failure
 * @typedef {{how: string, error_type: string, error: string, frames: Frame[]}} Cause
 * @typedef {{rows: [string, string, number|null, string, string][], more: number}} Parts label, state, seconds, text, id
 * @typedef {{state: string, type: string, text: string, table: SmallTable|null, size?: number}} PeekValue
 * @typedef {{signature: string, doc: string, where: string}} PeekTask
 * @typedef {{name: string, text: string, node: string, value?: string}} PeekArgument
 * @typedef {{label?: string, s?: string, why?: string, took?: number|null, task?: PeekTask, arguments?: PeekArgument[],
 *   value?: PeekValue, parts?: Parts}} Peek
 * @typedef {{tasks: PeekTask[], nodes: Record<string, {task?: number, arguments?: PeekArgument[], parts?: Parts,
 *   head?: PeekValue}>}} Peeks what a finished document tells of its nodes
 *
 * @typedef {{step: number, boxes: string[], moments: (number|number[])[][]}} Track what replay moves through
 *
 * @typedef {{v: number, seq?: number, run: Run, picture: Picture, nodes: Record<string, NodeEntry>,
 *   lanes: {rows: LaneRow[], bars: Bar[]}, capacities: Capacity[], log: LogLine[],
 *   dropped: {log: number, bars: number}, params: Param[], result: Result|null, failure: Failure|null,
 *   track?: Track|null, replay?: boolean, peek?: Peeks|null, usual?: Record<string, number>,
 *   controls?: import("./form.js").FormData}} RunDocument `controls`: the form of `cs.controls` as it was saved
 * @typedef {{seq: number, run?: Partial<Run>, picture?: Picture, nodes?: Record<string, NodeEntry>, rows?: LaneRow[],
 *   bars?: [number, Bar][], capacities?: Capacity[], log?: LogLine[], dropped?: {log: number, bars: number},
 *   params?: Param[], result?: Result|null, failure?: Failure|null}} DeltaFrame
 *
 * What changed since the last drawing.
 * @typedef {{all: boolean, run: boolean, picture: boolean, nodes: Set<string>, rows: boolean, bars: Set<number>,
 *   capacities: boolean, log: number, params: boolean, result: boolean, failure: boolean, time: boolean}} Changes
 *
 * What a panel gets from the view it lives in.
 * @typedef {{uid: string, model: import("./model.js").RunModel, selection: import("./selection.js").Selection,
 *   live: boolean, send: (command: string, more?: object) => void,
 *   redraw: (change: (changes: Changes) => void) => void, memory: Record<string, unknown>, root: HTMLElement,
 *   ask?: (question: object) => Promise<any>, canRetry: boolean, retry: () => void,
 *   said: string}} Context `ask` is there while a
 *   kernel that knows the run can be asked
 *
 * One part of the view. `tick` is called while the run goes on.
 * @typedef {{element: HTMLElement, draw: (changes: Changes) => void, tick?: () => void, shown?: () => void,
 *   destroy?: () => void}} Panel
 */

export {};

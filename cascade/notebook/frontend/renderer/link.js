/**
 * The page's kernels → for each the one way to it: questions about runs, orders, and what the kernel sends.
 * Invariant: a kernel is asked only through one comm, opened when a finished run is on the page and not before; where
 * there is none, or it does not know cascade, nothing is said and nothing fails.
 *
 * The renderer and the plugin are bundled apart, so they meet at a symbol of the page.
 */

import { Asker } from "../view/asker.js";

const TARGET = "cascade.run";
const MEETING = Symbol.for("cascade-notebook:kernels");

/**
 * @typedef {object} Comm what JupyterLab gives
 * @property {(data: object) => unknown} open
 * @property {(data: object) => unknown} send
 * @property {(message: any) => void} onMsg
 * @property {(message: any) => void} onClose
 * @property {boolean} isDisposed
 */
/**
 * @typedef {object} KernelConnection
 * @property {string} id
 * @property {string} status
 * @property {(target: string) => Comm} createComm
 * @property {boolean} isDisposed
 */
/**
 * What the plugin offers: the kernel of the document in which an element stands, and word when that changes.
 * @typedef {object} Meeting
 * @property {(element: HTMLElement) => KernelConnection|null} find
 * @property {(element: HTMLElement) => "none"|"up"|"away"|"gone"} standing of that kernel; away: it may come back
 * @property {Set<() => void>} listeners
 * @property {Set<(place: HTMLElement) => void>} savers called just before the document at a place is saved
 */

/** @returns {Meeting|undefined} */
export function meeting() {
  return /** @type {any} */ (globalThis)[MEETING];
}

/** @param {Meeting} given */
export function setMeeting(given) {
  const known = meeting();
  for (const listener of known?.listeners ?? []) given.listeners.add(listener);
  for (const saver of known?.savers ?? []) given.savers.add(saver);
  /** @type {any} */ (globalThis)[MEETING] = given;
}

/** Calls `listener` when a kernel may have come or gone. @param {() => void} listener @returns {() => void} stops it */
export function onKernels(listener) {
  prepare();
  meeting()?.listeners.add(listener);
  return () => meeting()?.listeners.delete(listener);
}

/** Calls `saver` with the place of a document that is about to be saved. @param {(place: HTMLElement) => void} saver @returns {() => void} stops it */
export function onSave(saver) {
  prepare();
  meeting()?.savers.add(saver);
  return () => meeting()?.savers.delete(saver);
}

function prepare() {
  if (!meeting()) setMeeting({ find: () => null, standing: () => "none", listeners: new Set(), savers: new Set() });
}

/** @type {WeakMap<object, Link>} */
const links = new WeakMap();

/** The way to a kernel; a new one when the old one has closed. @param {KernelConnection} kernel */
export function linkTo(kernel) {
  let link = links.get(kernel);
  if (!link || (link.isClosed && link.mayTryAgain)) links.set(kernel, (link = new Link(kernel)));
  return link;
}

/** How long a kernel that did not know us is left alone, ms. */
const QUIET = 3000;

export class Link {
  isClosed = false;
  closedAt = 0;
  /** @type {Map<string, Set<(message: any) => void>>} */
  #listeners = new Map();

  /** @param {KernelConnection} kernel */
  constructor(kernel) {
    this.comm = kernel.createComm(TARGET);
    this.asker = new Asker((message) => this.send(message));
    this.comm.onMsg = (message) => this.#take(message.content.data);
    this.comm.onClose = () => this.close();
    this.comm.open({});
  }

  /** @param {object} message */
  send(message) {
    if (!this.isClosed && !this.comm.isDisposed) this.comm.send(message);
  }

  /** @param {string} run @param {(message: any) => void} listener @returns {() => void} */
  listen(run, listener) {
    const known = this.#listeners.get(run) ?? new Set();
    this.#listeners.set(run, known.add(listener));
    return () => known.delete(listener);
  }

  /** @param {any} message */
  #take(message) {
    if (message?.type === "answer") return this.asker.take(message);
    for (const listener of [...(this.#listeners.get(message?.run) ?? [])]) listener(message);
  }

  close() {
    this.isClosed = true;
    this.closedAt = performance.now();
    this.asker.close();
    for (const listeners of this.#listeners.values()) for (const listener of [...listeners]) listener({ type: "closed" });
  }

  get mayTryAgain() {
    return performance.now() - this.closedAt > QUIET;
  }
}

/**
 * JupyterLab's shell: a saved run → the view, with no kernel and in untrusted notebooks too. Where the notebook has a
 * kernel that still knows the run, the view can ask it, and a retry is drawn in the same place.
 */

import { Panel, Widget } from "@lumino/widgets";
import { createView } from "../view/view.js";
import { frame } from "./saved.js";
import { linkTo, meeting, onKernels } from "./link.js";

/** @import {RunDocument, DeltaFrame} from "../view/types.js" */
/** @typedef {import("./link.js").Link} Link */
/**
 * @typedef {object} MimeModel
 * @property {Record<string, unknown>} data
 * @property {(options: {data: Record<string, unknown>}) => void} setData
 */

export const MIME = "application/vnd.cascade.run+json";

export class RunWidget extends Panel {
  /** Under which type the document is saved. */
  kind = MIME;

  constructor() {
    super();
    this.card = new Widget();
    this.addWidget(this.card);
    this.leaveFrame = () => {};
    /** @type {import("../view/view.js").View|null} */
    this.view = null;
    /** @type {MimeModel|null} */
    this.model = null;
    /** @type {RunDocument|null} */
    this.shown = null;
    this.memory = {};
    /** @type {Link|null} */
    this.link = null;
    this.isFollowing = false;
    this.stop = () => {};
    this.stopKernels = onKernels(() => this.connect());
    this.addClass("cascade-output");
  }

  /** @param {MimeModel} model */
  renderModel(model) {
    this.model = model;
    const data = /** @type {any} */ (model.data[this.kind]);
    if (this.view && this.shown?.run?.id === data?.run?.id && !this.isFollowing) this.view.replace(data);
    else this.draw(data, false);
    this.shown = data;
    this.connect();
    return Promise.resolve();
  }

  /** @param {RunDocument} document @param {boolean} live */
  draw(document, live) {
    this.clear();
    this.isFollowing = live;
    const { place, leave } = frame(this.card.node, document, this.kind !== MIME);
    this.leaveFrame = leave;
    const run = this.shown?.run?.id ?? "";
    const send = (/** @type {object} */ message) => this.link?.send({ run, ...message });
    const ask = (/** @type {object} */ question) => this.asks(run, question);
    this.view = createView(place, document, live ? { live, send, ask, memory: this.memory } : { memory: this.memory });
  }

  clear() {
    this.leaveFrame();
    this.leaveFrame = () => {};
    this.view?.destroy();
    this.view = null;
    this.card.node.replaceChildren();
  }

  /** @param {string} run @param {object} question */
  asks(run, question) {
    return this.link ? this.link.asker.ask({ run, ...question }) : Promise.resolve(null);
  }

  /** Asks the kernel of this notebook, if there is one, whether it knows the run. */
  connect() {
    const run = this.shown?.run?.id;
    if (this.isDisposed || !run || this.isFollowing || !this.node.isConnected) return;
    const kernel = meeting()?.find(this.node) ?? null;
    if (!kernel) return this.leave();
    const link = linkTo(kernel);
    if (link !== this.link) {
      this.leave();
      this.link = link;
    }
    this.stop();
    this.stop = link.listen(run, (message) => this.take(run, message));
    // What is open comes back as a run, when it is over as its last picture; controls are more than the run in them.
    const isOpen = this.kind !== MIME && !this.shown?.controls;
    link.send(isOpen ? { type: "hello", run, open: true } : { type: "hello", run });
  }

  leave() {
    this.stop();
    this.stop = () => {};
    this.link = null;
    this.view?.connect(null);
  }

  /** @param {string} run @param {any} message */
  take(run, message) {
    switch (message.type) {
      case "known":
        return this.known(run, message);
      case "snapshot":
        return this.isFollowing ? this.view?.replace(message.snapshot) : this.draw(message.snapshot, true);
      case "frame":
        if (this.isFollowing && this.view?.apply(/** @type {DeltaFrame} */ (message.frame)) === "gap")
          this.link?.send({ type: "snapshot", run });
        return undefined;
      case "finished":
        return this.finish(message.bundle);
      case "refused":
        return this.view?.tell(message.error);
      case "closed":
        return this.lost();
      default:
        return undefined;
    }
  }

  /** @param {string} run @param {any} message */
  known(run, message) {
    if (this.isFollowing) return;
    const retry = () => this.link?.send({ type: "command", run, command: "retry" });
    const ask = (/** @type {object} */ question) => this.asks(run, question);
    this.view?.connect(message.known ? { ask, retry: message.retry ? retry : null } : null);
  }

  /** The retry is over: what the notebook keeps is its document. @param {Record<string, unknown>} bundle */
  finish(bundle) {
    this.shown = /** @type {any} */ (bundle[MIME]);
    this.draw(/** @type {any} */ (bundle[MIME]), false);
    this.model?.setData({ data: bundle });
    this.connect();
  }

  /** The kernel was restarted or has gone in the middle. */
  lost() {
    this.link = null;
    if (this.isFollowing && this.model) this.draw(/** @type {any} */ (this.model.data[this.kind]), false);
    this.view?.connect(null);
  }

  /** @param {any} message */
  onAfterAttach(message) {
    super.onAfterAttach(message);
    this.connect();
  }

  dispose() {
    this.stopKernels();
    this.stop();
    this.clear();
    super.dispose();
  }
}

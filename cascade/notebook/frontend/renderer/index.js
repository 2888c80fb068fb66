/**
 * JupyterLab's shell: a saved run → the view, with no kernel and in untrusted notebooks too. Where the notebook has a
 * kernel that still knows the run, the view can ask it, and a retry is drawn in the same place.
 */

import { Widget } from "@lumino/widgets";
import { createView } from "../view/view.js";
import { linkTo, meeting, onKernels } from "./link.js";

/** @import {RunDocument, DeltaFrame} from "../view/types.js" */
/** @typedef {import("./link.js").Link} Link */
/**
 * @typedef {object} MimeModel
 * @property {Record<string, unknown>} data
 * @property {(options: {data: Record<string, unknown>}) => void} setData
 */

const MIME = "application/vnd.cascade.run+json";

class RunWidget extends Widget {
  constructor() {
    super();
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
    const data = /** @type {any} */ (model.data[MIME]);
    if (this.view && this.shown?.run?.id === data?.run?.id && !this.isFollowing) this.view.replace(data);
    else this.draw(data, false);
    this.shown = data;
    this.connect();
    return Promise.resolve();
  }

  /** @param {RunDocument} document @param {boolean} live */
  draw(document, live) {
    this.view?.destroy();
    this.isFollowing = live;
    const run = this.shown?.run?.id ?? "";
    const send = (/** @type {object} */ message) => this.link?.send({ run, ...message });
    const ask = (/** @type {object} */ question) => this.asks(run, question);
    this.view = createView(this.node, document, live ? { live, send, ask, memory: this.memory } : { memory: this.memory });
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
    link.send({ type: "hello", run });
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
    if (this.isFollowing && this.model) this.draw(/** @type {any} */ (this.model.data[MIME]), false);
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
    this.view?.destroy();
    this.view = null;
    super.dispose();
  }
}

export default {
  id: "cascade-notebook:run",
  description: "Shows the runs of cascade in saved notebooks.",
  rendererFactory: { safe: true, mimeTypes: [MIME], createRenderer: () => new RunWidget() },
  rank: 0,
  dataType: "json",
};

/**
 * What a cell holds while a view lives: the widget, and the document for whoever opens the notebook when it does not
 * live any more. Shows the widget in a trusted notebook whose kernel has it, else the document, plainly marked; when
 * the notebook is saved, the document becomes what the widget shows at that moment.
 */

import { keptIn } from "../view/kept.js";
import { Handover, WIDGET } from "./handover.js";
import { linkTo, meeting, onSave } from "./link.js";
import { MIME, RunWidget } from "./run.js";

/** @import {RunDocument} from "../view/types.js" */
/** @import {MimeModel} from "./run.js" */

export const LIVE = "application/vnd.cascade.live+json";
/** How long a widget may take before the document stands in its place, ms. */
const PATIENCE = 1500;
const ENDED = new Set(["completed", "failed", "cancelled"]);

export class LiveWidget extends RunWidget {
  /** @override */
  kind = LIVE;
  /** @type {Handover|null} */
  handover = null;
  /** The model whose kernel is gone: it does not come again. */
  lostModel = "";
  /** The kernel that the widget lives in. */
  home = "";

  constructor() {
    super();
    this.stopSaving = onSave((place) => place.contains(this.node) && this.keep());
  }

  /** @override @param {MimeModel & {trusted?: boolean}} model */
  renderModel(model) {
    const reference = model.trusted ? /** @type {{model_id: string}|undefined} */ (model.data[WIDGET]) : undefined;
    const id = reference?.model_id;
    const isSame = this.handover !== null && this.handover.reference.model_id === id;
    if (!isSame) this.endHandover();
    if (!reference || !id || id === this.lostModel || (isSame && this.view)) return super.renderModel(model);
    this.model = model;
    this.shown = /** @type {any} */ (model.data[LIVE]);
    if (!isSame) this.handOver(reference);
    return Promise.resolve();
  }

  /** @param {{model_id: string}} reference */
  handOver(reference) {
    this.clear();
    this.waiting = setTimeout(() => this.fallBack(), PATIENCE);
    this.handover = new Handover(this, reference, {
      live: () => this.giveWay(),
      none: () => this.fallBack(),
      gone: () => this.takeOver(),
    });
    this.connect();
  }

  /** The widget stands: the document goes. */
  giveWay() {
    clearTimeout(this.waiting);
    this.leave();
    this.clear();
    this.card.hide();
    this.home = meeting()?.find(this.node)?.id ?? "";
  }

  /** The widget does not stand, or not yet: the document does. */
  fallBack() {
    clearTimeout(this.waiting);
    if (this.isDisposed || this.handover?.isLive || this.view || !this.shown) return;
    this.draw(this.shown, false);
    super.connect();
  }

  /** The widget, or its kernel, has gone: the document as the widget showed it last takes its place. */
  takeOver() {
    const document = keptIn(this.node);
    if (document && !ENDED.has(document.run.state) && meeting()?.standing(this.node) !== "up") document.run.lost = true;
    this.lostModel = this.handover?.reference.model_id ?? "";
    this.endHandover();
    if (document) this.hold(document);
    this.fallBack();
  }

  endHandover() {
    clearTimeout(this.waiting);
    this.handover?.end();
    this.handover = null;
    this.card.show();
  }

  /** The notebook is being saved: what the widget shows now is what shall be there when it is opened again. */
  keep() {
    const document = this.handover?.isLive ? keptIn(this.node) : null;
    if (document) this.hold(document);
  }

  /** @param {RunDocument} document */
  hold(document) {
    if (!this.model) return;
    const { [LIVE]: _, ...data } = this.model.data;
    if (document.controls || !ENDED.has(document.run.state)) {
      this.model.setData({ data: { ...data, [LIVE]: document } });
      return;
    }
    // The run is over, but a page that was loaded again got no last picture: here it is, and the kernel's is better.
    const kernel = meeting()?.find(this.node);
    delete data[WIDGET];
    this.model.setData({ data: { ...data, [MIME]: document } });
    if (kernel) linkTo(kernel).send({ type: "hello", run: document.run.id, open: true });
  }

  /** @override */
  connect() {
    if (this.isDisposed || !this.handover) return super.connect();
    const state = meeting()?.standing(this.node) ?? "none";
    if (this.handover.isLive) {
      const kernel = meeting()?.find(this.node);
      if (state === "gone" || (kernel && this.home && kernel.id !== this.home)) this.takeOver();
      return undefined;
    }
    if (this.isAttached) this.handover.seek();
    if (state !== "up" && state !== "away") this.fallBack();
    else if (this.view) super.connect();
    return undefined;
  }

  /** @override */
  dispose() {
    this.stopSaving();
    clearTimeout(this.waiting);
    this.handover?.end();
    super.dispose();
  }
}

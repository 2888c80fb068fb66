/**
 * The widget that a saved output speaks of → its view, while the model lives. Asks the notebook's own renderer of
 * widgets, which alone knows the models; what it says when there is none stays hidden. Invariant: the saved bundle is
 * never changed: the renderer of widgets gets a copy.
 */

/** @import {Panel, Widget} from "@lumino/widgets" */
/**
 * @typedef {object} Registry what an output area calls its rendermime
 * @property {(kind: string) => object|undefined} getFactory
 * @property {(kind: string) => Panel & {renderModel: (model: object) => Promise<void>}} createRenderer
 */

export const WIDGET = "application/vnd.jupyter.widget-view+json";
/** How often, and how long, to look whether the widget manager of a notebook has come, ms. */
const EVERY = 200;
const PATIENCE = 30_000;

/** The rendermime of the output area around `widget`. @param {Widget} widget @returns {Registry|null} */
function registryOf(widget) {
  for (let one = /** @type {any} */ (widget.parent); one; one = one.parent) if (one.rendermime?.createRenderer) return one.rendermime;
  return null;
}

export class Handover {
  /** @type {(Panel & {renderModel: (model: object) => Promise<void>})|null} */
  #renderer = null;
  /** @type {object|undefined} */
  #tried;
  /** @type {ReturnType<typeof setInterval>|undefined} */
  #timer;
  #watcher = new MutationObserver(() => this.#look());
  isLive = false;

  /**
   * @param {Panel} host where the widget shall stand
   * @param {{model_id: string}} reference
   * @param {{live: () => void, none: () => void, gone: () => void}} tell `none`: for now; `gone`: its model was closed
   */
  constructor(host, reference, tell) {
    this.host = host;
    this.reference = reference;
    this.tell = tell;
  }

  /** Looks for the widget now, and again when the notebook's widget manager comes. */
  seek() {
    clearInterval(this.#timer);
    const until = performance.now() + PATIENCE;
    this.#timer = setInterval(() => (performance.now() > until ? clearInterval(this.#timer) : this.#try()), EVERY);
    this.#try();
  }

  /** A renderer that was made before the manager came waits for ever; the manager registers another factory. */
  #try() {
    const registry = registryOf(this.host);
    const factory = registry?.getFactory(WIDGET);
    if (this.isLive || !registry || !factory || factory === this.#tried) return;
    this.#tried = factory;
    this.#drop();
    const renderer = registry.createRenderer(WIDGET);
    this.#renderer = renderer;
    renderer.hide();
    this.host.addWidget(renderer);
    this.#watcher.observe(renderer.node, { childList: true });
    const model = { trusted: true, data: { [WIDGET]: { ...this.reference } }, metadata: {}, setData() {} };
    const settle = () => renderer === this.#renderer && !this.#look() && this.tell.none();
    renderer.renderModel(model).then(settle, settle);
  }

  /** Whether the widget stands. */
  #look() {
    const shown = this.#renderer?.widgets?.[0];
    if (!shown || this.isLive) return this.isLive;
    this.isLive = true;
    clearInterval(this.#timer);
    this.#watcher.disconnect();
    shown.disposed.connect(() => this.isLive && this.tell.gone());
    this.#renderer?.show();
    this.tell.live();
    return true;
  }

  #drop() {
    const renderer = this.#renderer;
    this.#renderer = null;
    this.#watcher.disconnect();
    renderer?.dispose();
  }

  /** Takes the widget away. */
  end() {
    this.isLive = false;
    clearInterval(this.#timer);
    this.#drop();
  }
}

/** JupyterLab's shell: a saved run → the view, with no kernel and in untrusted notebooks too. */

import { Widget } from "@lumino/widgets";
import { createView } from "../view/view.js";

const MIME = "application/vnd.cascade.run+json";

class RunWidget extends Widget {
  constructor() {
    super();
    /** @type {import("../view/view.js").View|null} */
    this.view = null;
    this.addClass("cascade-output");
  }

  /** @param {{data: Record<string, unknown>}} model */
  renderModel(model) {
    const data = /** @type {any} */ (model.data[MIME]);
    if (this.view) this.view.replace(data);
    else this.view = createView(this.node, data);
    return Promise.resolve();
  }

  dispose() {
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

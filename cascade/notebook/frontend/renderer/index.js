/** What JupyterLab registers: a renderer for finished runs, and one for what was saved while its widget lived. */

import { LIVE, LiveWidget } from "./live.js";
import { MIME, RunWidget } from "./run.js";

export default [
  {
    id: "cascade-notebook:run",
    description: "Shows the runs of cascade in saved notebooks.",
    rendererFactory: { safe: true, mimeTypes: [MIME], createRenderer: () => new RunWidget() },
    rank: 0,
    dataType: "json",
  },
  {
    id: "cascade-notebook:live",
    description: "Shows the live views of cascade, and what is left of them in saved notebooks.",
    rendererFactory: { safe: true, mimeTypes: [LIVE], createRenderer: () => new LiveWidget() },
    rank: -20, // before the widgets' own renderer, which has -10 and an error where the model is gone
    dataType: "json",
  },
];

/** One HTML page's shell: `cascadeView.mount(element, document)` draws a saved run. Bundled as a plain script. */

import { createView } from "./view/view.js";

/**
 * @param {HTMLElement} element
 * @param {import("./view/types.js").RunDocument} document
 */
export function mount(element, document) {
  return createView(element, document);
}

export { createView };

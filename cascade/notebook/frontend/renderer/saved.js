/** A document that was saved while its widget lived → what is said of it, and the form as it stood. No kernel. */

import { html, toggle } from "../view/dom.js";
import { createForm } from "../view/form.js";
import { addStyles, followTheme } from "../view/theme.js";

/** @import {RunDocument} from "../view/types.js" */

/**
 * Fills `root` with what stands around a saved view.
 * @param {HTMLElement} root
 * @param {RunDocument} document
 * @param {boolean} isOpen whether it was saved while its widget lived; controls without one were closed
 * @returns {{place: HTMLElement, leave: () => void}} where the view itself goes, and what ends the rest
 */
export function frame(root, document, isOpen) {
  const place = html("div", "control-run");
  const form = document?.controls;
  const note = form || isOpen ? noteOf(document) : "";
  if (!form && !note) {
    root.replaceChildren(place);
    return { place, leave: () => {} };
  }
  const top = html("div", "view control-card saved-card", { role: "region", "aria-label": form ? `Controls of ${form.name}, saved` : "about this picture" });
  if (note) top.append(html("p", "saved-note", {}, note));
  if (form) top.append(html("fieldset", "saved-form", { disabled: true, "aria-label": "values when this was saved" }, stillForm(form)));
  const shell = html("div", "control-shell", {}, top, place);
  toggle(shell, "is-idle", Boolean(form) && !document.run?.id);
  root.replaceChildren(shell);
  addStyles(top);
  return { place, leave: followTheme(top, () => {}) };
}

/** @param {import("../view/form.js").FormData} form */
function stillForm(form) {
  const made = createForm({ ...form, note: "" }, () => {});
  for (const button of made.element.querySelectorAll("button")) button.remove();
  return made.element;
}

/** @param {RunDocument} document */
function noteOf(document) {
  if (document.controls) return "Not live: the controls as they stood. Run the cell to move them.";
  const { state, started, elapsed, lost } = document.run;
  if (["completed", "failed", "cancelled"].includes(state)) return "";
  const at = started > 0 ? ` at ${new Date((started + elapsed) * 1000).toLocaleString()}` : "";
  return `${lost ? "Its kernel ended" : "Saved"} while it ran: the run as it stood${at}.`;
}

/**
 * Names and text → elements. The only module that makes elements: text goes in as text nodes, never as markup,
 * and every class gets the prefix.
 */

const SVG = "http://www.w3.org/2000/svg";
export const PREFIX = "cascade-";

/** @typedef {Node|string|null|undefined|false} Child */
/** @typedef {Record<string, unknown>} Attributes */

/**
 * The class names of `list` with the prefix.
 * @param {string} list names separated by spaces
 */
export function classes(list) {
  return list
    .split(" ")
    .filter(Boolean)
    .map((name) => PREFIX + name)
    .join(" ");
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [className] without prefix
 * @param {Attributes} [attributes] `onclick: f` listens; null and false leave the attribute out
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function html(tag, className = "", attributes = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = classes(className);
  set(element, attributes);
  append(element, children);
  return element;
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {string} [className] without prefix
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, className = "", attributes = {}, ...children) {
  const element = /** @type {SVGElementTagNameMap[K]} */ (document.createElementNS(SVG, tag));
  if (className) element.setAttribute("class", classes(className));
  set(element, attributes);
  append(element, children);
  return element;
}

/**
 * Sets attributes that differ from what is there.
 * @param {Element} element
 * @param {Attributes} attributes
 */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value === null || value === undefined || value === false) {
      element.removeAttribute(name);
    } else {
      const text = value === true ? "" : String(value);
      if (element.getAttribute(name) !== text) element.setAttribute(name, text);
    }
  }
}

/**
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * @param {Element} element
 * @param {string} name without prefix
 * @param {boolean} on
 */
export function toggle(element, name, on) {
  element.classList.toggle(PREFIX + name, on);
}

/**
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * @param {Element} element
 * @param {Child[]} children
 */
function append(element, children) {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** An id prefix no other view has, in this module or in another copy of it on the same page. */
export function uniqueId() {
  const numbers = new Uint32Array(2);
  crypto.getRandomValues(numbers);
  return PREFIX + [...numbers].map((number) => number.toString(36)).join("");
}

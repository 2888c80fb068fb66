/**
 * Styles and the choice of light or dark. Adds the style sheet once to each root document, and follows the host:
 * JupyterLab, VS Code and Colab say what they are; elsewhere the ground behind the view tells.
 */

import styles from "cascade:styles";

const MARK = "data-cascade-styles";

/** One sheet for each version, so that an older saved view and a newer live one can share a page. */
function fingerprint() {
  let hash = 5381;
  for (let index = 0; index < styles.length; index += 1) hash = (hash * 33 + styles.charCodeAt(index)) >>> 0;
  return hash.toString(36);
}

/** @param {HTMLElement} element */
export function addStyles(element) {
  const root = element.getRootNode();
  const home = root instanceof ShadowRoot ? root : document.head;
  const version = fingerprint();
  if (home.querySelector(`style[${MARK}="${version}"]`)) return;
  const sheet = document.createElement("style");
  sheet.setAttribute(MARK, version);
  sheet.textContent = styles;
  home.append(sheet);
}

/**
 * Keeps `data-cascade-theme` of `element` true to its surroundings.
 * @param {HTMLElement} element
 * @param {() => void} onChange
 * @returns {() => void} stops it
 */
export function followTheme(element, onChange) {
  const refresh = () => {
    const theme = isDark(element) ? "dark" : "light";
    if (element.dataset.cascadeTheme === theme) return;
    element.dataset.cascadeTheme = theme;
    onChange();
  };
  const watcher = new MutationObserver(refresh);
  const names = [
    "class",
    "style",
    "theme",
    "data-theme",
    "data-jp-theme-light",
    "data-jp-theme-name",
    "data-vscode-theme-kind",
  ];
  for (const host of [document.documentElement, document.body]) {
    watcher.observe(host, { attributes: true, attributeFilter: names });
  }
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", refresh);
  refresh();
  return () => {
    watcher.disconnect();
    media.removeEventListener("change", refresh);
  };
}

/** @param {HTMLElement} element */
function isDark(element) {
  const said = hostSays();
  if (said !== null) return said;
  const ground = groundBehind(element);
  if (ground !== null) return ground < 0.4;
  return matchMedia("(prefers-color-scheme: dark)").matches && schemeAllowsDark();
}

/** @returns {boolean|null} */
function hostSays() {
  const page = document.documentElement;
  const { body } = document;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  if (body.matches(".vscode-light, .vscode-high-contrast-light")) return false;
  if (body.matches(".vscode-dark, .vscode-high-contrast")) return true;
  for (const word of [page.dataset.theme, page.getAttribute("theme"), body.dataset.theme]) {
    if (word === "dark" || word === "light") return word === "dark";
  }
  return page.classList.contains("dark") ? true : null;
}

/**
 * How light the first opaque ground behind `element` is, 0 to 1.
 * @param {HTMLElement} element
 * @returns {number|null}
 */
function groundBehind(element) {
  for (let node = element.parentElement; node; node = node.parentElement) {
    const parts = getComputedStyle(node)
      .backgroundColor.match(/[\d.]+/g)
      ?.map(Number);
    if (parts && parts.length >= 3 && (parts[3] ?? 1) > 0.5) {
      return (0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]) / 255;
    }
  }
  return null;
}

/** A page without a ground and without a word on schemes is white, whatever the system prefers. */
function schemeAllowsDark() {
  return getComputedStyle(document.documentElement).colorScheme.includes("dark");
}

/**
 * A picture of a document → an `<img>`, or nothing. The type must be one that an image element draws, and the data must
 * begin as that type begins: whatever a document holds, no markup is made of it, and nothing is loaded from anywhere.
 */

import { html } from "./dom.js";

/** How the base64 of each type begins. SVG is drawn as an image, in which nothing runs and nothing is fetched. */
const BEGINNINGS = /** @type {Record<string, RegExp>} */ ({
  "image/png": /^iVBORw0KGgo/,
  "image/jpeg": /^\/9j\//,
  "image/gif": /^R0lGODd|^R0lGODl/,
  "image/webp": /^UklGR/,
  "image/svg+xml": /^(PHN2Z|PD94b|PCFE|PCEt|Cjx|IDx|DQo8)/,
});
const LONGEST = 400_000;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const ALT = 300;

/** @typedef {{mime: string, data: string, w: number, h: number}} PictureData */

/** The address of a picture, null if it is none. @param {Partial<PictureData>|null|undefined} picture */
export function sourceOf(picture) {
  const { mime, data } = picture ?? {};
  if (typeof mime !== "string" || typeof data !== "string" || !Object.hasOwn(BEGINNINGS, mime)) return null;
  if (data.length > LONGEST || !BEGINNINGS[mime].test(data) || !BASE64.test(data)) return null;
  return `data:${mime};base64,${data}`;
}

/**
 * @param {PictureData} picture
 * @param {string} alt
 * @param {{width: number, height: number}|null} [room] shrinks it to this, and keeps the place before it is drawn
 * @returns {HTMLImageElement|null}
 */
export function image(picture, alt, room = null) {
  const src = sourceOf(picture);
  if (src === null) return null;
  return html("img", "picture", { src, alt: String(alt).slice(0, ALT), decoding: "async", ...sizes(picture, room) });
}

/** @param {PictureData} picture @param {{width: number, height: number}|null} room */
function sizes({ w, h }, room) {
  const width = Number(w);
  const height = Number(h);
  if (!(width > 0 && height > 0 && width < 1e5 && height < 1e5)) return {};
  const scale = room ? Math.min(1, room.width / width, room.height / height) : 1;
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

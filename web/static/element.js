/** Making elements. Text becomes text nodes and nothing else; what has no look is shown by a stand-in. */

import { visible } from "./visible.js";

/**
 * @typedef {Node | string | null | false} Child
 * @typedef {Record<string, string | boolean | EventListener | undefined>} Properties attributes; a function listens
 *   to the event of that name
 */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties]
 * @param {...Child} children strings are our own words; a record's text comes through `text`
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (typeof value === "string") made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== false));
  return made;
}

/** A record's text, with everything visible. @param {string} content @returns {Node} */
export function text(content) {
  const pieces = visible(content);
  if (pieces.length === 1 && !pieces[0].stands) return document.createTextNode(content);
  const fragment = document.createDocumentFragment();
  for (const piece of pieces) {
    fragment.append(piece.stands ? element("span", { class: "stand-in" }, piece.text) : piece.text);
  }
  return fragment;
}

/** An element of the document that is known to be there. @param {string} id @returns {HTMLElement} */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found;
}

/** @param {string} id @returns {HTMLButtonElement} */
export function buttonById(id) {
  return /** @type {HTMLButtonElement} */ (byId(id));
}

/** @param {string} id @returns {HTMLInputElement} */
export function inputById(id) {
  return /** @type {HTMLInputElement} */ (byId(id));
}

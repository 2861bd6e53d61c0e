/** Light, dark, or as the system says. Loaded before the first paint, so that no visit starts in the wrong colours. */

import { remember, remembered } from "./remember.js";

const THEMES = /** @type {const} */ (["system", "light", "dark"]);

show(remembered("theme") ?? "system");

/** @returns {string} the theme in use */
export function theme() {
  return document.documentElement.dataset.theme ?? "system";
}

/** Goes to the next of the three and remembers it. @returns {string} */
export function nextTheme() {
  const at = THEMES.findIndex((each) => each === theme());
  const next = THEMES[(at + 1) % THEMES.length];
  remember("theme", next);
  show(next);
  return next;
}

/** @param {string} name */
function show(name) {
  document.documentElement.dataset.theme = name;
}

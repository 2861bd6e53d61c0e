/** Light, dark, or as the system says. Loaded before the first paint, so that no visit starts in the wrong colours. */

import { remember, remembered } from "./remember.js";

const THEMES = /** @type {const} */ (["system", "light", "dark"]);

show(remembered("theme") ?? "system");

/** @returns {string} the theme in use */
export function theme() {
  return document.documentElement.dataset.theme ?? "system";
}

/** Uses one of the three and remembers it. @param {string} name */
export function useTheme(name) {
  if (!THEMES.some((each) => each === name)) return;
  remember("theme", name);
  show(name);
}

/** @param {string} name */
function show(name) {
  document.documentElement.dataset.theme = name;
}

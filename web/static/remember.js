/** What this browser keeps between visits. A browser that keeps nothing costs comfort, never the page. */

/** @param {string} key @returns {string | null} */
export function remembered(key) {
  try {
    return localStorage.getItem(`log-page.${key}`);
  } catch {
    return null;
  }
}

/** @param {string} key @param {string} value */
export function remember(key, value) {
  try {
    localStorage.setItem(`log-page.${key}`, value);
  } catch {
    // Storage is switched off or full: the choice lasts as long as the page.
  }
}

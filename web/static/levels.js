/** The five levels and what they look like in a word. Pure. */

/** Most severe first. */
export const LEVELS = ["error", "warn", "info", "debug", "trace"];

/** The letter a row shows beside the colour. @param {string} level */
export function letter(level) {
  return LEVELS.includes(level) ? level[0].toUpperCase() : "?";
}

/** The class that colours it. @param {string} level */
export function levelClass(level) {
  return LEVELS.includes(level) ? `level-${level}` : "level-other";
}

/**
 * JSON without loss: a number that a double would change keeps the text it was written as.
 * Pure. In browsers that do not hand a reviver the source text, such numbers round as `JSON.parse` rounds them.
 */

/** A number as it was written. */
export class ExactNumber {
  /** @param {string} source */
  constructor(source) {
    this.source = source;
  }

  toString() {
    return this.source;
  }

  /** Written back as it was read. */
  toJSON() {
    const { rawJSON } = /** @type {{ rawJSON?: (text: string) => unknown }} */ (
      /** @type {unknown} */ (JSON)
    );
    return rawJSON ? rawJSON(this.source) : Number(this.source);
  }
}

/** @param {string} text @returns {any} */
export function parse(text) {
  return JSON.parse(text, exactly);
}

/** @param {string} _key @param {any} value @param {{ source?: string }} [context] */
function exactly(_key, value, context) {
  if (typeof value !== "number" || context?.source === undefined || context.source === String(value))
    return value;
  return new ExactNumber(context.source);
}

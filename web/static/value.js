/**
 * A field's value: read without loss (a number that a double would change keeps the text it was written as; in
 * browsers that do not hand a reviver the source text it rounds as `JSON.parse` rounds it), and shown as it was logged,
 * an error as a chain of causes. Pure.
 *
 * @import { Fields, Value } from "./api.js"
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

/** A number that may be written otherwise than `String` writes it: long, with an exponent, very small, or with a zero at its end. */
const UNUSUAL = /[:,[]\s*(?:-0\s*[,}\]]|-?(?:\d[\d.]{15}|\d+(?:\.\d+)?[eE]|0\.000000|\d+\.\d*0\s*[,}\]]))/;

/** @param {string} text @returns {any} */
export function parse(text) {
  // Asked about every value, the browser takes six times as long.
  return UNUSUAL.test(text) ? JSON.parse(text, exactly) : JSON.parse(text);
}

/** @param {string} _key @param {any} value @param {{ source?: string }} [context] */
function exactly(_key, value, context) {
  if (typeof value !== "number" || context?.source === undefined || context.source === String(value))
    return value;
  return new ExactNumber(context.source);
}

/** @param {Value} value @returns {string} */
export function valueText(value) {
  if (isPlain(value)) return String(value);
  const error = asError(value);
  if (!error) return JSON.stringify(value, null, 2);
  return [
    error.message,
    ...error.chain.map((cause) => `caused by: ${valueText(/** @type {Value} */ (cause))}`),
  ].join("\n");
}

/**
 * An error as the layer writes one.
 * @param {Value} value
 * @returns {{ message: string, chain: unknown[] } | null}
 */
export function asError(value) {
  if (!isMap(value) || Object.keys(value).length !== 2) return null;
  const { message, chain } = value;
  return typeof message === "string" && Array.isArray(chain) ? { message, chain } : null;
}

/** @param {Value} value @returns {value is Fields} */
export function isMap(value) {
  return (
    value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof ExactNumber)
  );
}

/** @param {Value} value @returns {value is boolean | number | string | ExactNumber} */
export function isPlain(value) {
  return value instanceof ExactNumber || (value !== null && typeof value !== "object");
}

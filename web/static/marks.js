/**
 * What a query looks for, marked where it stands in the rows. The browser paints the marks: no element is made for
 * them, so text stays whole for whoever copies or reads it aloud. Knows nothing of records.
 */

import { splitPipeline, split } from "./query-text.js";

/** A row that repeats one letter a thousand times needs no thousand marks. */
const MOST_IN_ROW = 50;

/**
 * The words that text was searched for: bare ones, phrases, and those of the message. What a query excludes is not
 * among them, nor what is a pattern. Pure.
 * @param {string} readAs the query in canonical form
 * @returns {string[]} in lower case
 */
export function soughtWords(readAs) {
  const found = new Set();
  const look = (/** @type {string} */ filter) => {
    split(filter).forEach((part, at, parts) => {
      if (part.startsWith("-") || part === "AND" || part === "OR" || part === "NOT" || parts[at - 1] === "NOT") return;
      if (part.startsWith("(")) return look(part.slice(1, part.endsWith(")") ? -1 : undefined));
      const said = part.replace(/^message:/i, "");
      const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(said);
      if (!quoted && /[:*<>/|"]/.test(said)) return;
      found.add((quoted ? quoted[1].replace(/\\(.)/g, "$1") : said).toLowerCase());
    });
  };
  look(splitPipeline(readAs).filter);
  found.delete("");
  return [...found];
}

/**
 * Where these words stand in a text, at most so many times. Pure.
 * @param {string} text
 * @param {string[]} words in lower case
 * @param {number} [most]
 * @returns {[number, number][]}
 */
export function places(text, words, most = MOST_IN_ROW) {
  const lower = text.toLowerCase();
  // A few letters change their length; then the places would be wrong.
  if (lower.length !== text.length) return [];
  const found = /** @type {[number, number][]} */ ([]);
  for (const word of words) {
    for (let at = lower.indexOf(word); at >= 0 && found.length < most; at = lower.indexOf(word, at + word.length)) {
      found.push([at, at + word.length]);
    }
  }
  return found;
}

/** The marks of all lists; null where the browser cannot paint them. */
const painted = typeof Highlight === "function" ? new Highlight() : null;
if (painted) CSS.highlights.set("sought", painted);

/** The marks of one list. */
export class Marks {
  constructor() {
    /** @type {string[]} */
    this.words = [];
    /** @type {Map<Element, Range[]>} */
    this.ranges = new Map();
  }

  /** Begins anew, for these words. @param {string[]} words */
  seek(words) {
    this.words = words;
    for (const item of this.ranges.keys()) this.forget(item);
  }

  /** @param {Element} item @param {Element} within what is looked at */
  mark(item, within) {
    if (!painted || this.words.length === 0) return;
    const walker = document.createTreeWalker(within, NodeFilter.SHOW_TEXT);
    const made = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      for (const [start, end] of places(node.nodeValue ?? "", this.words)) {
        const range = new Range();
        range.setStart(node, start);
        range.setEnd(node, end);
        painted.add(range);
        made.push(range);
      }
    }
    if (made.length > 0) this.ranges.set(item, made);
  }

  /** The item leaves the page. @param {Element} item */
  forget(item) {
    for (const range of this.ranges.get(item) ?? []) painted?.delete(range);
    this.ranges.delete(item);
  }
}

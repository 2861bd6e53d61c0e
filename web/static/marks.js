/** What a query looks for, marked where it stands in the rows. Knows nothing of records. */

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
  return words.length > 1 ? apart(found) : found;
}

/** Places in their order; those that touch or overlap are one. @param {[number, number][]} found @returns {[number, number][]} */
function apart(found) {
  const merged = /** @type {[number, number][]} */ ([]);
  for (const [start, end] of found.sort(([one], [other]) => one - other)) {
    const last = merged[merged.length - 1];
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}

/**
 * Marks the words wherever they stand in an element. An element for each, because a frame with the browser's own
 * highlights takes three times as long.
 * @param {Element} within @param {string[]} words in lower case
 */
export function mark(within, words) {
  if (words.length === 0) return;
  const walker = document.createTreeWalker(within, NodeFilter.SHOW_TEXT);
  const nodes = /** @type {Text[]} */ ([]);
  while (walker.nextNode()) nodes.push(/** @type {Text} */ (walker.currentNode));
  for (const node of nodes) {
    // From the end, so that the places before stay where they are.
    for (const [start, end] of places(node.data, words).reverse()) {
      const found = node.splitText(start);
      found.splitText(end - start);
      const mark = document.createElement("mark");
      found.replaceWith(mark);
      mark.append(found);
    }
  }
}

/**
 * Text in which nothing hides: control, bidi and zero-width characters get a visible stand-in, so that a record
 * cannot pretend to be another one. Line breaks and tabs stay. Pure.
 *
 * @typedef {{ text: string, stands: boolean }} Piece `stands`: the text stands for a character that has no look
 */

// A joiner that glues an emoji together is part of its look, so it is left alone.
const HIDDEN =
  /(?<!\p{Extended_Pictographic}\ufe0f?)\u200d|(?![\n\t\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** @param {string} text @returns {Piece[]} */
export function visible(text) {
  const pieces = [];
  let end = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > end) pieces.push({ text: text.slice(end, match.index), stands: false });
    pieces.push({ text: standIn(match[0]), stands: true });
    end = match.index + match[0].length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end), stands: false });
  return pieces;
}

// Names, because the pictures Unicode has for them are missing from many fonts.
const NAMES = (
  "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI " +
  "DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US"
).split(" ");

/** @param {string} character @returns {string} `⟨ESC⟩` for what ASCII has a name for, else `⟨U+202E⟩` */
function standIn(character) {
  const code = character.codePointAt(0) ?? 0;
  return `⟨${NAMES[code] ?? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`}⟩`;
}

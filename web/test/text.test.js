import assert from "node:assert/strict";
import { test } from "node:test";

import { ExactNumber, parse } from "../static/value.js";
import { visible } from "../static/visible.js";

/** @param {string} text */
function shown(text) {
  return visible(text)
    .map((piece) => piece.text)
    .join("");
}

test("ordinary text in any script is left alone", () => {
  for (const text of ["plain", "登录失败", "مرحبا", "naïve 👩‍💻 👨‍👩‍👧 ❤️‍🔥", "a\tb\nc"]) {
    assert.deepEqual(visible(text), [{ text, stands: false }]);
  }
  assert.deepEqual(visible(""), []);
});

test("what has no look, or changes the look of others, gets one", () => {
  const check = (/** @type {string} */ text, /** @type {string} */ expected) =>
    assert.equal(shown(text), expected);
  check("\u001b[2J", "⟨ESC⟩[2J");
  check("a\u0000b\u0007", "a⟨NUL⟩b⟨BEL⟩");
  check("a\r\nb", "a⟨CR⟩\nb");
  check("\u007f\u009b", "⟨U+007F⟩⟨U+009B⟩");
  check("\u202egnp.exe\u202c\u2066", "⟨U+202E⟩gnp.exe⟨U+202C⟩⟨U+2066⟩");
  check("a\u200bb\ufeffc\u00ad", "a⟨U+200B⟩b⟨U+FEFF⟩c⟨U+00AD⟩");
  check("a\u200db", "a⟨U+200D⟩b");
  check("one\u2028two\u0085three", "one⟨U+2028⟩two⟨U+0085⟩three");
  check("\ud800", "⟨U+D800⟩");
  check("\u{e0041}", "⟨U+E0041⟩");
});

test("a stand-in is told apart from the same characters in the text", () => {
  assert.deepEqual(visible("⟨ESC⟩\u001b"), [
    { text: "⟨ESC⟩", stands: false },
    { text: "⟨ESC⟩", stands: true },
  ]);
});

test("a field's name can be any text, also one that JavaScript knows", () => {
  const read = parse('{"__proto__": 1, "constructor": "x"}');
  assert.deepEqual(Object.entries(read), [
    ["__proto__", 1],
    ["constructor", "x"],
  ]);
});

test("an exact number is written as it was read", () => {
  const number = new ExactNumber("9007199254740993");
  assert.equal(`${number}`, "9007199254740993");
  // Where the engine cannot write raw JSON, the nearest double is what is left.
  const written = "rawJSON" in JSON ? "9007199254740993" : "9007199254740992";
  assert.equal(JSON.stringify({ number }), `{"number":${written}}`);
});

test("numbers are read without loss where the engine shows their source", () => {
  let source;
  JSON.parse("1.0", (_key, value, /** @type {any} */ context) => ((source = context?.source), value));
  const written = ["9007199254740993", "1.0", "12.50", "1e5", "-2.5E-7", "0.00000015", "-0", "0.12345678901234567", "42", "0.5", "-7", "0"];
  const read = parse(`{"a":[${written}],${written.map((number, at) => `"${at}": ${number}`)}}`);
  const expected = written.map((number) => (source === undefined ? String(Number(number)) : number));
  assert.deepEqual(read.a.map(String), expected);
  assert.deepEqual(written.map((_, at) => String(read[at])), expected);
  assert.equal(read.a[8], 42);
});

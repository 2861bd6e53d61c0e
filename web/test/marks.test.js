import assert from "node:assert/strict";
import { test } from "node:test";

import { places, soughtWords } from "../static/marks.js";

/** @param {string} readAs @param {...string} expected */
function check(readAs, ...expected) {
  assert.deepEqual(soughtWords(readAs), expected, readAs);
}

test("what text was searched for is marked, and nothing else", () => {
  check("Timeout", "timeout");
  check('"connection reset" 登录', "connection reset", "登录");
  check('a -b NOT c d', "a", "d");
  check('(a OR "b c") level:error', "a", "b c");
  check('-(a OR b) c', "c");
  check('message:"reset by peer" path:/live', "reset by peer");
  check('say "a \\"word\\""', "say", 'a "word"');
  check("/panick.d/ lat* user_id:42 latency_ms>5 x", "x");
  check("slow | count by service", "slow");
  check("*");
  check("");
});

test("places are found in any case, without overlap, and not without end", () => {
  assert.deepEqual(places("Time timeTIME", ["time"]), [[0, 4], [5, 9], [9, 13]]);
  assert.deepEqual(places("aaaa", ["aa"]), [[0, 2], [2, 4]]);
  assert.deepEqual(places("connection", ["tion", "connect"]), [[0, 10]]);
  assert.deepEqual(places("b a", ["a", "b"]), [[0, 1], [2, 3]]);
  assert.equal(places("a".repeat(1000), ["a"], 5).length, 5);
  // This letter has two in lower case: better no mark than a wrong one.
  assert.deepEqual(places("\u0130 time", ["time"]), []);
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { isFirstView, readState, searchesAlike, searchParameters, writeState } from "../static/state.js";

/** @param {string} url */
function comesBack(url) {
  assert.equal(writeState(readState(url)), url);
}

test("what the page shows survives a reload", () => {
  comesBack("./");
  comesBack("?q=level%3Aerror");
  comesBack("?q=%22a+b%22+c%26d%3D1&as=text&from=-7d");
  comesBack("?from=2026-07-28T12%3A00%3A00.000Z&to=2026-07-28T13%3A00%3A00.000Z&id=a%2Fb");
  comesBack("?from=all&live=1&utc=1&wrap=1");
});

test("without a time the last hour is searched, and all of it when only the end is known", () => {
  assert.deepEqual(searchParameters(readState("")), { from: "-1h" });
  assert.deepEqual(searchParameters(readState("?from=all")), {});
  assert.deepEqual(searchParameters(readState("?to=2026-07-28T13:00:00Z")), { to: "2026-07-28T13:00:00Z" });
});

test("a query forced to be text stays text in what is asked", () => {
  assert.deepEqual(searchParameters(readState("?q=a:b&as=text&from=all")), { q: "a:b", as: "text" });
});

test("only a URL that chooses nothing is a first view", () => {
  assert.ok(isFirstView("?utc=1"));
  assert.ok(!isFirstView("?from=-1h"));
  assert.ok(!isFirstView("?q=x"));
});

test("how things look needs no new search", () => {
  const state = readState("?q=x");
  assert.ok(searchesAlike(state, { ...state, utc: true, wrap: true, id: "7" }));
  assert.ok(!searchesAlike(state, { ...state, live: true }));
  assert.ok(!searchesAlike(state, { ...state, asText: true }));
});

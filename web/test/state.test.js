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
  comesBack("?from=all&live=1&utc=1&wrap=1&dense=1");
  comesBack("?q=x&columns=service%2Cuser_id%2Cspan.path&fields=1");
  comesBack("?q=x&columns=");
  comesBack("?q=x&columns=a%252Cb%2C50%2525");
  comesBack("?id=7&scope=service&around=50&view=context");
  comesBack("?trace=9f3c&view=trace");
  comesBack("?q=level%3Aerror&from=-24h&view=issues");
  comesBack("?q=x+%7C+count&chart=bars");
  comesBack("?q=x&sort=count&view=issues");
  comesBack("?view=records");
  comesBack("?from=-24h&view=overview");
  comesBack("?view=saved");
});

test("who chooses nothing sees the overview, who chooses anything the records", () => {
  const check = (/** @type {string} */ url, /** @type {string} */ view) =>
    assert.equal(readState(url).view, view, url);
  check("", "overview");
  check("?utc=1&columns=a", "overview");
  check("?q=x", "records");
  check("?from=-24h", "records");
  check("?live=1", "records");
  check("?view=nonsense&q=x", "records");
  check("?view=nonsense", "overview");
});

test("a URL that somebody wrote by hand is taken as far as it makes sense", () => {
  const state = readState("?around=-3&scope=x&chart=pie&columns=a,a,%E0%A4%A,b");
  assert.deepEqual([state.around, state.scope, state.chart], [20, "boot", ""]);
  assert.deepEqual(state.columns[0], "a");
  assert.equal(new Set(state.columns).size, state.columns.length);
  assert.equal(readState("?around=999999").around, 1000);
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
  assert.ok(
    searchesAlike(state, { ...state, utc: true, wrap: true, dense: true, id: "7", columns: [], chart: "bars" }),
  );
  assert.ok(!searchesAlike(state, { ...state, live: true }));
  assert.ok(!searchesAlike(state, { ...state, asText: true }));
  assert.ok(!searchesAlike(state, { ...state, view: "issues" }));
});

test("the surroundings of another record, or other surroundings, are asked for anew", () => {
  const state = readState("?view=context&id=7");
  assert.ok(searchesAlike(state, { ...state, columns: [] }));
  assert.ok(!searchesAlike(state, { ...state, id: "8" }));
  assert.ok(!searchesAlike(state, { ...state, scope: "all" }));
  assert.ok(!searchesAlike(state, { ...state, around: 50 }));
});

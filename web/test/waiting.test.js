import assert from "node:assert/strict";
import { test } from "node:test";

import { Pending } from "../static/pending.js";
import { QueryHistory } from "../static/query-history.js";

const record = (/** @type {number} */ id) => ({ id: String(id), time: "t", level: "info" });

test("what waits comes out in order and once", () => {
  const pending = new Pending();
  pending.push(record(1));
  pending.push(record(2));
  assert.equal(pending.size, 2);
  assert.deepEqual(
    pending.take().records.map(({ id }) => id),
    ["1", "2"],
  );
  assert.deepEqual(pending.take(), { records: [], skipped: 0, uncounted: false });
});

test("a flood keeps the newest and counts the rest", () => {
  const pending = new Pending();
  for (let id = 0; id < 5000; id += 1) pending.push(record(id));
  assert.ok(pending.records.length <= 2000);
  assert.equal(pending.size, 5000);
  const { records, skipped } = pending.take();
  assert.equal(records.length + skipped, 5000);
  assert.equal(records.at(-1)?.id, "4999");
  assert.equal(records[0].id, "4000");
});

test("what the server left out is counted with the rest", () => {
  const pending = new Pending();
  pending.gap(132);
  assert.equal(pending.size, 132);
  assert.deepEqual(pending.take(), { records: [], skipped: 132, uncounted: false });
  pending.gap(null);
  assert.equal(pending.size, 1);
  assert.deepEqual(pending.take(), { records: [], skipped: 0, uncounted: true });
  assert.equal(pending.size, 0);
});

test("the history walks back and ends at what was being typed", () => {
  const history = new QueryHistory('["b","a"]', () => {});
  assert.equal(history.older("typing"), "b");
  assert.equal(history.older("b"), "a");
  assert.equal(history.older("a"), null);
  assert.equal(history.newer(), "b");
  assert.equal(history.newer(), "typing");
  assert.equal(history.newer(), null);
});

test("the query in the box is no step back", () => {
  const history = new QueryHistory('["b","a"]', () => {});
  assert.equal(history.older("b"), "a");
});

test("a query is remembered once, the newest first, and not for ever", () => {
  let stored = "";
  const history = new QueryHistory(null, (text) => (stored = text));
  for (const query of ["a", "b", "", "a"]) history.add(query);
  assert.equal(stored, '["a","b"]');
  for (let number = 0; number < 60; number += 1) history.add(String(number));
  assert.equal(JSON.parse(stored).length, 50);
});

test("what somebody else stored does no harm", () => {
  for (const stored of ["{", '{"a":1}', '["a",1]'])
    assert.ok(new QueryHistory(stored, () => {}).queries.length <= 1);
});

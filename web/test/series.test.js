import assert from "node:assert/strict";
import { test } from "node:test";

import { ExactNumber } from "../static/value.js";
import { csv, marks, readable, rowBars, stackedHighest, suits, timeline } from "../static/series.js";

/** @import { Table } from "../static/api.js" */

/** @param {string} columns `name:kind` @param {any[][]} rows @returns {Table} */
function table(columns, rows) {
  const parts = columns.split(" ").map((column) => column.split(":"));
  return { columns: parts.map(([name, kind]) => ({ name, kind: /** @type {any} */ (kind) })), rows };
}

const CHART = table("time:time info:number error:number", [
  ["2026-07-28T12:01:00Z", 5, null],
  ["2026-07-28T12:00:00Z", 3, 1],
]);

test("a table is first shown as what says most", () => {
  assert.equal(suits(CHART), "lines");
  assert.equal(suits(table("service:text count:number", [["a", 1], ["b", 2]])), "bars");
  assert.equal(suits(table("service:text count:number", [["a", 1]])), "table");
  assert.equal(suits(table("path:text count:number p95:number", [["a", 1, 2], ["b", 1, 2]])), "table");
  assert.equal(suits(table("count:number", [[5]])), "table");
  assert.equal(suits(table("a:text b:text", [["x", "y"]])), "table");
});

test("a timeline runs forward, severe levels first, and a hole stays a hole", () => {
  const drawn = timeline(CHART);
  assert.deepEqual(drawn.times, [Date.parse("2026-07-28T12:00:00Z"), Date.parse("2026-07-28T12:01:00Z")]);
  assert.deepEqual(drawn.series, [
    { name: "error", values: [1, null] },
    { name: "info", values: [3, 5] },
  ]);
  assert.deepEqual([drawn.step, drawn.lowest, drawn.highest], [60_000, 0, 5]);
  assert.equal(stackedHighest(drawn), 5);
});

test("what is told row by row becomes a series for each thing it is told of", () => {
  const drawn = timeline(
    table("time:time level:level count:number", [
      ["2026-07-28T12:00:00Z", "info", 3],
      ["2026-07-28T12:00:00Z", "error", 1],
      ["2026-07-28T12:05:00Z", "info", 5],
    ]),
  );
  assert.deepEqual(drawn.series, [
    { name: "error", values: [1, 0] },
    { name: "info", values: [3, 5] },
  ]);
  assert.equal(drawn.step, 300_000);
  const two = timeline(table("time:time path:text n:number p95:number", [["2026-07-28T12:00:00Z", "/a", 1, 9]]));
  assert.deepEqual(
    two.series.map(({ name }) => name),
    ["/a p95", "/a n"],
  );
});

test("steps of which nothing was told are there: none of what is counted, a hole of what is measured", () => {
  const minutes = ["2026-07-28T12:00:00Z", "2026-07-28T12:01:00Z", "2026-07-28T12:04:00Z"];
  const drawn = timeline(table("time:time count:number p95:number", minutes.map((at) => [at, 2, 7])));
  assert.equal(drawn.times.length, 5);
  assert.deepEqual(drawn.series, [
    { name: "p95", values: [7, 7, null, null, 7] },
    { name: "count", values: [2, 2, 0, 0, 2] },
  ]);
});

test("a timeline of nothing, or of one moment, can be drawn too", () => {
  assert.deepEqual(timeline(table("time:time n:number", [])).times, []);
  assert.equal(timeline(table("time:time n:number", [["2026-07-28T12:00:00Z", 1]])).step, 60_000);
});

test("bars are as long as their part of the longest", () => {
  const bars = rowBars(
    table("service:text level:level count:number", [
      ["a", "info", new ExactNumber("200.0")],
      ["b", null, 50],
      ["c", "warn", -5],
    ]),
  );
  assert.deepEqual(bars, [
    { label: "a · info", value: 200, part: 1 },
    { label: "b · ", value: 50, part: 0.25 },
    { label: "c · warn", value: -5, part: 0 },
  ]);
  assert.deepEqual(rowBars(table("a:text", [["x"]])), []);
});

test("numbers are read with no more digits than say something", () => {
  assert.equal(readable(1234567), "1,234,567");
  assert.equal(readable(3.14159), "3.14");
  assert.equal(readable(1234.567), "1,234.6");
});

test("a copied table is safe in a spreadsheet", () => {
  const copied = csv(table("a:text n:number", [["=cmd|' /C calc'!A0", -5], ['say "hi", you', 1], ["-x", 2]]));
  assert.equal(copied, `a,n\r\n'=cmd|' /C calc'!A0,-5\r\n"say ""hi"", you",1\r\n'-x,2`);
});

test("the marks of a scale are round, and few", () => {
  assert.deepEqual(marks(0, 10_048), [0, 5000, 10_000]);
  assert.deepEqual(marks(0, 7), [0, 2, 4, 6]);
  assert.deepEqual(marks(-3, 12), [0, 5, 10]);
  assert.deepEqual(marks(0, 0), [0]);
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { bars } from "../static/bars.js";

const FROM = Date.parse("2026-07-28T12:00:00Z");

/** @param {Record<number, Record<string, number>>} minutes @param {number} [length] in minutes */
function answer(minutes, length = 10) {
  const buckets = Object.entries(minutes).map(([at, counts]) => ({
    time: new Date(FROM + Number(at) * 60_000).toISOString(),
    counts,
  }));
  return {
    from: new Date(FROM).toISOString(),
    to: new Date(FROM + length * 60_000).toISOString(),
    step_ms: 60_000,
    buckets,
    total: 0,
    scanned: 0,
    ms: 0,
    partial: null,
  };
}

test("bars stand where their time is, and empty ones are left out", () => {
  const made = bars(answer({ 0: { info: 1 }, 3: { info: 0 }, 9: { info: 2 } }));
  assert.equal(made.count, 10);
  assert.deepEqual(
    made.bars.map((bar) => [bar.at, bar.total]),
    [
      [0, 1],
      [9, 2],
    ],
  );
  assert.deepEqual(made.counts, { info: 3 });
});

test("the severe levels are at the bottom", () => {
  const [bar] = bars(answer({ 1: { info: 5, trace: 1, error: 2, warn: 1, debug: 1 } })).bars;
  assert.deepEqual(
    bar.parts.map((part) => part.level),
    ["error", "warn", "info", "debug", "trace"],
  );
});

test("one error among thousands is still to be seen, and nothing grows out of the chart", () => {
  const [bar] = bars(answer({ 1: { error: 1, warn: 1, info: 100_000 } })).bars;
  assert.ok(bar.parts[0].height > 0.03);
  const top = bar.parts.at(-1);
  assert.ok(top && top.base + top.height <= 1 + 1e-9);
});

test("buckets that start before the range widen the chart to the left", () => {
  const made = bars({
    ...answer({ "-1": { info: 1 }, 8: { info: 2 } }),
    from: new Date(FROM - 30_000).toISOString(),
  });
  assert.deepEqual(made.bars.map((bar) => [bar.at, bar.total]).sort(), [
    [0, 1],
    [9, 2],
  ]);
  assert.equal(made.from, FROM - 60_000);
});

test("nothing found is an empty chart", () => {
  assert.deepEqual(bars(answer({})), {
    from: FROM,
    to: FROM + 600_000,
    count: 10,
    highest: 0,
    counts: {},
    bars: [],
  });
});

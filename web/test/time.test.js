import assert from "node:assert/strict";
import { test } from "node:test";

import {
  ago,
  duration,
  fieldTime,
  iso,
  moment,
  presetFor,
  rangeLabel,
  rowTime,
  shifted,
  sortKey,
  stamp,
  ticks,
  timeOfField,
  zoomOut,
} from "../static/time.js";

const NOW = Date.parse("2026-07-28T12:00:00Z");
const HOUR = 3_600_000;

test("moments are read in every form the URL may hold", () => {
  assert.equal(moment("", NOW), NOW);
  assert.equal(moment("now", NOW), NOW);
  assert.equal(moment("-1h", NOW), NOW - HOUR);
  assert.equal(moment("2026-07-28T11:00:00.123456789Z", NOW), NOW - HOUR + 123);
  assert.equal(moment(String(NOW) + "000000", 0), NOW);
  assert.equal(moment("yesterday", NOW), null);
});

test("a row shows the milliseconds and no year", () => {
  assert.equal(rowTime("2026-07-28T14:03:22.123456789Z", true), "07-28 14:03:22.123");
  assert.equal(rowTime("2026-07-28T14:03:22Z", true), "07-28 14:03:22.000");
  assert.equal(rowTime("nonsense", true), "nonsense");
});

test("local times come from the offset of that very day", () => {
  const zone = process.env.TZ;
  process.env.TZ = "Europe/Berlin";
  assert.equal(stamp(Date.parse("2026-01-15T12:00:00Z"), false), "2026-01-15 13:00:00.000");
  assert.equal(stamp(Date.parse("2026-07-15T12:00:00Z"), false), "2026-07-15 14:00:00.000");
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

test("a field for a time gives back what it was given", () => {
  for (const utc of [true, false]) assert.equal(timeOfField(fieldTime(NOW, utc), utc), iso(NOW));
  assert.equal(timeOfField("", true), "");
});

test("ranges are named as people say them", () => {
  assert.equal(rangeLabel("-1h", "", true), "Last hour");
  assert.equal(rangeLabel("all", "", true), "All time");
  assert.equal(rangeLabel("-3h", "", true), "Last 3 hours");
  assert.equal(rangeLabel("-1d", "", true), "Last 1 day");
  assert.equal(rangeLabel("-3h", "-1h", true), "-3h – -1h");
  assert.equal(rangeLabel("2026-07-28T10:00:00Z", "2026-07-28T11:30:15.5Z", true), "2026-07-28 10:00 – 11:30:15");
  assert.equal(rangeLabel("2026-07-28T23:00:00Z", "2026-07-29T01:00:00Z", true), "2026-07-28 23:00 – 07-29 01:00");
  assert.equal(rangeLabel("2025-12-31T23:00:00Z", "2026-01-01T01:00:00Z", true), "2025-12-31 23:00 – 2026-01-01 01:00");
  assert.equal(rangeLabel("all", "2026-07-28T11:00:00Z", true), "the beginning – 2026-07-28 11:00");
});

test("zooming out walks the presets up to now, and doubles a range that ended before", () => {
  assert.deepEqual(zoomOut("-15m", "", NOW), { from: "-1h", to: "" });
  assert.deepEqual(zoomOut("-7d", "", NOW), { from: "all", to: "" });
  assert.deepEqual(zoomOut("all", "", NOW), { from: "all", to: "" });
  assert.deepEqual(zoomOut(iso(NOW - 20 * HOUR), iso(NOW - 18 * HOUR), NOW), {
    from: iso(NOW - 21 * HOUR),
    to: iso(NOW - 17 * HOUR),
  });
  assert.deepEqual(zoomOut(iso(NOW - 4 * HOUR), iso(NOW), NOW), { from: "-6h", to: "" });
  assert.deepEqual(zoomOut("nonsense", "", NOW), { from: "all", to: "" });
});

test("the preset that reaches back far enough is the shortest one", () => {
  assert.equal(presetFor(10), "-15m");
  assert.equal(presetFor(2 * HOUR), "-6h");
  assert.equal(presetFor(1e15), "all");
});

test("times sort to the nanosecond however many digits they have", () => {
  const sorted = [
    "2026-07-28T12:00:00Z",
    "2026-07-28T12:00:00.000000001Z",
    "2026-07-28T12:00:00.1Z",
    "2026-07-28T12:00:00.100000001Z",
  ];
  assert.deepEqual(
    [...sorted].reverse().sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1)),
    sorted,
  );
});

test("ages are rounded to what one would say", () => {
  assert.equal(ago(NOW - 1000, NOW), "1 second ago");
  assert.equal(ago(NOW - 3 * HOUR, NOW), "3 hours ago");
  assert.equal(ago(NOW - 72 * HOUR, NOW), "3 days ago");
  assert.equal(ago(NOW + HOUR, NOW), "0 seconds ago");
});

test("the axis has few marks, at round times", () => {
  const marks = ticks(NOW - HOUR, NOW, 6, true).map(({ label }) => label);
  assert.deepEqual(marks, ["11:00", "11:10", "11:20", "11:30", "11:40", "11:50", "12:00"]);
  assert.deepEqual(
    ticks(NOW - 24 * HOUR, NOW, 5, true).map(({ label }) => label),
    ["12:00", "18:00", "07-28", "06:00", "12:00"],
  );
  assert.ok(ticks(NOW, NOW + 5, 6, true).length > 0);
});

test("a range moves by half of its length, whether it ends now or not", () => {
  const now = Date.parse("2026-07-28T12:00:00Z");
  assert.deepEqual(shifted("-1h", "", now, -1), {
    from: "2026-07-28T10:30:00.000Z",
    to: "2026-07-28T11:30:00.000Z",
  });
  assert.deepEqual(shifted("2026-07-28T10:00:00Z", "2026-07-28T10:10:00Z", now, 1), {
    from: "2026-07-28T10:05:00.000Z",
    to: "2026-07-28T10:15:00.000Z",
  });
  assert.equal(shifted("all", "", now, -1), null);
});

test("how long something took is read at a glance", () => {
  const check = (/** @type {number} */ ms, /** @type {string} */ expected) => assert.equal(duration(ms), expected);
  check(0, "0");
  check(0.42, "420 µs");
  check(3.14159, "3.1 ms");
  check(250.4, "250 ms");
  check(1500, "1.50 s");
  check(12_345, "12.3 s");
  check(125_000, "2 min 5 s");
});

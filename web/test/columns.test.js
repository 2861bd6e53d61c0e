import assert from "node:assert/strict";
import { test } from "node:test";

import { columnText, columnWidth, moved, pairs, toggled } from "../static/columns.js";
import { ExactNumber } from "../static/value.js";

const RECORD = {
  id: "7",
  time: "2026-07-28T14:03:22.123456789Z",
  level: "warn",
  service: "iptv",
  message: "slow",
  file: "src/catalog.rs",
  line: 41,
  trace_id: "9f3c",
  flags: ["truncated", "surrogate"],
  fields: {
    user_id: 42,
    level: "gold",
    big: new ExactNumber("9007199254740993"),
    "a.b": "flat",
    a: { b: "deep", c: { d: null } },
    list: [1, "a"],
    __proto__x: 1,
  },
  attrs: { env: "prod" },
  spans: [{ name: "request", fields: { path: "/live", id: 1 } }, { name: "open", fields: { id: 2 } }],
};

test("beside a message stand its fields, short, without those that have a column", () => {
  const line = (/** @type {any} */ fields, /** @type {string[]} */ columns = []) => pairs({ id: "1", time: "", level: "info", fields }, columns);
  assert.equal(line({ user_id: 42, path: "/live", reason: "wrong password", none: null }), 'user_id=42  path=/live  reason="wrong password"  none=null');
  assert.equal(line({ a: 1, b: 2 }, ["a"]), "b=2");
  assert.equal(line({ map: { a: [1] } }), 'map={"a":[1]}');
  assert.equal(line({ ms: 1.6335639999999998, ratio: 0.25, n: 12345678901 }), "ms=1.63356  ratio=0.25  n=12345678901");
  assert.equal(line({ big: new ExactNumber("9007199254740993") }), "big=9007199254740993");
  assert.equal(line({ long: "x".repeat(500) }).length, 5 + 80 + 1);
  assert.ok(line(Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`field_${at}`, "x".repeat(90)]))).length < 700);
  assert.equal(pairs({ id: "1", time: "", level: "info" }, []), "");
  const error = { message: "call failed", chain: ["no route", "timeout"] };
  assert.equal(line({ error, code: 5 }), 'error="call failed: no route: timeout"  code=5');
});

test("a column shows what the query language finds under its name", () => {
  const check = (/** @type {string} */ name, /** @type {string} */ expected) =>
    assert.equal(columnText(RECORD, name), expected, name);
  check("service", "iptv");
  check("Level", "warn");
  check("fields.level", "gold");
  check("user_id", "42");
  check("big", "9007199254740993");
  check("a.b", "flat");
  check("a.c.d", "null");
  check("list", '[   1,   "a" ]');
  check("span.path", "/live");
  check("span.id", "2");
  check("attrs.env", "prod");
  check("trace", "9f3c");
  check("callsite", "src/catalog.rs:41");
  check("spans", "request › open");
  check("flags", "truncated surrogate");
  check("nothing", "");
  check("constructor", "");
  check("host", "");
});

test("a column is as wide as what stands in it, within bounds", () => {
  assert.equal(columnWidth("user_id", [RECORD]), 9);
  assert.equal(columnWidth("callsite", [RECORD]), 17);
  assert.equal(columnWidth("m", [{ ...RECORD, fields: { m: "用户登录成功" } }]), 12);
  assert.equal(columnWidth("m", [{ ...RECORD, fields: { m: "x".repeat(500) } }]), 36);
});

test("columns come, go and change places", () => {
  assert.deepEqual(toggled(["service"], "user_id"), ["service", "user_id"]);
  assert.deepEqual(toggled(["service", "user_id"], "service"), ["user_id"]);
  assert.deepEqual(moved(["a", "b", "c"], "b", 1), ["a", "c", "b"]);
  assert.deepEqual(moved(["a", "b", "c"], "b", -1), ["b", "a", "c"]);
  assert.deepEqual(moved(["a", "b"], "b", 1), ["a", "b"]);
  assert.deepEqual(moved(["a", "b"], "x", 1), ["a", "b"]);
});

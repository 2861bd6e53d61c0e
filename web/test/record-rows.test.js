import assert from "node:assert/strict";
import { test } from "node:test";

import { ExactNumber } from "../static/value.js";
import { groups } from "../static/record-rows.js";
import { valueText } from "../static/value.js";

const RECORD = {
  id: "7",
  time: "2026-07-28T14:03:22.123456789Z",
  level: "warn",
  service: "iptv",
  seq: 9,
  message: "slow",
  file: "src/catalog.rs",
  line: 41,
  trace_id: "9f3c",
  flags: ["truncated", "surrogate"],
  fields: {
    user_id: 42,
    level: "gold",
    big: new ExactNumber("9007199254740993"),
    nothing: null,
    list: [1, "a"],
    "we ird": true,
    http: { status: 500, from: {} },
    error: { message: "no answer", chain: ["refused"] },
  },
  attrs: { env: "prod" },
  spans: [{ name: "request", fields: { path: "/live" } }, { name: "open" }],
};

test("a record's rows stand in groups: its fields, its spans, itself", () => {
  assert.deepEqual(
    groups(RECORD).map((group) => group.title),
    ["Fields", "Span", "Span", "Record", "Process"],
  );
  assert.deepEqual(
    groups({ id: "1", time: "t", level: "info" }).map((group) => group.title),
    ["Record"],
  );
});

test("each value comes with the term that finds it again, or with none", () => {
  const terms = Object.fromEntries(
    groups(RECORD).flatMap((group) => group.rows.map((row) => [`${group.title} ${row.name}`, row.term])),
  );
  assert.deepEqual(terms, {
    "Fields user_id": "user_id:42",
    "Fields level": "fields.level:gold",
    "Fields big": "big:9007199254740993",
    "Fields nothing": null,
    "Fields list": null,
    "Fields we ird": '"we ird":true',
    "Fields http.status": "http.status:500",
    "Fields http.from": null,
    "Fields error": 'error.message:"no answer"',
    "Span name": "spans:open",
    "Span path": 'span.path:"/live"',
    "Record time": null,
    "Record level": "level:warn",
    "Record service": "service:iptv",
    "Record trace": "trace:9f3c",
    "Record callsite": "callsite:src/catalog.rs:41",
    "Record seq": "seq:9",
    "Record flags": "flags:surrogate",
    "Record id": null,
    "Process env": "attrs.env:prod",
  });
});

test("each value comes with the name a column has, as the query language writes it", () => {
  const fields = groups(RECORD).flatMap((group) => group.rows.map((row) => row.field));
  assert.deepEqual(fields.slice(0, 8), [
    "user_id",
    "fields.level",
    "big",
    "nothing",
    "list",
    "we ird",
    "http.status",
    "http.from",
  ]);
  assert.ok(fields.includes("span.path") && fields.includes("attrs.env") && fields.includes("callsite"));
});

test("values read as they were logged, and errors as a chain of causes", () => {
  assert.equal(valueText(null), "null");
  assert.equal(valueText(false), "false");
  assert.equal(valueText("a\nb"), "a\nb");
  assert.equal(valueText([1, "a"]), '[\n  1,\n  "a"\n]');
  assert.equal(
    valueText({ message: "no answer", chain: ["timed out", "refused"] }),
    "no answer\ncaused by: timed out\ncaused by: refused",
  );
  assert.equal(valueText({ message: "m", chain: "c" }), '{\n  "message": "m",\n  "chain": "c"\n}');
});

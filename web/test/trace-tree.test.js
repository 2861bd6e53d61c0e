import assert from "node:assert/strict";
import { test } from "node:test";

import { moment, severest, traceTree } from "../static/trace-tree.js";

/** @import { LogRecord } from "../static/api.js" */
/** @import { Span } from "../static/trace-tree.js" */

let id = 0;

/** @param {string} service @param {string} time seconds and fraction @param {object} more @returns {LogRecord} */
function record(service, time, more = {}) {
  id += 1;
  return {
    id: String(id),
    service,
    boot: service,
    level: "info",
    time: `2026-07-28T12:00:${time}Z`,
    message: `m${id}`,
    ...more,
  };
}

/** @param {Span[]} spans @returns {string} */
function shape(spans) {
  return spans
    .map((span) => `${span.service}:${span.name}${span.children.length ? `(${shape(span.children)})` : ""}`)
    .join(" ");
}

test("spans hang inside of each other as the records say", () => {
  const request = { name: "request", fields: { path: "/x" } };
  const tree = traceTree([
    record("web", "01.000", { spans: [request], span_id: "a" }),
    record("web", "01.500", { spans: [request, { name: "query" }], span_id: "b" }),
    record("web", "02.000", { spans: [request], span_id: "a" }),
  ]);
  assert.equal(shape(tree.roots), "web:request(web:query)");
  assert.deepEqual(
    [tree.roots[0].records.length, tree.roots[0].children[0].records.length, tree.end - tree.start],
    [2, 1, 1000],
  );
});

test("a process that was called hangs below the span around it in time", () => {
  const tree = traceTree([
    record("auth", "01.100", { spans: [{ name: "rpc", fields: { method: "verify" } }], span_id: "b" }),
    record("auth", "01.200", { spans: [{ name: "rpc", fields: { method: "verify" } }], span_id: "b" }),
    record("web", "01.300", { spans: [{ name: "request" }], span_id: "a", fields: { latency_ms: 300 } }),
  ]);
  assert.equal(shape(tree.roots), "web:request(auth:rpc)");
  assert.equal(tree.roots[0].end - tree.roots[0].start, 300);
});

test("two calls of the same method are two spans", () => {
  const call = { name: "rpc", fields: { method: "verify" } };
  const tree = traceTree([
    record("auth", "01.1", { spans: [call], span_id: "b" }),
    record("auth", "01.2", { spans: [call], span_id: "c" }),
    record("auth", "01.3", { spans: [call], span_id: "c" }),
  ]);
  assert.deepEqual(
    tree.roots.map(({ records }) => records.length),
    [1, 2],
  );
});

test("the parent's id decides, whatever the clocks say, and no answer stands before its question", () => {
  const tree = traceTree([
    record("auth", "00.900", { spans: [{ name: "rpc", id: "b", parent_id: "a" }], span_id: "b" }),
    record("auth", "00.950", { spans: [{ name: "rpc", id: "b", parent_id: "a" }], span_id: "b" }),
    record("web", "01.000", { spans: [{ name: "request", id: "a" }], span_id: "a" }),
  ]);
  assert.equal(shape(tree.roots), "web:request(auth:rpc)");
  const [child] = tree.roots[0].children;
  assert.equal(child.start, tree.roots[0].start);
  assert.equal(child.shift, 100);
  assert.equal(child.end - child.start, 50);
});

test("the wait in a queue is told apart from the time it ran", () => {
  const [span] = traceTree([
    record("auth", "01.000", { spans: [{ name: "rpc", fields: { queue_wait_ms: 12.5 } }], span_id: "b" }),
  ]).roots;
  assert.equal(span.wait, 12.5);
});

test("spans that name each other as parents do not end the page", () => {
  const tree = traceTree([
    record("a", "01.0", { spans: [{ name: "x", id: "1", parent_id: "2" }], span_id: "1" }),
    record("b", "01.1", { spans: [{ name: "y", id: "2", parent_id: "1" }], span_id: "2" }),
  ]);
  assert.equal(shape(tree.roots).match(/x/g)?.length, 1);
});

test("records outside of any span are there too", () => {
  const tree = traceTree([record("a", "01.0"), record("a", "01.1", { level: "error" })]);
  assert.equal(shape(tree.roots), "a:");
  assert.equal(tree.roots[0].records.length, 2);
  assert.equal(severest(tree.roots[0]), "error");
});

test("nothing below a millisecond is lost", () => {
  const difference = moment("2026-07-28T12:00:00.123456789Z") - moment("2026-07-28T12:00:00.123Z");
  assert.ok(Math.abs(difference - 0.456789) < 0.001);
});

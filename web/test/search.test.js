import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Search } from "../static/search.js";

/** What was asked of the server and waits for its answer, by the path behind `api/`. */
const asked = /** @type {Map<string, (answer: object, status: number) => void>} */ (new Map());
const told = /** @type {string[]} */ ([]);

/** @param {string} address @param {{ signal: AbortSignal }} how */
function fetched(address, { signal }) {
  const { pathname, searchParams } = new URL(address, "http://a/");
  const what = pathname.replace("/api/", "") + (searchParams.get("cursor") ?? "");
  return new Promise((settled, refused) => {
    asked.set(what, (answer, status) => settled(new Response(JSON.stringify(answer), { status })));
    signal.addEventListener("abort", () => refused(new Error("aborted")));
  });
}

Object.assign(globalThis, { fetch: fetched, requestAnimationFrame: (/** @type {() => void} */ frame) => setTimeout(frame, 1) });

/** The server answers a question, as soon as it is asked. @param {string} what @param {object} answer @param {number} [status] */
async function answer(what, answer, status = 200) {
  while (!asked.has(what)) await new Promise(setImmediate); // polling
  asked.get(what)?.(answer, status);
  asked.delete(what);
  await new Promise((settled) => setTimeout(settled));
}

function search() {
  return new Search({
    running: (running) => told.push(running ? "running" : "done"),
    found: ({ next }) => told.push(`found, then ${next}`),
    painted: () => told.push("painted"),
    behind: () => told.push("behind"),
    older: ({ next }) => told.push(`older, then ${next}`),
    counted: (answer) => told.push(answer ? `counted ${answer.total}` : "not counted"),
    failed: (error) => told.push(error.message),
  });
}

beforeEach(() => {
  asked.clear();
  told.length = 0;
});

test("the next page comes while the chart is still counted, and the bar runs to the end", async () => {
  const one = search();
  const whole = one.run({ q: "x" }, 20);
  await answer("search", { records: [], next: "c1", ms: 1 });
  const older = one.older();
  // Asked twice, it is on its way once.
  one.older();
  await answer("searchc1", { records: [], next: "c2", ms: 1 });
  await older;
  await answer("histogram", { total: 7, step_ms: 1 });
  await whole;
  const expected = ["running", "found, then c1", "behind", "painted", "older, then c2", "counted 7", "done"];
  assert.deepEqual([...told].sort(), [...expected].sort());
  assert.deepEqual([told[0], told[1], ...told.slice(-2)], ["running", "found, then c1", "counted 7", "done"]);
  assert.equal(asked.size, 0);
});

test("nothing else is asked before the rows are painted, but of a search that takes long", async () => {
  const frames = /** @type {(() => void)[]} */ ([]);
  const atOnce = globalThis.requestAnimationFrame;
  Object.assign(globalThis, { requestAnimationFrame: (/** @type {() => void} */ frame) => frames.push(frame) });
  const one = search();
  const whole = one.run({ q: "x" }, 20);
  await answer("search", { records: [], next: null, ms: 1 });
  while (frames.length === 0) await new Promise(setImmediate); // polling
  assert.deepEqual([told, asked.size], [["running", "found, then null"], 0]);
  frames[0]();
  frames[1]();
  await answer("histogram", { total: 7, step_ms: 1 });
  await whole;
  assert.deepEqual(told.slice(2), ["behind", "painted", "counted 7", "done"]);

  // Nobody answers the search: the chart is asked nevertheless, and once.
  const slow = one.run({ q: "y" }, 20);
  await answer("histogram", { total: 8, step_ms: 1 });
  assert.deepEqual(told.slice(6), ["running", "behind", "counted 8"]);
  Object.assign(globalThis, { requestAnimationFrame: atOnce });
  await answer("search", { records: [], next: null, ms: 1 });
  await slow;
  assert.deepEqual(told.slice(9), ["found, then null", "painted", "done"]);
});

test("a search that was replaced says nothing more", async () => {
  const one = search();
  const first = one.run({ q: "x" }, 20);
  const second = one.run({ q: "y" }, 20);
  await answer("search", { records: [], next: null, ms: 1 });
  await answer("histogram", { total: 1, step_ms: 1 });
  await Promise.all([first, second]);
  assert.deepEqual(told, ["running", "done", "running", "found, then null", "behind", "painted", "counted 1", "done"]);
  const third = one.run({ q: "z" }, 20);
  one.cancel();
  await third;
  assert.deepEqual(told.slice(8), ["running", "done"]);
});

test("of a search that is refused nothing is counted", async () => {
  const one = search();
  const whole = one.run({ q: "x" }, 20);
  await answer("search", { error: "too many terms" }, 400);
  await whole;
  assert.deepEqual(told, ["running", "too many terms", "done"]);
  assert.equal(asked.size, 0);
});

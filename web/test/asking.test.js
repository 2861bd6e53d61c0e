import assert from "node:assert/strict";
import { test } from "node:test";

import { Asking } from "../static/asking.js";

test("of several questions the last one is answered, and only its end is told", async () => {
  const told = /** @type {unknown[]} */ ([]);
  const asking = new Asking({ running: (running) => told.push(running), failed: ({ message }) => told.push(message) });
  const until = (/** @type {AbortSignal} */ signal) =>
    new Promise((_, refused) => signal.addEventListener("abort", () => refused(new Error("aborted"))));
  const first = asking.run(async (signal) => void (await until(signal)));
  const second = asking.run(async () => {});
  assert.deepEqual(await Promise.all([first, second]), [false, true]);
  assert.deepEqual(told.splice(0), [true, true, false]);

  assert.equal(await asking.run(() => Promise.reject(new Error("no")), { unasked: true }), true);
  assert.deepEqual(told.splice(0), [false, "no"]);

  const third = asking.run(async (signal) => void (await until(signal)));
  asking.stop();
  assert.equal(await third, false);
  assert.deepEqual(told, [true]);
});

test("who leaves on hearing of a failure is not looked after any more", async () => {
  const asking = new Asking({ running: () => {}, failed: () => asking.stop() });
  assert.equal(await asking.run(() => Promise.reject(new Error("no"))), false);
});

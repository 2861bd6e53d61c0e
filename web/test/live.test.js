import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Live } from "../static/live.js";

/** A stream that says what it was asked, and that it stands. */
class Stream extends EventTarget {
  static CLOSED = 2;
  /** @type {Stream[]} */
  static all = [];
  readyState = 1;
  /** @param {string} address */
  constructor(address) {
    super();
    this.asked = new URLSearchParams(address.split("?")[1]);
    Stream.all.push(this);
    queueMicrotask(() => this.dispatchEvent(new Event("open")));
  }
  /** @param {string} id */
  record(id) {
    this.dispatchEvent(new MessageEvent("record", { data: JSON.stringify({ id, time: "" }) }));
  }
  close() {
    this.readyState = Stream.CLOSED;
  }
}

test("a tab that nobody sees lets its stream go, and goes on behind the last record", async () => {
  const page = Object.assign(new EventTarget(), { hidden: false });
  const see = (/** @type {boolean} */ seen) => {
    page.hidden = !seen;
    page.dispatchEvent(new Event("visibilitychange"));
  };
  Object.assign(globalThis, { document: page, window: globalThis, EventSource: Stream });
  mock.timers.enable({ apis: ["setTimeout"] });
  const shown = /** @type {string[]} */ ([]);
  const live = new Live({
    paused: () => page.hidden,
    show: (taken) => shown.push(...taken.records.map(({ id }) => id)),
    changed: () => {},
    late: () => assert.fail("nothing is missing"),
    restart: () => assert.fail("the stream is well"),
  });
  await live.start({ q: "x" });
  Stream.all[0].record("7");
  see(false);
  mock.timers.tick(10_000);
  see(true);
  assert.equal(Stream.all[0].readyState, 1, "for a moment it is kept");
  Stream.all[0].record("8");
  see(false);
  mock.timers.tick(40_000);
  assert.equal(Stream.all[0].readyState, Stream.CLOSED);
  see(true);
  await Promise.resolve();
  assert.deepEqual([...Stream.all[1].asked], [["q", "x"], ["after", "8"]]);
  Stream.all[1].record("9");
  mock.timers.tick(1000);
  assert.deepEqual(shown, ["7", "8", "9"]);
  live.stop();
  see(false);
  mock.timers.tick(40_000);
  see(true);
  assert.equal(Stream.all.length, 2, "what was stopped stays so");
});

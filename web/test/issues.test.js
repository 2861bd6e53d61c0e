import assert from "node:assert/strict";
import { test } from "node:test";

import { sorted } from "../static/issues.js";

/** @import { Issue } from "../static/api.js" */

/** @param {string} id @param {number} count @param {string} first @param {string} last @returns {Issue} */
function issue(id, count, first, last) {
  return {
    id,
    title: id,
    level: "error",
    count,
    first_seen: first,
    last_seen: last,
    services: [],
    new_since: [],
    sparkline: [],
    sample: "1",
    query: "",
  };
}

const OLD = issue("old", 50, "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z");
const NEW = issue("new", 2, "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z");
const OTHER = issue("other", 9, "2026-01-02T00:00:00Z", "2026-01-06T00:00:00Z");

test("issues stand in the order asked for", () => {
  const order = (/** @type {"" | "first" | "count"} */ sort) =>
    sorted([OLD, NEW, OTHER], sort).map(({ id }) => id);
  assert.deepEqual(order(""), ["other", "old", "new"]);
  assert.deepEqual(order("first"), ["new", "other", "old"]);
  assert.deepEqual(order("count"), ["old", "other", "new"]);
});

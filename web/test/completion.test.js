import assert from "node:assert/strict";
import { test } from "node:test";

import { offerLevels, offerNames, offerStages, offerValues, typing } from "../static/completion.js";

/**
 * @param {string} query `¦` is the caret
 * @param {string | null} expected kind, field, what is typed, and the rest of the filter
 */
function check(query, expected) {
  const caret = query.indexOf("¦");
  const text = query.replace("¦", "");
  const found = typing(text, caret);
  const shown = found && [found.kind, found.field, found.typed, found.before].join("|");
  assert.equal(shown, expected, query);
  if (found) assert.ok(text.slice(found.start, caret).includes(found.typed) || query.includes("\\"), query);
}

test("what is being typed is seen from where the caret stands", () => {
  check("¦", "name|||");
  check("ser¦", "name||ser|");
  check("level:error us¦", "name||us|level:error");
  check("us¦ level:error", "name||us|level:error");
  check("-ser¦", "name||ser|");
  check("(ser¦", "name||ser|(");
  check("service:¦", "value|service||");
  check("service:ip¦", "value|service|ip|");
  check("-service:ip¦", "value|service|ip|");
  check("timeout service:ip¦", "value|service|ip|timeout");
  check('service:"ip t¦', "value|service|ip t|");
  check("service:(a OR i¦", "value|service|i|");
  check("latency_ms>9¦", "value|latency_ms|9|");
  check('"odd name":x¦', "value|odd name|x|");
  check("(a OR service:ip¦", "value|service|ip|");
  check("level:error | ¦", "stage|||level:error");
  check("level:error | cou¦", "stage||cou|level:error");
  check("level:error | count by ser¦", "name||ser|level:error");
  check("| stats avg lat¦", "name||lat|");
  check("| count by a, b¦", "name||b|");
});

test("nothing is offered within text and regular expressions", () => {
  check('"connection re¦', null);
  check("path:/^a¦", null);
  check("/panicked¦", null);
});

test("names that begin with what is typed come before those that contain it", () => {
  const at = /** @type {import("../static/completion.js").Typing} */ (typing("id", 2));
  const own = [
    { name: "user_id", records: 5 },
    { name: "idle", records: 1200 },
  ];
  assert.deepEqual(
    offerNames(at, own).map(({ insert, about }) => [insert, about]),
    [
      ["idle:", "1,200"],
      ["user_id:", "5"],
      ["trace_id:", ""],
      ["span_id:", ""],
    ],
  );
});

test("a name with spaces is offered in quotes, and in a pipeline without a colon", () => {
  const own = [{ name: "odd name", records: 1 }];
  const filter = /** @type {any} */ (typing("odd", 3));
  const stage = /** @type {any} */ (typing("| count by odd", 14));
  assert.equal(offerNames(filter, own)[0].insert, '"odd name":');
  assert.equal(offerNames(stage, own)[0].insert, '"odd name"');
});

test("values are offered so that they stand for themselves", () => {
  const at = /** @type {any} */ (typing("path:/l".replace("/l", "l"), 6));
  const offers = offerValues(at, [
    { value: "/live page", records: 3 },
    { value: "x", records: 2 },
    { value: "l\u0000", records: 1 },
  ]);
  assert.deepEqual(
    offers.map(({ insert, about }) => [insert, about]),
    [['"/live page" ', "3"]],
  );
  assert.deepEqual(
    offerLevels(/** @type {any} */ (typing("level:", 6))).map(({ text }) => text),
    ["error", "warn", "info", "debug", "trace"],
  );
});

test("stages of a pipeline are offered by their first word", () => {
  assert.deepEqual(
    offerStages(/** @type {any} */ (typing("x | t", 5))).map(({ text }) => text),
    ["top 10", "timechart 1m"],
  );
});

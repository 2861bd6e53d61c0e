import assert from "node:assert/strict";
import { test } from "node:test";

import {
  not,
  only,
  ownField,
  phrase,
  quote,
  sortedBy,
  sorting,
  split,
  splitPipeline,
  term,
} from "../static/query-text.js";

/** @param {string} name @param {string} value */
const fieldTerm = (name, value) => term(ownField(name), value);
/** @param {string} name @param {string} value */
const spanTerm = (name, value) => term(`span.${name}`, value);

test("a value is quoted when it would not stand for itself", () => {
  const check = (/** @type {string} */ value, /** @type {string} */ expected) =>
    assert.equal(quote(value), expected);
  check("iptv", "iptv");
  check("iptv::catalog", "iptv::catalog");
  check("src/catalog.rs:41", "src/catalog.rs:41");
  check("-5", "-5");
  check("3.5", "3.5");
  check("登录", "登录");
  check("", '""');
  check("/live", '"/live"');
  check("/a b", '"/a b"');
  check("10..20", '"10..20"');
  check("a*", '"a*"');
  check("OR", '"OR"');
  check("-x", '"-x"');
  check('say "hi"\\', '"say \\"hi\\"\\\\"');
});

test("a field that is named like a part of the record is asked for as a field", () => {
  assert.equal(fieldTerm("user_id", "42"), "user_id:42");
  assert.equal(fieldTerm("level", "gold"), "fields.level:gold");
  assert.equal(fieldTerm("Service", "x"), "fields.Service:x");
  assert.equal(fieldTerm("span.kind", "client"), "fields.span.kind:client");
  assert.equal(fieldTerm("http.method", "GET"), "http.method:GET");
  assert.equal(spanTerm("path", "/live"), 'span.path:"/live"');
  assert.equal(fieldTerm("we ird", "1"), '"we ird":1');
  assert.equal(fieldTerm('level "x"', "1"), '"level \\"x\\"":1');
  assert.equal(fieldTerm("level.of.it", "1"), "fields.level.of.it:1");
  assert.equal(fieldTerm("OR", "1"), '"OR":1');
  assert.equal(spanTerm("a b", "1"), '"span.a b":1');
});

test("what no query can say has no term", () => {
  assert.equal(fieldTerm("a\u0000b", "1"), null);
  assert.equal(term("message", "two\nlines"), null);
  assert.equal(term("message", "\u001b[31m"), null);
  assert.equal(term("message", "x".repeat(501)), null);
});

test("only this adds a term, and takes the place of another value of the same field", () => {
  const check = (/** @type {string} */ query, /** @type {string} */ expected) =>
    assert.equal(only(query, "service:iptv"), expected);
  check("", "service:iptv");
  check("timeout", "timeout service:iptv");
  check("service:iptv", "service:iptv");
  check("service:auth timeout", "timeout service:iptv");
  check("-service:iptv timeout", "timeout service:iptv");
  check("NOT service:iptv AND timeout", "timeout service:iptv");
  check("-service:auth", "-service:auth service:iptv");
  check("a OR b", "(a OR b) service:iptv");
  check("(a OR b) c", "(a OR b) c service:iptv");
  check("a OR(b)", "(a OR(b)) service:iptv");
  check("(a)OR b", "((a)OR b) service:iptv");
  check("FOR ORDER -(a OR b)", "FOR ORDER -(a OR b) service:iptv");
  check('say \\" OR x', '(say \\" OR x) service:iptv');
  check('"a OR b"', '"a OR b" service:iptv');
  check("timeout | count by service", "timeout service:iptv | count by service");
  check("path:/^\\/a (b|c)/ x", "path:/^\\/a (b|c)/ x service:iptv");
});

test("a field whose name is quoted is replaced as well", () => {
  assert.equal(only('"we ird":1 x', '"we ird":2'), 'x "we ird":2');
});

test("several spans can have the same field, so only this keeps what is asked of another", () => {
  assert.equal(only("span.path:a", "span.path:b"), "span.path:a span.path:b");
});

test("not this adds the opposite and takes the term itself away", () => {
  const check = (/** @type {string} */ query, /** @type {string} */ expected) =>
    assert.equal(not(query, "service:iptv"), expected);
  check("", "-service:iptv");
  check("service:iptv timeout", "timeout -service:iptv");
  check("-service:iptv", "-service:iptv");
  check("NOT service:iptv", "-service:iptv");
  check("a OR service:iptv", "(a OR service:iptv) -service:iptv");
});

test("quotes, groups and regular expressions hold together", () => {
  assert.deepEqual(split('a "b c" -(d OR e) f:"g h" /i j/'), ["a", '"b c"', "-(d OR e)", 'f:"g h"', "/i j/"]);
  assert.deepEqual(split('"not closed and more'), ['"not closed and more']);
  assert.deepEqual(splitPipeline('"a | b" /c|d/ | top 10 path'), {
    filter: '"a | b" /c|d/ ',
    rest: "| top 10 path",
  });
});

test("text becomes one phrase", () => {
  assert.equal(phrase('service:"x'), '"service:\\"x"');
});

test("a table is sorted by a column, and turned round by the same one", () => {
  const check = (/** @type {string} */ query, /** @type {string} */ name, /** @type {"text" | "number"} */ kind, /** @type {string} */ expected) =>
    assert.equal(sortedBy(query, { name, kind }), expected);
  check("x | count by path", "count", "number", "x | count by path | sort count desc");
  check("x | count by path | sort count desc", "count", "number", "x | count by path | sort count");
  check("x | count by path | sort count", "count", "number", "x | count by path | sort count desc");
  check("x | count by path | sort count desc", "path", "text", "x | count by path | sort path");
  check("| stats avg latency_ms by a", "avg latency_ms", "number", "| stats avg latency_ms by a | sort avg latency_ms desc");
  check('| top 5 "a | b"', "a | b", "text", '| top 5 "a | b" | sort "a | b"');
  check("| count by path | limit 5", "path", "text", "| count by path | limit 5 | sort path");
  assert.deepEqual(sorting("x | sort a b desc"), { column: "a b", descending: true });
  assert.deepEqual(sorting('"| sort a"'), { column: "", descending: false });
});

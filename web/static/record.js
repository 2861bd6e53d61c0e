/**
 * What an open row shows under its message: every field with what one can do with it, and where it came from.
 *
 * @import { LogRecord } from "./api.js"
 * @import { Group, Row } from "./record-rows.js"
 * @import { FilterActions } from "./top-values.js"
 * @typedef {object} OwnActions
 * @property {(record: LogRecord) => void} trace
 * @property {(record: LogRecord) => void} around
 * @property {(field: string) => void} column puts it into the list, or takes it out
 * @property {(field: string) => boolean} hasColumn
 * @property {(field: string) => HTMLElement} values the most frequent values of a field
 * @property {(text: string, what: string) => void} copy
 * @property {(record: LogRecord) => string} permalink
 * @typedef {FilterActions & OwnActions} RecordActions
 */

import { element, text } from "./element.js";
import { GLANCE } from "./list.js";
import { term } from "./query-text.js";
import { groups } from "./record-rows.js";
import { stamp } from "./time.js";

/** @param {LogRecord} record @param {RecordActions} on */
export function recordView(record, on) {
  const message = record.message ?? "";
  const all = groups(record);
  const own = all.filter((group) => group.about === "sender");
  const others = all.filter((group) => group.about === "event");
  return element(
    "div",
    { class: "record" },
    toolbar(record, on),
    message.length > GLANCE &&
      element("pre", { class: "whole", tabindex: "0", "aria-label": "Message" }, text(message)),
    element("div", { class: "groups" }, others.length > 0 && table(others, on), table(own, on)),
  );
}

/** @param {LogRecord} record @param {RecordActions} on */
function toolbar(record, on) {
  const at = Date.parse(record.time);
  const message = record.message ?? "";
  const same = message ? term("message", message) : null;
  return element(
    "div",
    { class: "record-tools" },
    button("What happened around it", () => on.around(record)),
    record.trace_id !== undefined && button("Its trace", () => on.trace(record)),
    same !== null && button("Only this message", () => on.only(same)),
    same !== null && button("Not this message", () => on.not(same)),
    button("Copy message", () => on.copy(message, "The message")),
    button("Copy as JSON", () => on.copy(JSON.stringify(record, null, 2), "The record")),
    link(on.permalink(record), on),
    element("span", { class: "record-time muted" }, `${stamp(at, false)} local · ${stamp(at, true)} UTC`),
  );
}

/** @param {string} words @param {() => void} act */
function button(words, act) {
  return element("button", { type: "button", click: act }, words);
}

/**
 * Copied by a click, and a link for whatever else one does with links.
 * @param {string} href
 * @param {RecordActions} on
 */
function link(href, on) {
  const click = (/** @type {Event} */ event) => {
    if (event instanceof MouseEvent && (event.ctrlKey || event.metaKey || event.shiftKey)) return;
    event.preventDefault();
    on.copy(href, "The link");
  };
  return element("a", { href, class: "button", title: "A link to this record", click }, "Copy link");
}

/** @param {Group[]} shown @param {RecordActions} on */
function table(shown, on) {
  const bodies = shown.map((group) =>
    element(
      "tbody",
      {},
      element("tr", { class: "group" }, element("th", { scope: "rowgroup", colspan: "3" }, group.title)),
      ...group.rows.map((row) => fieldRow(row, on)),
    ),
  );
  return element("table", { class: "fields" }, ...bodies);
}

/** @param {Row} row @param {RecordActions} on */
function fieldRow(row, on) {
  const { field, term } = row;
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, element("span", {}, text(row.name))),
    element(
      "td",
      { class: "actions" },
      term !== null && action("+", `Only ${term}`, () => on.only(term)),
      term !== null && action("−", `Not ${term}`, () => on.not(term)),
      field !== null && columnAction(field, on),
      field !== null && action("top", `Top values of ${field}`, (event) => showValues(event, field, on)),
      action("copy", `Copy ${row.name}`, () => on.copy(row.text, row.name)),
    ),
    element("td", { class: "value" }, text(row.text)),
  );
}

/** @param {string} field @param {RecordActions} on */
function columnAction(field, on) {
  const made = action("column", `Column ${field}`, () => {
    on.column(field);
    made.setAttribute("aria-pressed", String(on.hasColumn(field)));
  });
  made.setAttribute("aria-pressed", String(on.hasColumn(field)));
  return made;
}

/** Opens or closes the values under the row. @param {Event} event @param {string} field @param {RecordActions} on */
function showValues(event, field, on) {
  const pressed = /** @type {HTMLElement} */ (event.currentTarget);
  const row = pressed.closest("tr");
  const below = row?.nextElementSibling;
  const open = below?.classList.contains("values-row");
  pressed.setAttribute("aria-expanded", String(!open));
  if (open) below?.remove();
  else row?.after(element("tr", { class: "values-row" }, element("td", { colspan: "3" }, on.values(field))));
}

/** What a class draws, because no font can be trusted to have a sign for it. */
const DRAWN = ["copy", "column", "top"];

/** @param {string} sign @param {string} what @param {(event: Event) => void} act */
function action(sign, what, act) {
  const drawn = DRAWN.includes(sign);
  return element(
    "button",
    { type: "button", class: drawn ? sign : undefined, title: what, "aria-label": what, click: act },
    drawn ? "" : sign,
  );
}

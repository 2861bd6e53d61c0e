/**
 * The most frequent values of a field among what was searched, each with its count and the two ways to filter by it.
 *
 * @import { ValueCount } from "./api.js"
 * @typedef {object} FilterActions
 * @property {(term: string) => void} only
 * @property {(term: string) => void} not
 */

import { values } from "./api.js";
import { element, text } from "./element.js";
import { term } from "./query-text.js";

/** As many as one reads. */
const MOST = 10;

/** As long as the server works on it. */
const PATIENCE = 15_000;

/**
 * @param {string} field
 * @param {Record<string, string>} parameters of the search
 * @param {FilterActions} on
 */
export function topValues(field, parameters, on) {
  const root = element("div", { class: "top-values", "aria-busy": "true" }, waiting());
  load(root, field, parameters, on);
  return root;
}

/** Rows without content keep the room. */
function waiting() {
  return element("p", { class: "muted" }, "Counting …");
}

/**
 * @param {HTMLElement} root
 * @param {string} field
 * @param {Record<string, string>} parameters
 * @param {FilterActions} on
 */
async function load(root, field, parameters, on) {
  try {
    const asked = { ...parameters, field, limit: String(MOST) };
    const answer = await values(asked, AbortSignal.timeout(PATIENCE));
    const highest = answer.values[0]?.records ?? 1;
    const many = `${answer.capped ? "more than " : ""}${answer.distinct.toLocaleString("en")}`;
    const note = answer.distinct > answer.values.length && `The most frequent of ${many} values.`;
    root.replaceChildren(
      element("ol", {}, ...answer.values.map((each) => valueRow(field, each, highest, on))),
      element(
        "p",
        { class: "muted" },
        answer.values.length === 0 ? "No record has it here." : note,
        answer.partial ? text(` Partial: ${answer.partial}.`) : null,
      ),
    );
  } catch (error) {
    root.replaceChildren(
      element("p", { class: "wrong" }, text(/** @type {Error} */ (error).message || "It took too long.")),
    );
  }
  root.removeAttribute("aria-busy");
}

/** @param {string} field @param {ValueCount} each @param {number} highest @param {FilterActions} on */
function valueRow(field, { value, records }, highest, on) {
  const wanted = term(field, value);
  const bar = element("span", { class: "value-bar", "aria-hidden": "true" });
  bar.style.width = `${Math.max(1, (records / highest) * 100)}%`;
  return element(
    "li",
    {},
    bar,
    element("span", { class: "value-text", title: value.slice(0, 300) }, value === "" ? "(empty)" : text(value)),
    element("span", { class: "value-count" }, records.toLocaleString("en")),
    element(
      "span",
      { class: "actions" },
      wanted !== null && sign("+", `Only ${wanted}`, () => on.only(wanted)),
      wanted !== null && sign("−", `Not ${wanted}`, () => on.not(wanted)),
    ),
  );
}

/** @param {string} shown @param {string} what @param {() => void} act */
function sign(shown, what, act) {
  return element("button", { type: "button", title: what, "aria-label": what, click: act }, shown);
}

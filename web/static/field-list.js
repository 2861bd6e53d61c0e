/**
 * The fields that the records found have, beside the list: each opens to its most frequent values, and can be made a
 * column. On a phone it is a drawer.
 *
 * @import { LogRecord } from "./api.js"
 * @import { FilterActions } from "./top-values.js"
 */

import { fields } from "./api.js";
import { RECORD_FIELDS } from "./completion.js";
import { byId, element, inputById, text } from "./element.js";
import { topValues } from "./top-values.js";

/** Those of the record itself that one groups by; the others are told apart by nearly every record. */
const OWN = RECORD_FIELDS.filter((name) => !["message", "trace_id", "span_id", "seq", "line", "file"].includes(name));

/** A service that makes names up must not fill the page. */
const MOST = 300;

export class FieldList {
  /** @param {FilterActions & { column(name: string): void, hasColumn(name: string): boolean, close(): void }} on */
  constructor(on) {
    this.on = on;
    this.root = byId("fields");
    this.list = byId("field-list");
    this.box = inputById("field-filter");
    /** @type {Set<string>} */
    this.open = new Set();
    /** @type {{ name: string, records: number | null }[]} */
    this.names = [];
    /** @type {{ name: string, records: number | null }[]} */
    this.ofSpans = [];
    this.parameters = /** @type {Record<string, string>} */ ({});
    this.asked = "";
    /** Rows are on their way, and come first. */
    this.held = false;
    this.controller = new AbortController();
    this.box.addEventListener("input", () => this.draw());
    byId("fields-close").addEventListener("click", () => on.close());
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") on.close();
    });
  }

  /** @param {boolean} shown @param {Record<string, string>} parameters */
  show(shown, parameters) {
    this.root.hidden = !shown;
    this.parameters = parameters;
    const asked = JSON.stringify(parameters);
    if (!shown || this.held || asked === this.asked) return this.mark();
    this.asked = asked;
    this.load();
  }

  /** Another search is made, or none: what records have is asked again when this is `release`d, and not before. */
  hold() {
    // The server must not count what nobody waits for: the new search needs its processors.
    this.controller.abort();
    this.asked = "";
    this.held = true;
  }

  /** Nothing is in the way any more. */
  release() {
    this.held = false;
    this.show(!this.root.hidden, this.parameters);
  }

  /** Fields of spans are told by the records at hand: the server counts those that records have of their own. @param {LogRecord[]} records */
  see(records) {
    const spans = records.flatMap((record) => record.spans ?? []);
    const names = new Set(spans.flatMap(({ fields = {} }) => Object.keys(fields)));
    const found = [...names].sort().slice(0, MOST);
    if (found.join() === this.ofSpans.map(({ name }) => name.slice("span.".length)).join()) return;
    this.ofSpans = found.map((name) => ({ name: `span.${name}`, records: null }));
    if (this.names.length > 0) this.draw();
  }

  async load() {
    this.controller.abort();
    const { signal } = (this.controller = new AbortController());
    this.list.setAttribute("aria-busy", "true");
    try {
      const answer = await fields(this.parameters, signal);
      this.names = [
        ...OWN.map((name) => ({ name, records: null })),
        ...answer.fields.slice(0, MOST).map(({ name, records }) => ({ name, records })),
      ];
      this.draw();
    } catch (error) {
      if (signal.aborted) return;
      this.list.replaceChildren(element("li", { class: "wrong" }, text(/** @type {Error} */ (error).message)));
    }
    this.list.removeAttribute("aria-busy");
  }

  draw() {
    const wanted = this.box.value.trim().toLowerCase();
    // `http status` finds `http.response.status`.
    const passes = (/** @type {string} */ name) =>
      wanted.split(/\s+/).every((part) => name.toLowerCase().includes(part));
    const shown = [...this.names, ...this.ofSpans].filter(({ name }) => passes(name));
    this.list.replaceChildren(...shown.map((each) => this.item(each)));
    if (shown.length === 0)
      this.list.append(element("li", { class: "muted" }, wanted ? "No such field." : "No fields."));
    this.mark();
  }

  /** @param {{ name: string, records: number | null }} field */
  item({ name, records }) {
    const head = element(
      "button",
      { type: "button", class: "field-name", "aria-expanded": "false", click: () => this.toggle(item, name) },
      element("span", {}, text(name)),
      element("span", { class: "muted" }, records === null ? "" : records.toLocaleString("en")),
    );
    const column = element("button", {
      type: "button",
      class: "column",
      title: `Column ${name}`,
      "aria-label": `Column ${name}`,
      "data-field": name,
      click: () => this.on.column(name),
    });
    const item = element("li", {}, head, element("span", { class: "actions" }, column));
    if (this.open.has(name)) this.toggle(item, name);
    return item;
  }

  /** @param {HTMLElement} item @param {string} name */
  toggle(item, name) {
    const open = !item.classList.contains("opened");
    item.classList.toggle("opened", open);
    item.querySelector(".field-name")?.setAttribute("aria-expanded", String(open));
    if (open) {
      this.open.add(name);
      item.append(topValues(name, this.parameters, this.on));
    } else {
      this.open.delete(name);
      item.querySelector(".top-values")?.remove();
    }
  }

  /** Which of them are columns. */
  mark() {
    for (const button of this.list.querySelectorAll(".column")) {
      const name = button.getAttribute("data-field") ?? "";
      button.setAttribute("aria-pressed", String(this.on.hasColumn(name)));
    }
  }
}

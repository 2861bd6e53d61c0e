/**
 * The first thing one sees: who logs how much, what is wrong, what is missing. Looks again by itself while it is
 * shown and nobody is about to click something in it.
 *
 * @import { Issue, ServiceStats, Stats } from "./api.js"
 * @import { State } from "./state.js"
 * @typedef {{ issues: Issue[], total?: number }} Found
 */

import { isAbsent, issues, stats } from "./api.js";
import { Asking } from "./asking.js";
import { byId, element, text } from "./element.js";
import { nothingStored } from "./empty.js";
import { issueList, sorted } from "./issues.js";
import { term } from "./query-text.js";
import { searchParameters } from "./state.js";
import { ago, stamp } from "./time.js";

/** Often enough for a number on a wall, seldom enough to cost nothing. */
const AGAIN = 15_000;

/** As many as are looked at before one asks for all. */
const ISSUES = 6;
const PLACES = 6;

export class Overview {
  /**
   * @param {object} on
   * @param {(q: string) => void} on.search
   * @param {(query: string, issue: Issue) => void} on.issue
   * @param {(change: Partial<State>) => void} on.go
   * @param {() => void} on.absent the server does not tell: the records are what there is to see
   * @param {() => void} on.again it looks again, and so may what stands beside it
   * @param {(text: string, what: string) => void} on.copy
   * @param {(running: boolean) => void} on.running
   * @param {(error: Error) => void} on.failed
   */
  constructor(on) {
    this.on = on;
    this.root = byId("overview");
    this.asking = new Asking({ running: on.running, failed: (error) => (isAbsent(error) ? on.absent() : on.failed(error)) });
    this.timer = 0;
  }

  stop() {
    clearTimeout(this.timer);
    this.asking.stop();
  }

  /** @param {State} state @param {boolean} [unasked] it looks again by itself: nobody waits */
  async run(state, unasked = false) {
    this.stop();
    const done = this.asking.run(async (signal) => {
      const range = searchParameters({ ...state, q: "" });
      // Not told from when, the server tells of the last hour.
      const [told, found] = await Promise.all([stats({ from: "0", ...range }, signal), this.issues(range, signal)]);
      if (!signal.aborted) this.draw(told, found, state.utc);
    }, { unasked });
    if (await done) this.timer = window.setTimeout(() => this.look(state), AGAIN);
  }

  /** @param {State} state */
  look(state) {
    const busy = document.hidden || this.root.matches(":hover, :focus-within");
    if (busy) this.timer = window.setTimeout(() => this.look(state), 1000);
    else {
      this.run(state, true);
      this.on.again();
    }
  }

  /** @param {Record<string, string>} range @param {AbortSignal} signal */
  async issues(range, signal) {
    try {
      return await issues({ ...range, sort: "first", limit: String(ISSUES) }, signal);
    } catch (error) {
      if (signal.aborted || !isAbsent(error)) throw error;
      return null;
    }
  }

  /** @param {Stats} told @param {Found | null} found @param {boolean} utc */
  draw(told, found, utc) {
    // A count that the time limit cut short says nothing: who sent something shows that there is something.
    if (Number(told.store.records) === 0 && told.services.length === 0 && told.partial === null) {
      const live = () => this.on.go({ view: "records", live: true });
      const said = nothingStored({ live, copy: this.on.copy });
      return this.root.replaceChildren(element("div", { class: "empty" }, ...said));
    }
    this.root.replaceChildren(
      element("section", { class: "card wide" }, element("h2", {}, "Services"), this.services(told.services)),
      ...(found ? [this.newest(found)] : []),
      this.places(told.services),
      this.store(told, utc),
    );
  }

  /** @param {ServiceStats[]} services */
  services(services) {
    const head = ["Service", "A minute", "Errors", "Lost", "Last seen", "Records", "Size"];
    const rows = [...services].sort((one, other) => Number(other.rate_per_minute) - Number(one.rate_per_minute));
    return element(
      "div",
      { class: "grid-scroll", tabindex: "0", role: "region", "aria-label": "Services" },
      element(
        "table",
        { class: "grid services" },
        element(
          "thead",
          {},
          element(
            "tr",
            {},
            ...head.map((name, at) =>
              element(
                "th",
                {
                  scope: "col",
                  class: at === 0 ? undefined : at > 4 ? "number rest" : "number",
                  title: at === 1 ? "Records a minute" : undefined,
                },
                name,
              ),
            ),
          ),
        ),
        element("tbody", {}, ...rows.map((service) => this.service(service))),
      ),
    );
  }

  /** @param {ServiceStats} service */
  service(service) {
    const own = term("service", service.service) ?? "";
    const [errors, lost] = [Number(service.errors), Number(service.lost ?? 0)];
    const rate = Number(service.rate_per_minute);
    const seen = service.last_seen;
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, this.link(text(service.service), own)),
      number(rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString("en")),
      element(
        "td",
        { class: `number ${errors > 0 ? "level-error" : "muted"}` },
        errors > 0 ? this.link(errors.toLocaleString("en"), `${own} level:error`) : "0",
      ),
      element(
        "td",
        { class: `number ${lost > 0 ? "level-warn" : "muted"}` },
        lost > 0 ? this.link(lost.toLocaleString("en"), `${own} flags:lost`) : "0",
      ),
      element("td", { class: "number", title: seen ?? "" }, seen ? ago(Date.parse(seen), Date.now()) : "never"),
      // On a phone there is room for what is wrong, not for how much there is.
      number(Number(service.records).toLocaleString("en"), "rest"),
      number(size(Number(service.bytes)), "rest"),
    );
  }

  /** @param {Found} found */
  newest({ issues: found, total = found.length }) {
    const all = element(
      "button",
      { type: "button", class: "link", click: () => this.on.go({ view: "issues", sort: "first" }) },
      `all ${Number(total).toLocaleString("en")}`,
    );
    return element(
      "section",
      { class: "card" },
      element("h2", {}, "Newest issues ", found.length > 0 ? all : null),
      found.length > 0
        ? issueList(sorted(found, "first").slice(0, ISSUES), this.on.issue)
        : element("p", { class: "muted" }, "No errors in this range."),
    );
  }

  /** Which line of which program fills the disk. @param {ServiceStats[]} services */
  places(services) {
    const places = services
      .flatMap((service) => (service.callsites ?? []).map((each) => ({ ...each, service: service.service })))
      .sort((one, other) => Number(other.bytes) - Number(one.bytes))
      .slice(0, PLACES);
    const all = services.reduce((sum, { bytes }) => sum + Number(bytes), 0);
    const rows = places.map(({ callsite, service, records, bytes }) => {
      const q = [term("service", service), term("callsite", callsite)].filter(Boolean).join(" ");
      const part = all > 0 ? `${Math.round((Number(bytes) / all) * 100)} %` : "";
      return element(
        "tr",
        {},
        element("th", { scope: "row" }, this.link(text(callsite), q)),
        element("td", { class: "muted" }, text(service)),
        number(Number(records).toLocaleString("en")),
        number(size(Number(bytes))),
        number(part),
      );
    });
    return element(
      "section",
      { class: "card" },
      element("h2", {}, "Who writes most"),
      rows.length > 0
        ? element("div", { class: "grid-scroll", tabindex: "0", role: "region", "aria-label": "Who writes most" }, element("table", { class: "grid" }, element("tbody", {}, ...rows)))
        : element("p", { class: "muted" }, "Nothing is known yet."),
    );
  }

  /** @param {Stats} told @param {boolean} utc */
  store({ store, services, partial }, utc) {
    const lost = services.reduce((sum, service) => sum + Number(service.lost ?? 0), 0);
    const facts = [
      `${Number(store.records).toLocaleString("en")} records`,
      size(Number(store.bytes)),
      store.oldest && `since ${stamp(Date.parse(store.oldest), utc).slice(0, 16)}`,
    ].filter(Boolean);
    return element(
      "p",
      { class: "store muted" },
      `Stored: ${facts.join(" · ")}. `,
      partial === null ? "" : element("span", { class: "partial" }, "Partial: ", text(partial), ". "),
      lost > 0
        ? this.link(`${lost.toLocaleString("en")} records are known to be lost.`, "flags:lost")
        : "No record is known to be lost.",
    );
  }

  /** @param {Node | string} shown @param {string} q */
  link(shown, q) {
    return element("button", { type: "button", class: "cell-link", click: () => this.on.search(q) }, shown);
  }
}

/** @param {string} shown @param {string} [kind] */
function number(shown, kind = "") {
  return element("td", { class: `number ${kind}` }, shown);
}

/** How much something weighs, as one reads it. @param {number} bytes @returns {string} */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toPrecision(2)} ${units[unit]}`;
}

/**
 * Errors as issues: each with how often, since when and since which version, and how it went over time.
 *
 * @import { Issue } from "./api.js"
 * @import { State } from "./state.js"
 */

import { issues } from "./api.js";
import { Asking } from "./asking.js";
import { byId, element, text } from "./element.js";
import { letter, levelClass } from "./levels.js";
import { searchParameters } from "./state.js";
import { sparkline } from "./svg.js";
import { ago } from "./time.js";

export class Issues {
  /**
   * @param {object} on
   * @param {(query: string, issue: Issue) => void} on.records
   * @param {(change: Partial<State>) => void} on.go
   * @param {(running: boolean) => void} on.running
   * @param {(error: Error) => void} on.failed
   */
  constructor(on) {
    this.on = on;
    this.root = byId("issues");
    this.asking = new Asking(on);
    /** @type {Issue[] | null} null until the server has answered */
    this.issues = null;
    /** How many there are; of very many only those are told that the order puts first. */
    this.total = 0;
    /** @type {string | null} */
    this.partial = null;
  }

  stop() {
    this.asking.stop();
    this.root.setAttribute("aria-busy", "false");
  }

  /** @param {State} state */
  async run(state) {
    this.draw(state);
    this.root.setAttribute("aria-busy", "true");
    const ended = await this.asking.run(async (signal) => {
      const answer = await issues({ ...searchParameters(state), sort: state.sort || "last" }, signal);
      if (signal.aborted) return;
      this.issues = answer.issues;
      this.total = Number(answer.total ?? answer.issues.length);
      this.partial = answer.partial;
      this.draw(state);
    });
    if (ended) this.root.setAttribute("aria-busy", "false");
  }

  /** @param {State} state */
  draw(state) {
    const { issues, total, partial } = this;
    const many = `${total.toLocaleString("en")} ${total === 1 ? "issue" : "issues"}`;
    const rest = issues && issues.length < total && `${issues.length} shown`;
    const sort = (/** @type {State["sort"]} */ value, /** @type {string} */ words) =>
      element(
        "button",
        { type: "button", "aria-pressed": String(state.sort === value), click: () => this.on.go({ sort: value }) },
        words,
      );
    this.root.replaceChildren(
      element(
        "div",
        { class: "view-head" },
        element("h2", {}, issues ? many : "Issues"),
        rest && element("span", { class: "muted" }, rest),
        element(
          "div",
          { class: "choices", role: "group", "aria-label": "Order" },
          sort("", "Last seen"),
          sort("first", "Newest"),
          sort("count", "Most frequent"),
        ),
        partial === null ? null : element("span", { class: "partial" }, "Partial: ", text(partial)),
      ),
      ...(issues ? [this.list(issues, state)] : []),
    );
  }

  /** @param {Issue[]} issues @param {State} state */
  list(issues, state) {
    if (issues.length === 0)
      return element("p", { class: "empty muted" }, "No errors in this range. A wider one may have some.");
    return issueList(sorted(issues, state.sort), this.on.records);
  }
}

/**
 * @param {Issue[]} shown
 * @param {(query: string, issue: Issue) => void} open
 */
export function issueList(shown, open) {
  const now = Date.now();
  return element("ol", { class: "issue-list" }, ...shown.map((issue) => item(issue, open, now)));
}

/** @param {Issue} issue @param {(query: string, issue: Issue) => void} open @param {number} now */
function item(issue, open, now) {
  const count = Number(issue.count);
  const since = (issue.new_since ?? []).map(({ service, version }) =>
    element("span", { class: "badge" }, "new since ", text(`${service} ${version}`)),
  );
  const click = () => open(issue.query, issue);
  const times = [
    `last ${ago(Date.parse(issue.last_seen), now)}`,
    `first ${ago(Date.parse(issue.first_seen), now)}`,
  ];
  return element(
    "li",
    { class: levelClass(issue.level) },
    element("span", { class: "level", role: "img", title: issue.level, "aria-label": issue.level }, letter(issue.level)),
    element(
      "div",
      { class: "issue" },
      element("button", { type: "button", class: "issue-title", click }, text(issue.title || "(no message)")),
      element(
        "div",
        { class: "issue-facts muted" },
        ...since,
        element("span", {}, text(issue.services.map(({ service }) => service).join(", "))),
        issue.callsite ? element("code", {}, text(issue.callsite)) : null,
        element("span", { title: `${issue.first_seen} – ${issue.last_seen}` }, times.join(" · ")),
      ),
    ),
    sparkline(issue.sparkline.map(Number), `How often over time`),
    element("b", { class: "issue-count", title: `${count} records` }, count.toLocaleString("en")),
  );
}

/** @param {Issue[]} issues @param {State["sort"]} sort @returns {Issue[]} the newest, or the most frequent, first */
export function sorted(issues, sort) {
  const key = (/** @type {Issue} */ issue) =>
    sort === "count" ? issue.count : Date.parse(sort === "first" ? issue.first_seen : issue.last_seen);
  return [...issues].sort((one, other) => key(other) - key(one));
}

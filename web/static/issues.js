/**
 * Errors as issues: each with how often, since when and since which version, and how it went over time.
 *
 * @import { Issue } from "./api.js"
 * @import { State } from "./state.js"
 */

import { issues } from "./api.js";
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
    this.controller = new AbortController();
    /** @type {Issue[]} */
    this.issues = [];
  }

  stop() {
    this.controller.abort();
  }

  /** @param {State} state */
  async run(state) {
    this.stop();
    const { signal } = (this.controller = new AbortController());
    this.on.running(true);
    try {
      const answer = await issues(searchParameters(state), signal);
      if (signal.aborted) return;
      this.issues = answer.issues;
      this.draw(state, answer.partial);
    } catch (error) {
      if (!signal.aborted) this.on.failed(/** @type {Error} */ (error));
    } finally {
      if (!signal.aborted) this.on.running(false);
    }
  }

  /** @param {State} state @param {string | null} [partial] */
  draw(state, partial = null) {
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
        element("h2", {}, `${this.issues.length.toLocaleString("en")} ${this.issues.length === 1 ? "issue" : "issues"}`),
        element(
          "div",
          { class: "choices", role: "group", "aria-label": "Order" },
          sort("", "Last seen"),
          sort("first", "Newest"),
          sort("count", "Most frequent"),
        ),
        partial === null ? null : element("span", { class: "partial" }, "Partial: ", text(partial)),
      ),
      this.issues.length > 0
        ? issueList(sorted(this.issues, state.sort), this.issues, this.on.records)
        : element("p", { class: "empty muted" }, "No errors in this range. A wider one may have some."),
    );
  }
}

/**
 * @param {Issue[]} shown
 * @param {Issue[]} all
 * @param {(query: string, issue: Issue) => void} open
 */
export function issueList(shown, all, open) {
  const now = Date.now();
  return element("ol", { class: "issue-list" }, ...shown.map((issue) => item(issue, all, open, now)));
}

/** @param {Issue} issue @param {Issue[]} all @param {(query: string, issue: Issue) => void} open @param {number} now */
function item(issue, all, open, now) {
  const count = Number(issue.count);
  const since = newSince(issue, all).map(({ service, version }) =>
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
    element("span", { class: "level", title: issue.level }, letter(issue.level)),
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

/**
 * The version of each service since which the issue is there, if an earlier version of that service is known to have
 * been without it.
 * @param {Issue} issue
 * @param {Issue[]} all by which the earlier versions are known
 * @returns {{ service: string, version: string }[]}
 */
export function newSince(issue, all) {
  return issue.services.flatMap(({ service, versions }) => {
    const first = earliest(versions);
    if (!first?.version) return [];
    const known = all.flatMap((each) => each.services.filter((other) => other.service === service));
    const before = known
      .flatMap((each) => each.versions)
      .some((other) => other.version !== first.version && Date.parse(other.first_seen) < Date.parse(first.first_seen));
    return before ? [{ service, version: first.version }] : [];
  });
}

/** @template {{ first_seen: string }} T @param {T[]} versions @returns {T | undefined} */
function earliest(versions) {
  return [...versions].sort((one, other) => Date.parse(one.first_seen) - Date.parse(other.first_seen))[0];
}

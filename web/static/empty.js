/**
 * Why there is nothing to see, and the way to something: nothing stored at all, nothing in this range, or a filter
 * that removes all.
 *
 * @import { LogRecord } from "./api.js"
 * @import { State } from "./state.js"
 * @typedef {object} Findings
 * @property {LogRecord | null} newestMatch
 * @property {LogRecord | null} newest of all records
 * @property {number} inRange records the filter removed
 */

import { histogram, search } from "./api.js";
import { element } from "./element.js";
import { searchParameters } from "./state.js";
import { ago, iso, moment, rangeLabel, stamp } from "./time.js";

const SNIPPET = `let (layer, _logs) = log_layer::builder("my-service").build();
tracing_subscriber::registry().with(layer).init();
tracing::info!(user_id = 42, "hello");`;

/**
 * The newest record of all that matches.
 * @param {Record<string, string>} parameters
 * @param {AbortSignal} signal
 */
export async function newest(parameters, signal) {
  const { from: _from, to: _to, ...anyTime } = parameters;
  const answer = await search({ ...anyTime, limit: "1" }, signal);
  return answer.records[0] ?? null;
}

/** @param {State} state @param {AbortSignal} signal @returns {Promise<Findings>} */
export async function investigate(state, signal) {
  const parameters = searchParameters(state);
  const newestMatch = await newest(parameters, signal);
  if (!state.q) return { newestMatch, newest: newestMatch, inRange: 0 };
  const { q: _q, as: _as, ...unfiltered } = parameters;
  const [found, counted] = await Promise.all([
    newestMatch ?? newest(unfiltered, signal),
    histogram({ ...unfiltered, buckets: "1" }, signal),
  ]);
  return { newestMatch, newest: found, inRange: counted.total };
}

/**
 * @param {Findings} findings
 * @param {State} state
 * @param {object} on
 * @param {(from: string, to: string) => void} on.jump
 * @param {() => void} on.drop
 * @param {() => void} on.live
 * @param {(text: string, what: string) => void} on.copy
 * @returns {Node[]}
 */
export function explain(findings, state, on) {
  if (!findings.newest) return nothingStored(on);
  const range = rangeLabel(state.from, state.to, state.utc);
  const said = [
    element("h2", {}, state.q ? "No record matches" : "No records in this range"),
    element(
      "p",
      {},
      `Range: ${range}.`,
      state.q ? ` Without the query it holds ${findings.inRange.toLocaleString("en")} records.` : "",
    ),
  ];
  const actions = element("p", { class: "empty-actions" });
  if (findings.newestMatch) {
    const at = Date.parse(findings.newestMatch.time);
    const what = state.q ? "newest match" : "newest record";
    said.push(
      element("p", {}, `The ${what} is from ${stamp(at, state.utc).slice(0, 19)}, ${ago(at, Date.now())}.`),
    );
    actions.append(
      element(
        "button",
        { type: "button", class: "primary", click: () => on.jump(...around(at, state)) },
        `Jump to the ${what}`,
      ),
    );
  } else if (state.q) {
    said.push(element("p", {}, "It matches nothing at any other time either."));
  }
  if (state.q) actions.append(element("button", { type: "button", click: on.drop }, "Drop the query"));
  return [...said, actions];
}

/**
 * A range as long as the one in use, ending at this moment.
 * @param {number} at
 * @param {State} state
 * @returns {[string, string]}
 */
function around(at, state) {
  const now = Date.now();
  const length = (moment(state.to, now) ?? now) - (moment(state.from, now) ?? now);
  // The end is rounded up: a moment has nanoseconds, `at` has not.
  return [iso(at - Math.max(length, 60_000)), iso(at + 1)];
}

/** @param {{ live(): void, copy(text: string, what: string): void }} on */
export function nothingStored(on) {
  return [
    element("h2", {}, "No records yet"),
    element("p", {}, "A Rust service sends its log with the crate log-layer:"),
    element("pre", { class: "snippet", tabindex: "0" }, SNIPPET),
    element(
      "p",
      { class: "muted" },
      "It finds Redis by LOG_LAYER_REDIS_URL; the server printed the URL to use when it started.",
    ),
    element(
      "p",
      { class: "empty-actions" },
      element("button", { type: "button", class: "primary", click: on.live }, "Wait for the first record"),
      element("button", { type: "button", click: () => on.copy(SNIPPET, "The snippet") }, "Copy"),
    ),
  ];
}

/**
 * What the page shows, as the URL says it: the only place that knows the names of the URL's parameters.
 * Pure: knows neither the document nor the network.
 *
 * @typedef {"overview" | "records" | "context" | "trace" | "issues" | "saved"} View
 * @typedef {"boot" | "service" | "all" | "trace"} Scope whose records surround a record
 * @typedef {object} State
 * @property {View} view
 * @property {string} q the query as typed
 * @property {boolean} asText the query is searched as plain text, whatever it looks like
 * @property {string} from RFC 3339, relative such as `-1h`, or `all`
 * @property {string} to RFC 3339, or empty for "now"
 * @property {string} id the record that stands open, or empty; in the context view, the one in the middle
 * @property {Scope} scope
 * @property {number} around records shown on either side of the one in the middle
 * @property {string} trace the trace that the trace view shows
 * @property {string[]} columns what stands between level and message
 * @property {"" | "table" | "bars" | "lines"} chart how a pipeline's answer is drawn; empty for what suits it
 * @property {"" | "first" | "count"} sort of issues: by when each was last seen (empty), first seen, or how often
 * @property {boolean} fields the list of fields stands beside the records
 * @property {boolean} live new records arrive on top
 * @property {boolean} utc times in UTC instead of local
 * @property {boolean} wrap long messages break into lines
 * @property {boolean} dense more rows on a screen
 * @property {boolean} bare messages without their fields beside them
 */

/** Short enough to be fast on any store, long enough to hold what somebody just did. */
const DEFAULT_FROM = "-1h";

/** The whole of time; an absent `from` already means the default. */
export const ALL_TIME = "all";

/** Enough to see what happened before and after without scrolling. */
export const AROUND = 20;

/** As many as the server gives on one side. */
export const AROUND_MOST = 1000;

const VIEWS = /** @type {const} */ (["overview", "records", "context", "trace", "issues", "saved"]);
const SCOPES = /** @type {const} */ (["boot", "service", "all", "trace"]);
const CHARTS = /** @type {const} */ (["table", "bars", "lines"]);
const SORTS = /** @type {const} */ (["first", "count"]);
const FLAGS = /** @type {const} */ (["fields", "live", "utc", "wrap", "dense", "bare"]);
const COLUMNS = ["service"];

/** More do not fit beside each other on any screen. */
const COLUMNS_MOST = 12;

/** @param {string} search `location.search` @returns {State} */
export function readState(search) {
  const parameters = new URLSearchParams(search);
  const text = (/** @type {string} */ name) => parameters.get(name) ?? "";
  const flag = (/** @type {string} */ name) => parameters.get(name) === "1";
  const around = Number.parseInt(text("around"), 10);
  const columns = text("columns").split(",").filter(Boolean).map(decodeURIComponentOr);
  return {
    view: oneOf(VIEWS, text("view")) ?? impliedView(parameters),
    q: text("q").trim(),
    asText: parameters.get("as") === "text",
    from: text("from") || (text("to") ? ALL_TIME : DEFAULT_FROM),
    to: text("to"),
    id: text("id"),
    scope: oneOf(SCOPES, text("scope")) ?? "boot",
    around: around > 0 ? Math.min(around, AROUND_MOST) : AROUND,
    trace: text("trace"),
    columns: parameters.has("columns") ? [...new Set(columns)].slice(0, COLUMNS_MOST) : COLUMNS,
    chart: oneOf(CHARTS, text("chart")) ?? "",
    sort: oneOf(SORTS, text("sort")) ?? "",
    fields: flag("fields"),
    live: flag("live"),
    utc: flag("utc"),
    wrap: flag("wrap"),
    dense: flag("dense"),
    bare: flag("bare"),
  };
}

/** @param {State} state @returns {string} a relative URL; what is as it would be anyway is left out */
export function writeState(state) {
  const parameters = new URLSearchParams();
  const columns = state.columns.map((name) => name.replace(/[%,]/g, encodeURIComponent)).join(",");
  if (state.q) parameters.set("q", state.q);
  if (state.q && state.asText) parameters.set("as", "text");
  if (state.from !== DEFAULT_FROM || state.to) parameters.set("from", state.from);
  if (state.to) parameters.set("to", state.to);
  if (state.id) parameters.set("id", state.id);
  if (state.view === "context" && state.scope !== "boot") parameters.set("scope", state.scope);
  if (state.view === "context" && state.around !== AROUND) parameters.set("around", String(state.around));
  if (state.view === "trace") parameters.set("trace", state.trace);
  if (columns !== COLUMNS.join(",")) parameters.set("columns", columns);
  if (state.chart) parameters.set("chart", state.chart);
  if (state.view === "issues" && state.sort) parameters.set("sort", state.sort);
  for (const name of FLAGS) if (state[name]) parameters.set(name, "1");
  if (state.view !== impliedView(parameters)) parameters.set("view", state.view);
  const search = parameters.toString();
  return search ? `?${search}` : "./";
}

/** Without a word about what to see, the overview; with one, the records. @param {URLSearchParams} parameters */
function impliedView(parameters) {
  return choosesNothing(parameters) && !parameters.has("live") ? "overview" : "records";
}

/** @param {URLSearchParams} parameters */
function choosesNothing(parameters) {
  return !["q", "from", "to", "id"].some((name) => parameters.has(name));
}

/** Whether nobody has chosen a query or a time yet. @param {string} search */
export function isFirstView(search) {
  return choosesNothing(new URLSearchParams(search));
}

/**
 * Whether going from one state to the other needs no new question to the server.
 * @param {State} before
 * @param {State} after
 */
export function searchesAlike(before, after) {
  const asked = /** @type {(keyof State)[]} */ (["view", "q", "asText", "from", "to", "live"]);
  if (after.view === "context") asked.push("id", "scope", "around");
  if (after.view === "trace") asked.push("trace");
  if (after.view === "issues") asked.push("sort");
  return asked.every((name) => before[name] === after[name]);
}

/** What the API is asked. @param {State} state @returns {Record<string, string>} */
export function searchParameters(state) {
  const parameters = /** @type {Record<string, string>} */ ({});
  if (state.q) parameters.q = state.q;
  if (state.q && state.asText) parameters.as = "text";
  if (state.from !== ALL_TIME) parameters.from = state.from;
  if (state.to) parameters.to = state.to;
  return parameters;
}

/**
 * @template {string} T
 * @param {readonly T[]} known
 * @param {string} text
 */
function oneOf(known, text) {
  return known.find((each) => each === text);
}

/** A link that somebody cut is no reason to show nothing. @param {string} text */
function decodeURIComponentOr(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

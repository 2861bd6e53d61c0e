/**
 * What the page shows, as the URL says it: the only place that knows the names of the URL's parameters.
 * Pure: knows neither the document nor the network.
 *
 * @typedef {object} State
 * @property {string} q the query as typed
 * @property {boolean} asText the query is searched as plain text, whatever it looks like
 * @property {string} from RFC 3339, relative such as `-1h`, or `all`
 * @property {string} to RFC 3339, or empty for "now"
 * @property {string} id the record that stands open, or empty
 * @property {boolean} live new records arrive on top
 * @property {boolean} utc times in UTC instead of local
 * @property {boolean} wrap long messages break into lines
 */

/** Short enough to be fast on any store, long enough to hold what somebody just did. */
export const DEFAULT_FROM = "-1h";

/** The whole of time; an absent `from` already means the default. */
export const ALL_TIME = "all";

/** @param {string} search `location.search` @returns {State} */
export function readState(search) {
  const parameters = new URLSearchParams(search);
  const text = (/** @type {string} */ name) => parameters.get(name) ?? "";
  const flag = (/** @type {string} */ name) => parameters.get(name) === "1";
  return {
    q: text("q").trim(),
    asText: parameters.get("as") === "text",
    from: text("from") || (text("to") ? ALL_TIME : DEFAULT_FROM),
    to: text("to"),
    id: text("id"),
    live: flag("live"),
    utc: flag("utc"),
    wrap: flag("wrap"),
  };
}

/** @param {State} state @returns {string} a relative URL; what is as it would be anyway is left out */
export function writeState(state) {
  const parameters = new URLSearchParams();
  if (state.q) parameters.set("q", state.q);
  if (state.q && state.asText) parameters.set("as", "text");
  if (state.from !== DEFAULT_FROM || state.to) parameters.set("from", state.from);
  if (state.to) parameters.set("to", state.to);
  if (state.id) parameters.set("id", state.id);
  for (const name of /** @type {const} */ (["live", "utc", "wrap"])) {
    if (state[name]) parameters.set(name, "1");
  }
  const search = parameters.toString();
  return search ? `?${search}` : "./";
}

/** Whether nobody has chosen a query or a time yet. @param {string} search */
export function isFirstView(search) {
  const parameters = new URLSearchParams(search);
  return !["q", "from", "to", "id"].some((name) => parameters.has(name));
}

/**
 * Whether going from one state to the other needs a new search.
 * @param {State} before
 * @param {State} after
 */
export function searchesAlike(before, after) {
  return (
    before.q === after.q &&
    before.asText === after.asText &&
    before.from === after.from &&
    before.to === after.to &&
    before.live === after.live
  );
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

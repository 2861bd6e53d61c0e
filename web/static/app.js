/**
 * The page, wired: the URL is the state, the state chooses a view, the view asks and shows.
 *
 * Where to read on: `state.js` (what the URL says), `records.js` (the list, its chart and what comes in live),
 * `record.js` (what an open row shows), `query-text.js` (what a click does to the query); `overview.js`, `context.js`,
 * `trace-view.js`, `issues.js` and `saved.js` are the other views.
 *
 * @import { Issue, LogRecord, SavedEntry } from "./api.js"
 * @import { RecordActions } from "./record.js"
 * @import { State, View } from "./state.js"
 */

import { copy } from "./clipboard.js";
import { toggled } from "./columns.js";
import { Context } from "./context.js";
import { byId, element } from "./element.js";
import { Help } from "./help.js";
import { Issues } from "./issues.js";
import { listenForKeys } from "./keyboard.js";
import { ExportMenu, placeMenu } from "./menu.js";
import { Overview } from "./overview.js";
import { QueryBar } from "./query-bar.js";
import { not, only, phrase, splitPipeline, term } from "./query-text.js";
import { Records } from "./records.js";
import { SaveForm } from "./save-form.js";
import { Saved } from "./saved.js";
import { isFirstView, readState, searchesAlike, searchParameters, writeState } from "./state.js";
import { theme, useTheme } from "./theme.js";
import { iso, shifted } from "./time.js";
import { TimeMenu } from "./time-menu.js";
import { topValues } from "./top-values.js";
import { TraceView } from "./trace-view.js";

/** What one wants to see beside a record that somebody linked, and the longest a traced request takes. */
const AROUND = 15 * 60_000;

let state = readState(location.search);

const bar = new QueryBar({
  run: (q) => go({ q, asText: false, id: "", view: state.view === "issues" ? "issues" : "records" }, { again: true }),
  cancel,
  readAs: (asText) => go({ asText, id: "" }),
  range: () => searchParameters({ ...state, q: "" }),
});
const timeMenu = new TimeMenu((from, to) =>
  go({ from, to, id: "", live: state.live && !to, view: timedView() }, { again: true }),
);
/** @type {RecordActions} */
const recordActions = {
  only: (wanted) => filter(only, wanted),
  not: (unwanted) => filter(not, unwanted),
  trace: (record) => go({ view: "trace", trace: record.trace_id ?? "", id: record.id, live: false }),
  around: (record) => go({ view: "context", id: record.id, live: false }),
  column: (name) => go({ columns: toggled(state.columns, name) }),
  hasColumn: (name) => state.columns.includes(name),
  values: (field) => topValues(field, filterParameters(), recordActions),
  copy: copyAndSay,
  permalink,
};
const failed = (/** @type {Error} */ error) =>
  notice(error.message, element("button", { type: "button", click: () => run() }, "Try again"));
const running = (/** @type {boolean} */ is) => bar.showRunning(is);
const records = new Records(
  {
    state: () => state,
    go,
    run: () => run(),
    notice,
    say,
    copy: copyAndSay,
    level: (level) => filter(only, term("level", level)),
    record: recordActions,
  },
  bar,
  isFirstView(location.search),
);
const overview = new Overview({
  search: (q) => go({ q, asText: false, view: "records" }),
  issue: showIssue,
  go,
  absent: () => go({ view: "records" }, { replace: true }),
  again: () => records.count(state),
  copy: copyAndSay,
  running,
  failed,
});
const context = new Context({ record: recordActions, go, running, failed });
const traceView = new TraceView({
  record: recordActions,
  records: (from, to) => showTraceRecords(from, to),
  running,
  failed,
});
const issues = new Issues({ records: showIssue, go, running, failed });
const saved = new Saved({ open: openSaved, edit: (entry) => saveForm.open(entry, entry.id), running, failed });
const saveForm = new SaveForm({
  kept: (entry) => {
    say(`Saved as ${entry.name}.`);
    if (state.view === "saved") saved.run();
  },
  utc: () => state.utc,
});
const exportMenu = new ExportMenu(copyAndSay);
const help = new Help();

/**
 * Changes the state, the URL with it, and asks the server if that needs it to.
 * @param {Partial<State>} change
 * @param {object} [how]
 * @param {boolean} [how.again] ask even if nothing changed
 * @param {boolean} [how.replace] add no step to go back
 */
function go(change, { again = false, replace = false } = {}) {
  const next = { ...state, ...change };
  const alike = searchesAlike(state, next);
  state = next;
  // The question first: the server works on it while the page says what it shows.
  if (!alike || again) run();
  if (alike || replace) history.replaceState(null, "", writeState(state));
  else history.pushState(null, "", writeState(state));
  showState();
}

const TITLES = /** @type {Record<View, string>} */ ({
  overview: "Overview",
  records: "Records",
  context: "Around a record",
  trace: "Trace",
  issues: "Issues",
  saved: "Saved",
});

function showState() {
  const { view } = state;
  bar.show(state.q);
  timeMenu.show(state);
  records.showLook(state);
  context.showLook(state);
  if (view === "issues") issues.draw(state);
  for (const name of /** @type {const} */ (["live", "utc", "wrap", "dense", "bare"])) {
    byId(name).setAttribute("aria-pressed", String(state[name]));
  }
  for (const name of /** @type {const} */ (["overview", "records", "context", "trace", "issues", "saved"])) {
    byId(name).hidden = view !== name;
  }
  byId("chart").hidden = view !== "overview" && view !== "records";
  byId("facts").hidden = view !== "records";
  for (const link of document.querySelectorAll(".views a")) {
    const target = /** @type {View} */ (link.getAttribute("data-view"));
    link.setAttribute("href", writeState(viewState(target)));
    if (target === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  exportMenu.show(searchParameters(state), new URL(writeState(state), location.href).href);
  document.title = state.q && view === "records" ? `${state.q} · Logs` : `${TITLES[view]} · Logs`;
}

/** What a view shows when one goes to it: the overview and the saved ones begin without a query. @param {View} view @returns {State} */
function viewState(view) {
  const bare = view === "overview" || view === "saved";
  return { ...state, view, id: "", live: false, trace: "", ...(bare ? { q: "", asText: false } : {}) };
}

function run() {
  byId("notice").hidden = true;
  for (const view of [records, overview, context, traceView, issues, saved]) view.stop();
  if (state.view !== "records") {
    bar.showRunning(false);
    bar.showNothing();
  } else bar.expectReading();
  switch (state.view) {
    case "overview":
      records.count(state);
      return overview.run(state);
    case "records":
      return records.run(state);
    case "context":
      return context.run(state);
    case "trace":
      return traceView.run(state);
    case "issues":
      return issues.run(state);
    case "saved":
      return saved.run();
  }
}

function cancel() {
  for (const view of [overview, context, traceView, issues, saved]) view.stop();
  bar.showRunning(false);
  if (state.view === "records") records.cancel();
  else say("Cancelled.");
}

/** The view in which a range of time means something. @returns {View} */
function timedView() {
  return state.view === "overview" || state.view === "issues" ? state.view : "records";
}

function filterParameters() {
  return searchParameters({ ...state, q: splitPipeline(state.q).filter });
}

/** @param {(query: string, term: string) => string} change @param {string | null} wanted */
function filter(change, wanted) {
  if (wanted === null) return;
  // What was searched as text must stay text when it becomes part of a query.
  const query = state.q && (records.readAsText || state.asText) ? phrase(state.q) : state.q;
  // A table's value asks for the records behind it.
  const base = splitPipeline(query).filter.trim();
  go({ q: change(base, wanted), asText: false, id: "", view: "records" });
}

/** @param {string} q @param {Issue} issue */
function showIssue(q, issue) {
  const seen = Date.parse(issue.last_seen);
  const inRange = state.from === "all" || Date.now() - seen < 3_600_000;
  go({ q, asText: false, id: "", view: "records", ...(inRange ? {} : { from: issue.first_seen, to: iso(seen + 1) }) });
}

/** @param {string} from @param {string} to */
function showTraceRecords(from, to) {
  const q = term("trace", state.trace);
  const range = { from: iso(Date.parse(from) - AROUND), to: iso(Date.parse(to) + AROUND) };
  if (q) go({ q, asText: false, ...range, view: "records", trace: "", id: "" });
}

/** @param {SavedEntry} entry */
function openSaved({ q, from }) {
  go({ view: "records", q, asText: false, from: from || state.from, to: "", id: "" });
}

/** @param {LogRecord} record */
function permalink(record) {
  const at = Date.parse(record.time);
  const link = writeState({
    ...state,
    view: "records",
    q: splitPipeline(state.q).filter.trim(),
    from: iso(at - AROUND),
    // The end is rounded up: the record's time has nanoseconds, `at` has not.
    to: iso(at + 1),
    live: false,
    trace: "",
    id: record.id,
  });
  return new URL(link, location.href).href;
}

/** @param {string} text @param {string} what */
async function copyAndSay(text, what) {
  say((await copy(text)) ? `${what} is copied.` : "The browser does not let this page copy.");
}

/** @param {string} words @param {Node} [action] */
function notice(words, action) {
  byId("notice").replaceChildren(words, " ", action ?? "");
  byId("notice").hidden = false;
}

let toast = 0;

/** Says something in passing. @param {string} words */
function say(words) {
  byId("toast").textContent = words;
  byId("toast").classList.add("shown");
  clearTimeout(toast);
  toast = window.setTimeout(() => byId("toast").classList.remove("shown"), 2500);
}

function showTheme() {
  for (const button of document.querySelectorAll("[data-choose-theme]")) {
    button.setAttribute("aria-pressed", String(button.getAttribute("data-choose-theme") === theme()));
  }
}

for (const menu of ["time-menu", "view-menu", "export-menu"]) placeMenu(menu);
byId("live").addEventListener("click", () => records.toggleLive());
for (const name of /** @type {const} */ (["wrap", "dense", "bare", "utc"])) {
  byId(name).addEventListener("click", () => go({ [name]: !state[name] }));
}
byId("save-open").addEventListener("click", () =>
  saveForm.open({ name: state.q, q: state.q, from: state.from, alert: null }, null),
);
for (const button of document.querySelectorAll("[data-choose-theme]")) {
  button.addEventListener("click", () => {
    useTheme(button.getAttribute("data-choose-theme") ?? "system");
    showTheme();
  });
}
byId("views").addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || !(event instanceof MouseEvent) || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(viewState(/** @type {View} */ (link.getAttribute("data-view"))), { again: true });
});
window.addEventListener("popstate", () => {
  const before = state;
  state = readState(location.search);
  if (!searchesAlike(before, state)) run();
  showState();
});
listenForKeys({
  query: () => bar.focus(),
  move: (step) => (state.view === "context" ? context.list : records.list).move(step),
  error: (step) => records.moveToError(step),
  live: () => records.toggleLive(),
  shift: (step) => {
    const range = shifted(state.from, state.to, Date.now(), step);
    if (range) go({ ...range, id: "", live: false, view: timedView() });
  },
  fields: () => {
    if (state.view === "records") byId("fields-open").click();
  },
  wrap: () => go({ wrap: !state.wrap }),
  help: () => help.open(),
});
// What sticks below the bar has to know how high it is; it grows with what it says.
new ResizeObserver(([entry]) => {
  document.documentElement.style.setProperty("--bar", `${entry.target.clientHeight + 1}px`);
}).observe(byId("bar"));
// The rows of the page one goes back to come from a new search: where it was scrolled to means nothing to them.
history.scrollRestoration = "manual";
showTheme();
run();
showState();

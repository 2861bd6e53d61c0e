/**
 * The page, wired: the URL is the state, the state asks for a search, the answers go to the parts that show them.
 *
 * Where to read on: `state.js` (what the URL says), `search.js` and `live.js` (what is asked), `list.js` and
 * `record.js` (what is shown), `query-text.js` (what a click does to the query).
 *
 * @import { HistogramAnswer, LogRecord, SearchAnswer } from "./api.js"
 * @import { Taken } from "./pending.js"
 * @import { State } from "./state.js"
 */

import { ApiError } from "./api.js";
import { copy } from "./clipboard.js";
import { buttonById, byId, element } from "./element.js";
import { explain, investigate, newest } from "./empty.js";
import { bucketsFor, Histogram } from "./histogram.js";
import { listenForKeys } from "./keyboard.js";
import { List } from "./list.js";
import { Live } from "./live.js";
import { QueryBar } from "./query-bar.js";
import { not, only, phrase, term } from "./query-text.js";
import { recordView } from "./record.js";
import { Search } from "./search.js";
import { isFirstView, readState, searchesAlike, searchParameters, writeState } from "./state.js";
import { Summary } from "./summary.js";
import { nextTheme, theme } from "./theme.js";
import { iso, presetFor, rangeLabel, relative } from "./time.js";
import { TimeMenu } from "./time-menu.js";

/** A page that follows for days must not grow for days. */
const MOST_LIVE_ROWS = 2000;

/** How often the chart is counted anew while records come in. */
const RECOUNT = 10_000;

/** What one wants to see beside a record that somebody linked, and the longest a traced request takes. */
const AROUND = 15 * 60_000;

let state = readState(location.search);
let firstView = isFirstView(location.search);
let readAsText = false;
let countedAt = 0;
/** The list shows what was asked for last; until then, what comes in live has to wait. */
let listStands = false;

const summary = new Summary();
const bar = new QueryBar({
  run: (q) => go({ q, asText: false, id: "" }, { again: true }),
  cancel: () => {
    search.cancel();
    listStands = true;
    summary.say("Cancelled.");
  },
  readAs: (asText) => go({ asText, id: "" }),
});
const timeMenu = new TimeMenu((from, to) =>
  go({ from, to, id: "", live: state.live && !to }, { again: true }),
);
const chart = new Histogram({
  narrow: (from, to) => go({ from, to, id: "", live: false }),
  level: (level) => filter(only, term("level", level)),
});
const list = new List({
  open: (record) =>
    recordView(record, {
      only: (wanted) => filter(only, wanted),
      not: (unwanted) => filter(not, unwanted),
      trace: showTrace,
      copy: copyAndSay,
      permalink,
    }),
  changed: (record) => {
    go({ id: record?.id ?? "" });
    live.flush();
  },
});
const search = new Search({
  running: (running) => {
    bar.showRunning(running);
    byId("list").setAttribute("aria-busy", String(running));
  },
  found,
  older,
  counted,
  failed,
});
const live = new Live({
  paused: readerReads,
  show: arrived,
  changed: showLive,
  late: runSearch,
  restart: run,
});

/**
 * Changes the state, the URL with it, and searches if that needs a search.
 * @param {Partial<State>} change
 * @param {object} [how]
 * @param {boolean} [how.again] search even if nothing changed
 * @param {boolean} [how.replace] add no step to go back
 */
function go(change, { again = false, replace = false } = {}) {
  const next = { ...state, ...change };
  const alike = searchesAlike(state, next);
  state = next;
  if (alike || replace) history.replaceState(null, "", writeState(state));
  else history.pushState(null, "", writeState(state));
  showState();
  if (!alike || again) run();
}

function showState() {
  bar.show(state.q);
  timeMenu.show(state);
  list.showWrap(state.wrap);
  for (const name of /** @type {const} */ (["live", "utc", "wrap"])) {
    byId(name).setAttribute("aria-pressed", String(state[name]));
  }
  document.title = state.q ? `${state.q} · Logs` : "Logs";
}

async function run() {
  listStands = false;
  byId("notice").hidden = true;
  live.stop();
  search.cancel();
  if (state.live) {
    const { from: _from, to: _to, ...followed } = searchParameters(state);
    await live.start(followed);
    if (!state.live) return;
  }
  await runSearch();
}

async function runSearch() {
  await search.run(searchParameters(state), bucketsFor(chart.width));
}

/** @param {SearchAnswer} answer */
function found(answer) {
  readAsText = Boolean(answer.as_text);
  bar.showReading(state.q, state.asText, answer);
  list.replace(answer.records, state.utc);
  listStands = true;
  if (scrollY > 0) scrollTo(0, 0);
  byId("empty").hidden = true;
  summary.found(answer, list.size, state.live);
  showEnd();
  if (answer.records.length === 0) showEmpty();
  else firstView = false;
  if (state.id && !list.reveal(state.id) && state.to) say("The linked record is not among these.");
  live.flush();
}

/** @param {SearchAnswer} answer */
function older(answer) {
  list.append(answer.records);
  summary.older(answer, list.size);
  showEnd();
}

/** @param {HistogramAnswer | null} answer */
function counted(answer) {
  countedAt = Date.now();
  chart.show(answer, state.utc);
  summary.counted(answer);
}

/** @param {Error} error */
function failed(error) {
  listStands = true;
  const refused = error instanceof ApiError && error.status === 400;
  if (refused && state.q) return bar.showError(state.q, error.answer);
  notice(error.message, element("button", { type: "button", click: () => run() }, "Try again"));
}

function showEnd() {
  const more = search.next !== null;
  const button = buttonById("older");
  button.hidden = !more;
  byId("end-note").textContent = more || list.size === 0 ? "" : "No older records in this range.";
  endSeen.unobserve(button);
  endSeen.observe(button);
}

const endSeen = new IntersectionObserver(
  (entries) => {
    if (entries.some((entry) => entry.isIntersecting)) search.older();
  },
  { rootMargin: "1200px" },
);

async function showEmpty() {
  const { signal } = search;
  try {
    const latest = firstView && !state.live && (await newest({}, signal));
    firstView = false;
    const from = latest ? presetFor(Date.now() - Date.parse(latest.time)) : state.from;
    if (from !== state.from) {
      go({ from }, { replace: true });
      return notice(
        `Nothing was logged in the last hour. Shown instead: ${rangeLabel(from, "", state.utc).toLowerCase()}.`,
      );
    }
    const findings = await investigate(state, signal);
    if (signal.aborted || list.size > 0) return;
    byId("empty").replaceChildren(
      ...explain(findings, state, {
        jump: (from, to) => go({ from, to, live: false }),
        drop: () => go({ q: "", asText: false }),
        live: () => go({ live: true }),
        copy: copyAndSay,
      }),
    );
    byId("empty").hidden = false;
  } catch (error) {
    if (!signal.aborted) failed(/** @type {Error} */ (error));
  }
}

/** @param {Taken} taken */
function arrived(taken) {
  list.insert(taken);
  scrollTo(0, 0);
  byId("empty").hidden = true;
  if (list.trim(MOST_LIVE_ROWS)) {
    search.next = null;
    showEnd();
    byId("end-note").textContent =
      "Older records were let go to keep the page light. A new search brings them back.";
  }
  if (Date.now() - countedAt < RECOUNT) return;
  countedAt = Date.now();
  search.recount(bucketsFor(chart.width));
}

/** Whether rows have to stay where they are. */
function readerReads() {
  return (
    !listStands || document.hidden || scrollY > 4 || list.hasOpen || !(getSelection()?.isCollapsed ?? true)
  );
}

function showLive() {
  const button = buttonById("live");
  button.dataset.connection = live.connection;
  button.textContent = { off: "Live", connecting: "Live", on: "Live", lost: "Lost" }[live.connection];
  button.title =
    live.connection === "lost" ? "The connection is lost; trying again" : "Follow new records ( . )";
  const waiting = live.pending.size;
  const pill = byId("pill");
  pill.hidden = waiting === 0 || !readerReads();
  pill.textContent = `↑ ${waiting.toLocaleString("en")} new`;
}

function toggleLive() {
  const endless = !state.to && (relative(state.from) !== null || state.from === "all");
  if (state.live || endless) go({ live: !state.live, id: "" }, { replace: true });
  else go({ live: true, id: "", from: "-15m", to: "" });
}

/** @param {(query: string, term: string) => string} change @param {string | null} wanted */
function filter(change, wanted) {
  if (wanted === null) return;
  // What was searched as text must stay text when it becomes part of a query.
  const query = state.q && (readAsText || state.asText) ? phrase(state.q) : state.q;
  go({ q: change(query, wanted), asText: false, id: "" });
}

/** @param {LogRecord} record */
function showTrace(record) {
  const at = Date.parse(record.time);
  const q = term("trace", record.trace_id ?? "");
  if (q) go({ q, asText: false, from: iso(at - AROUND), to: iso(at + AROUND), live: false, id: record.id });
}

/** @param {LogRecord} record */
function permalink(record) {
  const at = Date.parse(record.time);
  // The end is rounded up: the record's time has nanoseconds, `at` has not.
  const link = writeState({ ...state, from: iso(at - AROUND), to: iso(at + 1), live: false, id: record.id });
  return new URL(link, location.href).href;
}

/** @param {string} text @param {string} what */
async function copyAndSay(text, what) {
  say((await copy(text)) ? `${what} is copied.` : "The browser does not let this page copy.");
}

/** @param {1 | -1} step */
async function moveToError(step) {
  const isError = (/** @type {LogRecord} */ record) => record.level === "error";
  // Some pages further is as far as a key press should reach.
  for (let pages = 0; pages < 10; pages += 1) {
    if (list.move(step, isError)) return;
    if (step < 0 || search.next === null || search.busy) break;
    await search.older();
  }
  say(step > 0 ? "No error further down." : "No error further up.");
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
  byId("theme").setAttribute("aria-label", `Colours: ${theme()}`);
  byId("theme").title = `Colours: ${theme()}`;
}

const help = /** @type {HTMLDialogElement} */ (byId("help"));
byId("help-open").addEventListener("click", () => help.showModal());
byId("live").addEventListener("click", toggleLive);
byId("wrap").addEventListener("click", () => go({ wrap: !state.wrap }));
byId("utc").addEventListener("click", () => {
  go({ utc: !state.utc });
  list.showZone(state.utc);
  chart.showZone(state.utc);
});
byId("theme").addEventListener("click", () => {
  nextTheme();
  showTheme();
});
byId("older").addEventListener("click", () => search.older());
byId("pill").addEventListener("click", () => {
  list.closeAll();
  getSelection()?.removeAllRanges();
  scrollTo(0, 0);
  live.flush();
});
document.addEventListener("scroll", () => live.flush(), { passive: true });
document.addEventListener("visibilitychange", () => live.flush());
window.addEventListener("resize", () => chart.draw());
window.addEventListener("popstate", () => {
  const before = state;
  state = readState(location.search);
  showState();
  list.showZone(state.utc);
  chart.showZone(state.utc);
  if (!searchesAlike(before, state)) run();
});
listenForKeys({
  query: () => bar.focus(),
  move: (step) => list.move(step),
  error: moveToError,
  live: toggleLive,
  help: () => help.showModal(),
});
// The rows of the page one goes back to come from a new search: where it was scrolled to means nothing to them.
history.scrollRestoration = "manual";
showTheme();
showState();
run();

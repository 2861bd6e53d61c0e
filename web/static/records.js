/**
 * The records: what a search found as a list or, after a pipeline, as a table; the chart above it, the fields beside
 * it, and what comes in live on top. Knows the state by asking for it, and changes it only through `go`.
 *
 * @import { HistogramAnswer, LogRecord, SearchAnswer } from "./api.js"
 * @import { Taken } from "./pending.js"
 * @import { QueryBar } from "./query-bar.js"
 * @import { RecordActions } from "./record.js"
 * @import { State } from "./state.js"
 * @typedef {object} RecordsEvents
 * @property {() => State} state
 * @property {(change: Partial<State>, how?: { replace?: boolean }) => void} go
 * @property {() => void} run search again
 * @property {(words: string, action?: Node) => void} notice
 * @property {(words: string) => void} say
 * @property {(text: string, what: string) => void} copy
 * @property {(level: string) => void} level
 * @property {RecordActions} record
 */

import { ApiError } from "./api.js";
import { moved, toggled } from "./columns.js";
import { buttonById, byId, element } from "./element.js";
import { explain, investigate, newest } from "./empty.js";
import { FieldList } from "./field-list.js";
import { bucketsFor, Histogram } from "./histogram.js";
import { List } from "./list.js";
import { Live } from "./live.js";
import { soughtWords } from "./marks.js";
import { sortedBy, splitPipeline } from "./query-text.js";
import { recordView } from "./record.js";
import { Result } from "./result.js";
import { Search } from "./search.js";
import { searchParameters } from "./state.js";
import { Summary } from "./summary.js";
import { presetFor, rangeLabel, relative } from "./time.js";

/** A page that follows for days must not grow for days. */
const MOST_LIVE_ROWS = 2000;

/** How often the chart is counted anew while records come in. */
const RECOUNT = 10_000;

export class Records {
  /** @param {RecordsEvents} on @param {QueryBar} bar @param {boolean} firstView nobody has chosen a time yet */
  constructor(on, bar, firstView) {
    this.on = on;
    this.bar = bar;
    this.firstView = firstView;
    this.readAsText = false;
    this.countedAt = 0;
    /** The list shows what was asked for last; until then, what comes in live has to wait. */
    this.listStands = false;
    this.summary = new Summary();
    this.chart = new Histogram({
      narrow: (from, to) => on.go({ from, to, id: "", live: false }),
      level: on.level,
    });
    this.list = new List(byId("list"), {
      open: (record) => recordView(record, on.record),
      changed: (record) => {
        on.go({ id: record?.id ?? "" });
        this.live.flush();
      },
      move: (name, step) => on.go({ columns: moved(on.state().columns, name, step) }),
      remove: on.record.column,
    });
    this.fields = new FieldList({
      ...on.record,
      column: (name) => on.go({ columns: toggled(on.state().columns, name) }),
      close: () => {
        on.go({ fields: false });
        byId("fields-open").focus();
      },
    });
    this.result = new Result({
      chart: (chart) => on.go({ chart }),
      only: on.record.only,
      sort: (column) => on.go({ q: sortedBy(on.state().q, column) }),
      copy: on.copy,
    });
    this.search = new Search({
      running: (running) => {
        bar.showRunning(running);
      },
      found: (answer) => this.found(answer),
      painted: () => this.painted(),
      behind: () => this.fields.release(),
      older: (answer) => this.older(answer),
      counted: (answer) => this.counted(answer),
      failed: (error) => this.failed(error),
    });
    this.live = new Live({
      paused: () => this.readerReads(),
      show: (taken) => this.arrived(taken),
      changed: () => this.showLive(),
      late: () => this.runSearch(),
      restart: on.run,
    });
    this.endSeen = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) this.search.older();
      },
      { rootMargin: "1200px" },
    );
    this.listen();
  }

  listen() {
    byId("older").addEventListener("click", () => this.search.older());
    byId("fields-open").addEventListener("click", () => {
      const { fields } = this.on.state();
      this.on.go({ fields: !fields });
      if (!fields) byId("field-filter").focus();
    });
    byId("pill").addEventListener("click", () => {
      this.list.closeAll();
      getSelection()?.removeAllRanges();
      scrollTo(0, 0);
      this.live.flush();
    });
    document.addEventListener("scroll", () => this.live.flush(), { passive: true });
    document.addEventListener("visibilitychange", () => this.live.flush());
  }

  /** @param {State} state */
  async run(state) {
    this.stop();
    if (state.live && !splitPipeline(state.q).rest) {
      const { from: _from, to: _to, ...followed } = searchParameters(state);
      await this.live.start(followed);
      if (!this.on.state().live) return;
    }
    await this.runSearch();
  }

  async runSearch() {
    await this.search.run(searchParameters(this.on.state()), bucketsFor(this.chart.width));
  }

  /** The chart alone, for a view that shows no records. @param {State} state */
  async count(state) {
    this.stop();
    await this.search.chart(searchParameters(state), bucketsFor(this.chart.width));
  }

  stop() {
    this.live.stop();
    this.search.cancel();
    this.fields.hold();
    this.stands(false);
  }

  /** @param {boolean} stands what is shown is what was asked for last */
  stands(stands) {
    this.listStands = stands;
    for (const part of ["records", "summary"]) byId(part).setAttribute("aria-busy", String(!stands));
  }

  cancel() {
    this.search.cancel();
    this.fields.release();
    this.stands(true);
    this.summary.say("Cancelled.");
  }

  /** @param {State} state */
  showLook(state) {
    this.list.showLook(state);
    this.fields.show(state.fields, searchParameters({ ...state, q: splitPipeline(state.q).filter }));
    byId("fields-open").setAttribute("aria-pressed", String(state.fields));
    byId("records").classList.toggle("with-fields", state.fields);
    this.result.showLook(state);
    if (state.utc !== this.list.utc) {
      this.list.showZone(state.utc);
      this.chart.showZone(state.utc);
    }
  }

  /** @param {SearchAnswer} answer */
  found(answer) {
    const state = this.on.state();
    // Asked before anything changes: after that the browser would have to lay out the page for it.
    const scrolled = scrollY > 0;
    this.readAsText = Boolean(answer.as_text);
    this.bar.showReading(state.q, state.asText, answer);
    const { columns, rows } = answer;
    this.result.show(columns && rows ? { ...answer, columns, rows } : null, state);
    const records = columns ? [] : answer.records;
    // As long as only the first rows stand there, their end is near, and it is none.
    this.endSeen.disconnect();
    this.list.replace(records, state.utc, soughtWords(answer.read_as));
    this.stands(true);
    this.fields.see(records);
    if (scrolled) scrollTo(0, 0);
    byId("empty").hidden = true;
    this.summary.found(answer, columns ? null : this.list.size, state.live);
    if (columns) return;
    if (records.length === 0) this.showEmpty();
    else this.firstView = false;
    if (state.id && !this.list.reveal(state.id) && state.to) this.on.say("The linked record is not among these.");
    this.live.flush();
  }

  /** What nobody sees yet follows what one sees. */
  painted() {
    this.list.complete();
    this.showEnd();
  }

  /** @param {SearchAnswer} answer */
  async older(answer) {
    const drawn = this.list.append(answer.records);
    this.summary.found(answer, this.list.size, this.on.state().live);
    if (await drawn) this.showEnd();
  }

  /** @param {HistogramAnswer | null} answer */
  counted(answer) {
    this.countedAt = Date.now();
    this.chart.show(answer, this.on.state().utc);
    this.summary.counted(answer);
  }

  /** @param {Error} error */
  failed(error) {
    this.fields.release();
    this.stands(true);
    const { q } = this.on.state();
    const refused = error instanceof ApiError && error.status === 400;
    if (refused && q) return this.bar.showError(q, error.answer);
    const again = element("button", { type: "button", click: () => this.on.run() }, "Try again");
    this.on.notice(error.message, again);
  }

  showEnd() {
    const more = this.search.next !== null;
    const button = buttonById("older");
    button.hidden = !more;
    byId("end-note").textContent = more || this.list.size === 0 ? "" : "No older records in this range.";
    this.endSeen.unobserve(button);
    this.endSeen.observe(button);
  }

  async showEmpty() {
    const { signal } = this.search;
    const state = this.on.state();
    try {
      const latest = this.firstView && !state.live && (await newest({}, signal));
      this.firstView = false;
      const from = latest ? presetFor(Date.now() - Date.parse(latest.time)) : state.from;
      if (from !== state.from) {
        this.on.go({ from }, { replace: true });
        const shown = rangeLabel(from, "", state.utc).toLowerCase();
        return this.on.notice(`Nothing was logged in the last hour. Shown instead: ${shown}.`);
      }
      const findings = await investigate(state, signal);
      if (signal.aborted || this.list.size > 0) return;
      byId("empty").replaceChildren(
        ...explain(findings, state, {
          jump: (from, to) => this.on.go({ from, to, live: false }),
          drop: () => this.on.go({ q: "", asText: false, view: "records" }),
          live: () => this.on.go({ live: true }),
          copy: this.on.copy,
        }),
      );
      byId("empty").hidden = false;
    } catch (error) {
      if (!signal.aborted) this.failed(/** @type {Error} */ (error));
    }
  }

  /** @param {Taken} taken */
  arrived(taken) {
    this.list.insert(taken);
    scrollTo(0, 0);
    byId("empty").hidden = true;
    if (this.list.trim(MOST_LIVE_ROWS)) {
      this.search.next = null;
      this.showEnd();
      byId("end-note").textContent =
        "Older records were let go to keep the page light. A new search brings them back.";
    }
    if (Date.now() - this.countedAt < RECOUNT) return;
    this.countedAt = Date.now();
    this.search.recount(bucketsFor(this.chart.width));
  }

  /** Whether rows have to stay where they are. */
  readerReads() {
    return (
      !this.listStands ||
      document.hidden ||
      scrollY > 4 ||
      this.list.hasOpen ||
      !(getSelection()?.isCollapsed ?? true)
    );
  }

  showLive() {
    const button = buttonById("live");
    const { connection } = this.live;
    button.dataset.connection = connection;
    button.textContent = { off: "Live", connecting: "Live", on: "Live", lost: "Lost" }[connection];
    button.title =
      connection === "lost" ? "The connection is lost; trying again" : "Follow new records ( . )";
    const waiting = this.live.pending.size;
    const pill = byId("pill");
    pill.hidden = waiting === 0 || !this.readerReads();
    pill.textContent = `↑ ${waiting.toLocaleString("en")} new`;
  }

  toggleLive() {
    const state = this.on.state();
    const endless = !state.to && (relative(state.from) !== null || state.from === "all");
    const view = "records";
    if (state.live || endless) this.on.go({ view, live: !state.live, id: "" }, { replace: state.view === view });
    else this.on.go({ view, live: true, id: "", from: "-15m", to: "" });
  }

  /** @param {1 | -1} step */
  async moveToError(step) {
    const isError = (/** @type {LogRecord} */ record) => record.level === "error";
    // Some pages further is as far as a key press should reach.
    for (let pages = 0; pages < 10; pages += 1) {
      if (this.list.move(step, isError)) return;
      if (step < 0 || this.search.next === null || this.search.paging) break;
      await this.search.older();
    }
    this.on.say(step > 0 ? "No error further down." : "No error further up.");
  }
}

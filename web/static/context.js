/**
 * What happened around a record: its neighbours in the same process, the same service, everywhere, or in its trace.
 *
 * @import { LogRecord, SearchAnswer } from "./api.js"
 * @import { RecordActions } from "./record.js"
 * @import { Scope, State } from "./state.js"
 */

import { ApiError, context, trace } from "./api.js";
import { Asking } from "./asking.js";
import { byId, element, text } from "./element.js";
import { List } from "./list.js";
import { recordView } from "./record.js";
import { AROUND_MOST } from "./state.js";
import { sortKey } from "./time.js";

const SCOPES = /** @type {[Scope, string][]} */ ([
  ["boot", "Same process"],
  ["service", "Same service"],
  ["all", "Everything"],
  ["trace", "Same trace"],
]);

export class Context {
  /**
   * @param {object} on
   * @param {RecordActions} on.record
   * @param {(change: Partial<State>) => void} on.go
   * @param {(running: boolean) => void} on.running
   * @param {(error: Error) => void} on.failed
   */
  constructor(on) {
    this.on = on;
    this.root = byId("context");
    this.head = byId("context-head");
    this.list = new List(byId("context-list"), {
      open: (record) => recordView(record, on.record),
      changed: () => {},
      move: () => {},
      remove: on.record.column,
    });
    this.asking = new Asking({ running: on.running, failed: (error) => this.failed(error) });
    /** @type {LogRecord | null} */
    this.center = null;
  }

  stop() {
    this.asking.stop();
  }

  /** @param {State} state */
  async run(state) {
    this.drawHead(state);
    await this.asking.run(async (signal) => {
      const { records, partial } = await this.ask(state, signal);
      if (signal.aborted) return;
      this.center = records.find(({ id }) => id === state.id) ?? null;
      this.drawHead(state, partial);
      this.list.replace(records, state.utc);
      this.list.mark(state.id);
    });
  }

  /** @param {Error} error */
  failed(error) {
    const gone = error instanceof ApiError && error.status === 404;
    if (gone) this.list.replace([], this.list.utc);
    this.on.failed(error);
  }

  /** @param {State} state @param {AbortSignal} signal @returns {Promise<SearchAnswer>} */
  async ask(state, signal) {
    const { id, scope, around } = state;
    const side = String(around);
    if (scope !== "trace") return await context(id, { scope, before: side, after: side }, signal);
    const alone = await context(id, { scope: "all", before: "1", after: "1" }, signal);
    const center = alone.records.find((record) => record.id === id);
    if (center?.trace_id === undefined) return alone;
    const whole = await trace(center.trace_id, signal);
    const records = [...whole.records].sort((one, other) =>
      sortKey(one.time) < sortKey(other.time) ? 1 : -1,
    );
    const at = records.findIndex((record) => record.id === id);
    return { ...whole, records: records.slice(Math.max(0, at - around), at + around + 1) };
  }

  /** @param {State} state @param {string | null} [partial] */
  drawHead(state, partial = null) {
    const scopes = SCOPES.map(([scope, words]) =>
      element(
        "button",
        {
          type: "button",
          "aria-pressed": String(scope === state.scope),
          // A record without a trace has nothing around it there.
          disabled: scope === "trace" && this.center !== null && this.center.trace_id === undefined,
          click: () => this.on.go({ scope }),
        },
        words,
      ),
    );
    const step = (/** @type {string} */ words, /** @type {number} */ around) =>
      element("button", { type: "button", disabled: around > AROUND_MOST || around < 5, click: () => this.on.go({ around }) }, words);
    this.head.replaceChildren(
      element("h2", {}, "Around one record"),
      element("div", { class: "choices", role: "group", "aria-label": "Whose records" }, ...scopes),
      element(
        "div",
        { class: "choices", role: "group", "aria-label": "How many" },
        step("Fewer", Math.ceil(state.around / 2)),
        element("span", { class: "muted" }, `± ${state.around}`),
        step("More", state.around * 2),
      ),
      element("button", { type: "button", click: () => this.on.go({ view: "records", scope: "boot" }) }, "Back to the search"),
      ...(partial === null ? [] : [element("span", { class: "partial" }, "Partial: ", text(partial))]),
    );
  }

  /** @param {State} state */
  showLook(state) {
    this.list.showLook(state);
  }
}

/**
 * One request across services: a tree in cause order, each span with its time in the queue apart from its time at
 * work, and the records it wrote.
 *
 * @import { LogRecord } from "./api.js"
 * @import { RecordActions } from "./record.js"
 * @import { Span, Tree } from "./trace-tree.js"
 * @import { State } from "./state.js"
 */

import { trace } from "./api.js";
import { Asking } from "./asking.js";
import { byId, element, text } from "./element.js";
import { letter, levelClass } from "./levels.js";
import { recordView } from "./record.js";
import { duration, stamp } from "./time.js";
import { moment, severest, traceTree } from "./trace-tree.js";
import { valueText } from "./value.js";

/** Fields of a span that are shown beside its name. */
const FIELDS_SHOWN = 4;

export class TraceView {
  /**
   * @param {object} on
   * @param {RecordActions} on.record
   * @param {(from: string, to: string) => void} on.records asks for the same as a list
   * @param {(running: boolean) => void} on.running
   * @param {(error: Error) => void} on.failed
   */
  constructor(on) {
    this.on = on;
    this.root = byId("trace");
    this.asking = new Asking(on);
    /** @type {Tree} */
    this.tree = { start: 0, end: 0, roots: [] };
  }

  stop() {
    this.asking.stop();
  }

  /** @param {State} state */
  async run(state) {
    await this.asking.run(async (signal) => {
      const answer = await trace(state.trace, signal);
      if (!signal.aborted) this.draw(answer.records, answer.partial, state);
    });
  }

  /** @param {LogRecord[]} records @param {string | null} partial @param {State} state */
  draw(records, partial, state) {
    if (records.length === 0) {
      this.root.replaceChildren(
        element("div", { class: "empty" }, element("h2", {}, "No record has this trace"), text(state.trace)),
      );
      return;
    }
    this.tree = traceTree(records);
    const { start, end, roots } = this.tree;
    const services = new Set(records.map(({ service }) => service));
    const words = [
      `${duration(end - start)}`,
      `${records.length.toLocaleString("en")} records`,
      `${services.size} ${services.size === 1 ? "service" : "services"}`,
      stamp(start, state.utc).slice(0, 23),
    ];
    const asRecords = () => this.on.records(records[0].time, records[records.length - 1].time);
    this.root.replaceChildren(
      element(
        "div",
        { class: "view-head" },
        element("h2", {}, "Trace ", element("code", {}, text(state.trace))),
        element("span", { class: "muted" }, words.join(" · ")),
        partial === null ? null : element("span", { class: "partial" }, "Partial: ", text(partial)),
        element("button", { type: "button", click: asRecords }, "As a list of records"),
      ),
      element("ol", { class: "spans" }, ...roots.map((root) => this.span(root, 0, state))),
    );
    this.root.querySelector(".linked")?.scrollIntoView({ block: "center" });
  }

  /** @param {Span} span @param {number} depth @param {State} state @returns {HTMLLIElement} */
  span(span, depth, state) {
    const shift = span.shift > 0.5 && `its clock is ${duration(span.shift)} behind its caller's`;
    const head = element(
      "div",
      { class: `span ${levelClass(severest(span))}` },
      element(
        "div",
        { class: "span-name" },
        element("b", {}, text(span.service || "?")),
        element("span", {}, span.name ? text(span.name) : "(no span)"),
        ...fieldsOf(span),
        shift ? element("span", { class: "partial" }, shift) : null,
      ),
      this.bar(span),
    );
    head.style.setProperty("--depth", String(Math.min(depth, 12)));
    const inside = [
      ...span.records.map((record) => ({ at: moment(record.time) + span.shift, made: () => this.record(record, depth + 1, state) })),
      ...span.children.map((child) => ({ at: child.start, made: () => this.span(child, depth + 1, state) })),
    ].sort((one, other) => one.at - other.at);
    return element("li", {}, head, element("ol", {}, ...inside.map(({ made }) => made())));
  }

  /** @param {Span} span */
  bar({ start, end, wait, records }) {
    const all = Math.max(this.tree.end - this.tree.start, 0.001);
    const percent = (/** @type {number} */ ms) => `${Math.max(0, Math.min(100, (ms / all) * 100))}%`;
    const waited = wait ?? 0;
    const track = element("span", { class: "span-track", "aria-hidden": "true" });
    if (waited > 0) {
      const queue = element("i", { class: "span-wait" });
      queue.style.left = percent(start - waited - this.tree.start);
      queue.style.width = percent(Math.min(waited, start - this.tree.start || waited));
      track.append(queue);
    }
    const run = element("i", { class: "span-run" });
    run.style.left = percent(start - this.tree.start);
    run.style.width = percent(end - start);
    track.append(run);
    const took = end - start > 0 || records.length > 1 ? duration(end - start) : "";
    const said = [waited >= 0.05 && `${duration(waited)} in the queue`, took].filter(Boolean).join(" + ");
    return element("div", { class: "span-time" }, track, element("span", { class: "span-took" }, said));
  }

  /** @param {LogRecord} record @param {number} depth @param {State} state */
  record(record, depth, state) {
    const at = moment(record.time) - this.tree.start;
    const head = element(
      "div",
      { class: "row", role: "button", tabindex: "0", "aria-expanded": "false" },
      element("span", { class: "offset", title: record.time }, `+${duration(Math.max(0, at))}`),
      element("span", { class: "level", role: "img", title: record.level, "aria-label": record.level }, letter(record.level)),
      element("span", { class: "message" }, text((record.message ?? "").slice(0, 500))),
    );
    head.style.setProperty("--depth", String(Math.min(depth, 12)));
    const linked = record.id === state.id;
    const item = element("li", { class: `${levelClass(record.level)}${linked ? " linked" : ""}` }, head);
    const toggle = () => {
      const open = item.classList.toggle("open");
      head.setAttribute("aria-expanded", String(open));
      if (open) item.append(recordView(record, this.on.record));
      else item.lastElementChild?.remove();
    };
    head.addEventListener("click", toggle);
    head.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
    return item;
  }
}

/** @param {Span} span */
function fieldsOf({ fields }) {
  const shown = Object.entries(fields).slice(0, FIELDS_SHOWN);
  return shown.map(([name, value]) =>
    element("span", { class: "muted" }, text(`${name}=${valueText(value).slice(0, 60)}`)),
  );
}

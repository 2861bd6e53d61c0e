/**
 * What a pipeline made of the records: as a table, as bars, or as lines over time, whichever is chosen.
 *
 * @import { Column, Table, TableAnswer, Value } from "./api.js"
 * @import { State } from "./state.js"
 * @import { Timeline } from "./series.js"
 */

import { byId, element, text } from "./element.js";
import { LEVELS, levelClass } from "./levels.js";
import { sortedBy, sorting, term } from "./query-text.js";
import {
  cellText,
  csv,
  isTimeline,
  readable,
  marks,
  rowBars,
  SERIES_MOST,
  stackedHighest,
  suits,
  timeline,
} from "./series.js";
import { svg } from "./svg.js";
import { stamp, ticks } from "./time.js";

/** Rows of a table that are drawn; the export has the rest. */
const ROWS_MOST = 2000;

export class Result {
  /**
   * @param {object} on
   * @param {(chart: State["chart"]) => void} on.chart
   * @param {(term: string) => void} on.only
   * @param {(column: Column) => void} on.sort
   * @param {(text: string, what: string) => void} on.copy
   */
  constructor(on) {
    this.on = on;
    this.root = byId("result");
    /** @type {Table | null} */
    this.table = null;
    /** As it is drawn. @type {State["chart"]} */
    this.chart = "";
    this.q = "";
    this.utc = false;
  }

  /** @param {TableAnswer | null} answer null if the records themselves were asked for @param {State} state */
  show(answer, state) {
    this.table = answer;
    this.root.hidden = answer === null;
    if (answer) this.draw(state);
  }

  /** @param {State} state */
  showLook(state) {
    // Thousands of rows are not drawn anew because of something else.
    if (state.chart !== this.chart || state.utc !== this.utc) this.draw(state);
  }

  /** @param {State} state */
  draw({ q, chart, utc }) {
    const { table } = this;
    if (!table) return;
    this.q = q;
    this.chart = chart;
    this.utc = utc;
    const choices = /** @type {const} */ (["table", "bars", "lines"]);
    const possible = choices.filter((each) => each === "table" || (each === "bars" ? suits(table) !== "table" : isTimeline(table)));
    const shown = possible.find((each) => each === chart) ?? suits(table);
    const tools = element(
      "div",
      { class: "result-tools", role: "group", "aria-label": "Shown as" },
      ...(possible.length > 1 ? possible : []).map((each) =>
        element(
          "button",
          { type: "button", "aria-pressed": String(each === shown), click: () => this.on.chart(each) },
          { table: "Table", bars: "Bars", lines: "Lines" }[each],
        ),
      ),
      element("button", { type: "button", click: () => this.on.copy(csv(table), "The table") }, "Copy as CSV"),
    );
    const rows = table.rows.length;
    const left = Number(table.left_out ?? 0);
    const notes = [
      `${rows.toLocaleString("en")} ${rows === 1 ? "row" : "rows"}`,
      left > 0 && `${left.toLocaleString("en")} more are not shown`,
      table.capped && "there are more groups than are told apart, so rare ones are missing",
    ];
    const short = table.capped || left > 0;
    tools.append(element("span", { class: short ? "partial" : "muted" }, notes.filter(Boolean).join(": ")));
    this.root.replaceChildren(tools, ...this.drawn(shown, table));
  }

  /** @param {"table" | "bars" | "lines"} shown @param {Table} table @returns {Node[]} */
  drawn(shown, table) {
    if (table.rows.length === 0) return [element("p", { class: "empty muted" }, "Nothing to show.")];
    if (shown === "table") return [this.grid(table)];
    if (!isTimeline(table)) return [horizontal(table)];
    return [...this.overTime(timeline(table), shown)];
  }

  /** @param {Table} table */
  grid(table) {
    const rows = table.rows.slice(0, ROWS_MOST);
    return element(
      "div",
      { class: "grid-scroll", tabindex: "0", role: "region", "aria-label": "Table" },
      element(
        "table",
        { class: "grid" },
        element("thead", {}, element("tr", {}, ...table.columns.map((column) => this.headCell(column)))),
        element(
          "tbody",
          {},
          ...rows.map((row) => element("tr", {}, ...row.map((value, at) => this.cell(table.columns[at], value)))),
        ),
      ),
      rows.length < table.rows.length && element("p", { class: "muted" }, "More rows are in the copy."),
    );
  }

  /** @param {Column} column */
  headCell(column) {
    // Turned round, it would be sorted by this column as it is now.
    const now = sorting(this.q);
    const sorted = now.column !== "" && sorting(sortedBy(this.q, column)).column === now.column;
    const click = () => this.on.sort(column);
    return element(
      "th",
      {
        scope: "col",
        class: column.kind === "number" ? "number" : undefined,
        "aria-sort": sorted ? (now.descending ? "descending" : "ascending") : undefined,
      },
      element("button", { type: "button", class: "sort", title: "Sort by it", click }, text(column.name)),
    );
  }

  /** @param {Column} column @param {Value} value */
  cell(column, value) {
    const shown = cellText(value);
    if (column.kind === "number")
      return element("td", { class: "number", title: shown }, shown === "" ? "" : readable(Number(shown)));
    if (column.kind === "time")
      return element("td", { class: "time", title: shown }, stamp(Date.parse(shown), this.utc).replace(/\.000$/, "") || text(shown));
    const wanted = shown === "" ? null : term(column.name, shown);
    const level = column.kind === "level" ? levelClass(shown) : undefined;
    if (value === null) return element("td", { class: "muted" }, "(none)");
    if (wanted === null) return element("td", { class: level }, text(shown));
    const click = () => this.on.only(wanted);
    return element(
      "td",
      { class: level },
      element("button", { type: "button", class: "cell-link", title: `Only ${wanted}`, click }, text(shown)),
    );
  }

  /** @param {Timeline} drawn @param {"bars" | "lines"} shown */
  *overTime(drawn, shown) {
    const { times, series, step, all } = drawn;
    const [from, to] = [times[0], times[times.length - 1] + step];
    const highest = (shown === "bars" ? stackedHighest(drawn) : drawn.highest) || 1;
    const lowest = shown === "bars" ? 0 : drawn.lowest;
    const y = (/** @type {number} */ value) => 1 - (value - lowest) / (highest - lowest);
    const drawing = svg("svg", { viewBox: `0 0 ${times.length} 1`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const x = (/** @type {number} */ at) => ((times[at] - from) / (to - from)) * times.length;
    if (shown === "bars") drawing.append(...stackedBars(drawn, x, highest));
    else {
      // What was counted from one moment to the next stands between them.
      const middle = (/** @type {number} */ at) => x(at) + 0.5;
      drawing.append(...series.map((each, at) => line(each.values, at, each.name, middle, y)));
    }
    const plot = element("div", { class: `timeline-plot ${shown}` });
    const tip = element("div", { class: "tip", role: "status", hidden: true });
    const axis = element("div", { class: "axis", "aria-hidden": "true" });
    for (const { at, label } of ticks(from, to - (to - from) / 20, 8, this.utc)) {
      const mark = element("span", {}, label);
      mark.style.left = `${((at - from) / (to - from)) * 100}%`;
      axis.append(mark);
    }
    // At the bottom stands the axis.
    const seen = marks(lowest, highest).filter((value) => y(value) < 0.95);
    const levels = seen.map((value) => {
      const level = element("span", { class: "level-line" }, readable(value));
      level.style.top = `calc(16px + (100% - 16px) * ${y(value)})`;
      return level;
    });
    plot.append(...levels, drawing, tip);
    plot.addEventListener("pointermove", (event) => this.point(event, plot, tip, drawn));
    plot.addEventListener("pointerleave", () => (tip.hidden = true));
    const legend = series.map(({ name }, at) =>
      element("li", { class: seriesClass(name, at) }, element("i", { class: "swatch" }), text(name)),
    );
    yield element("div", { class: "timeline" }, plot, axis);
    yield element("ul", { class: `series-names ${shown}` }, ...legend);
    if (all > SERIES_MOST)
      yield element("p", { class: "muted" }, `The ${SERIES_MOST} largest of ${all} series; the table has all.`);
  }

  /** @param {PointerEvent} event @param {HTMLElement} plot @param {HTMLElement} tip @param {Timeline} drawn */
  point(event, plot, tip, { times, step, series }) {
    const box = plot.getBoundingClientRect();
    const [from, to] = [times[0], times[times.length - 1] + step];
    const moment = from + ((event.clientX - box.left) / box.width) * (to - from);
    const at = Math.max(0, times.findLastIndex((time) => time <= moment));
    tip.hidden = false;
    tip.replaceChildren(
      element("div", { class: "tip-time" }, stamp(times[at], this.utc).slice(5, 19)),
      ...series.map(({ name, values }, place) =>
        element(
          "div",
          { class: `tip-level ${seriesClass(name, place)}` },
          element("i", { class: "swatch" }),
          text(name),
          element("b", {}, values[at] === null ? "–" : readable(values[at])),
        ),
      ),
    );
    const left = ((times[at] - from) / (to - from)) * box.width;
    tip.style.left = `${Math.max(0, Math.min(left + 12, box.width - tip.offsetWidth))}px`;
  }
}

/** Levels have their own colours. @param {string} name @param {number} at */
function seriesClass(name, at) {
  return LEVELS.includes(name) ? levelClass(name) : `series-${at % 8}`;
}

/**
 * @param {(number | null)[]} values @param {number} at @param {string} name
 * @param {(at: number) => number} x @param {(value: number) => number} y
 */
function line(values, at, name, x, y) {
  let path = "";
  values.forEach((value, place) => {
    if (value === null) return;
    // After a hole the line begins anew.
    path += `${(values[place - 1] ?? null) === null ? "M" : "L"}${x(place).toFixed(3)} ${y(value).toFixed(4)}`;
    // A value with a hole on both sides would have no length, and be invisible.
    if ((values[place - 1] ?? null) === null && (values[place + 1] ?? null) === null) path += "h0.2";
  });
  return svg("path", { d: path, class: `line ${seriesClass(name, at)}` });
}

/** @param {Timeline} drawn @param {(at: number) => number} x @param {number} highest */
function* stackedBars({ times, series }, x, highest) {
  for (const at of times.keys()) {
    let base = 0;
    for (const [place, { name, values }] of series.entries()) {
      const height = Math.max(0, values[at] ?? 0) / highest;
      base += height;
      if (height > 0)
        yield svg("rect", { x: x(at) + 0.06, width: 0.86, y: 1 - base, height, class: seriesClass(name, place) });
    }
  }
}

/** @param {Table} table */
function horizontal(table) {
  return element(
    "ol",
    { class: "row-bars" },
    ...rowBars(table).map(({ label, value, part }) => {
      const bar = element("span", { class: "row-bar", "aria-hidden": "true" });
      bar.style.width = `${part * 100}%`;
      return element(
        "li",
        {},
        element("span", { class: "row-bar-label", title: label.slice(0, 300) }, label === "" ? "(none)" : text(label)),
        element("span", { class: "row-bar-track" }, bar),
        element("b", {}, readable(value)),
      );
    }),
  );
}

/**
 * The records, newest first, one row each. Promises that a record is in the list once, that the order holds to the
 * nanosecond when live records come late, and that a row opens in place. What stands between level and message is
 * chosen by name. Knows neither the network nor the URL.
 *
 * Each page of an answer is a list of its own, because the browser skips what is out of sight page by page: asked
 * to skip row by row, it spends eight times as long on a frame at ten thousand rows as with nothing to skip.
 *
 * @import { LogRecord } from "./api.js"
 * @import { Taken } from "./pending.js"
 * @typedef {{ record: LogRecord, key: string, head: HTMLElement }} Row
 */

import { columnText, columnWidth, pairs } from "./columns.js";
import { element, text } from "./element.js";
import { letter, levelClass } from "./levels.js";
import { mark } from "./marks.js";
import { rowTime, sortKey } from "./time.js";

/** A row is a glance; what is longer stands whole in the open record. */
export const GLANCE = 1500;

/** What a row has without anybody having chosen: then names above the columns are not needed. */
const DEFAULT_COLUMNS = "service";

/** Rows by which the width of columns is chosen. */
const SAMPLE = 200;

/** Rows that come at once and are tinted for a moment: of more, the whole screen would never be anything but tinted. */
const TINTED = 10;

/** Rows of a next page that are drawn in one frame: a whole page takes three, and whoever scrolls sees that. */
const SLICE = 12;

/** Pixels: the lowest that a row is, and what always stands above the list. */
const LOWEST_ROW = 17;
const ROW = 22;
const ABOVE = 200;

export class List {
  /**
   * @param {HTMLElement} root
   * @param {object} on
   * @param {(record: LogRecord) => Element} on.open makes what an open row shows
   * @param {(record: LogRecord | null) => void} on.changed a row was opened, or closed (null)
   * @param {(name: string, step: 1 | -1) => void} on.move a column
   * @param {(name: string) => void} on.remove a column
   */
  constructor(root, on) {
    this.on = on;
    this.root = root;
    this.root.classList.add("list");
    this.header = element("div", { class: "column-names", hidden: true });
    this.root.before(this.header);
    /** @type {string[]} */
    this.columns = [DEFAULT_COLUMNS];
    /** @type {WeakMap<Element, Row>} */
    this.rows = new WeakMap();
    /** @type {Map<string, HTMLLIElement>} */
    this.items = new Map();
    this.utc = false;
    /** @type {string[]} */
    this.sought = [];
    /** Below what one sees, and not drawn yet. @type {LogRecord[]} */
    this.below = [];
    this.root.addEventListener("click", (event) => this.clicked(event));
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("focusin", (event) => this.focused(event));
  }

  get size() {
    return this.items.size + this.below.length;
  }

  get hasOpen() {
    return this.root.querySelector(".open") !== null;
  }

  /**
   * Draws what one sees of them; the others when `complete` is called, or one of them is wanted. Making and laying out
   * a hundred rows takes three times as long as the thirty that a screen holds.
   * @param {LogRecord[]} records @param {boolean} utc @param {string[]} [sought] words to mark
   */
  replace(records, utc, sought = []) {
    this.utc = utc;
    this.sought = sought;
    this.items.clear();
    this.root.replaceChildren();
    const seen = Math.ceil((innerHeight - ABOVE) / (this.root.classList.contains("dense") ? LOWEST_ROW : ROW));
    this.below = [...records];
    if (records.length > 0) this.root.append(element("ol", { class: "page" }));
    this.draw(seen);
    this.fit(records);
  }

  /** Draws what was left for later. */
  complete() {
    this.draw(this.below.length);
  }

  /**
   * The next page, a few rows each frame.
   * @param {LogRecord[]} records newest first, none newer than those in the list
   * @returns {Promise<boolean>} once all of it is drawn; false if something else stands in the list by then
   */
  async append(records) {
    this.complete();
    const below = records.filter(({ id }) => !this.items.has(id));
    if (below.length > 0) this.root.append(element("ol", { class: "page" }));
    this.below = below;
    while (this.below === below && below.length > 0) {
      this.draw(SLICE);
      await new Promise(requestAnimationFrame);
    }
    return this.below === below;
  }

  /** Draws the first of what is left. @param {number} count */
  draw(count) {
    const records = this.below.splice(0, count).filter(({ id }) => !this.items.has(id));
    this.root.lastElementChild?.append(...records.map((record) => this.item(record)));
    this.tabStop();
  }

  /** What came in live. @param {Taken} taken */
  insert({ records, skipped, uncounted }) {
    this.complete();
    if (!this.root.firstElementChild) this.root.append(element("ol", { class: "page" }));
    if (skipped > 0 || uncounted) this.root.firstElementChild?.prepend(gap(skipped, uncounted));
    for (const record of records) {
      if (this.items.has(record.id)) continue;
      const item = this.item(record);
      if (records.length <= TINTED) item.classList.add("fresh");
      const older = this.firstOlder(sortKey(record.time));
      if (older) older.before(item);
      else this.root.lastElementChild?.append(item);
    }
    this.tabStop();
  }

  /** Lets the oldest rows go. @param {number} most @returns {boolean} whether there were any */
  trim(most) {
    const excess = this.items.size - most;
    while (this.items.size > most) {
      const page = this.root.lastElementChild;
      const item = page?.lastElementChild;
      const row = item && this.rows.get(item);
      if (row) this.items.delete(row.record.id);
      (item ?? page)?.remove();
    }
    return excess > 0;
  }

  /** @param {boolean} utc */
  showZone(utc) {
    this.complete();
    this.utc = utc;
    for (const item of this.items.values()) {
      const row = this.rows.get(item);
      const time = item.querySelector("time");
      if (row && time) time.textContent = rowTime(row.record.time, utc);
    }
  }

  /** @param {{ wrap: boolean, dense: boolean, bare: boolean, columns: string[] }} look */
  showLook({ wrap, dense, bare, columns }) {
    this.root.classList.toggle("wrap", wrap);
    this.root.classList.toggle("bare", bare);
    for (const part of [this.root, this.header]) part.classList.toggle("dense", dense);
    if (columns.join() === this.columns.join()) return;
    this.complete();
    this.columns = columns;
    for (const item of this.items.values()) {
      const row = this.rows.get(item);
      if (!row) continue;
      row.head.replaceChildren(...this.cells(row.record));
      mark(row.head, this.sought);
    }
    this.fit([...this.items.values()].flatMap((item) => this.rows.get(item)?.record ?? []));
  }

  /** Columns as wide as what stands in them, and their names above them. @param {LogRecord[]} records */
  fit(records) {
    const isDefault = this.columns.join() === DEFAULT_COLUMNS;
    // The one that is always there keeps its width: nothing moves from search to search.
    const widths = isDefault ? [13] : this.columns.map((name) => columnWidth(name, records.slice(0, SAMPLE)));
    const template = ["18ch", "2ch", ...widths.map((width) => `${width}ch`), "minmax(0, 1fr)"].join(" ");
    for (const part of [this.root, this.header]) part.style.setProperty("--template", template);
    this.header.hidden = isDefault;
    if (isDefault) return;
    this.header.replaceChildren(
      element("span", {}, "time"),
      element("span", {}),
      ...this.columns.map((name, at) => this.columnName(name, at)),
      element("span", {}, "message"),
    );
  }

  /** @param {string} name @param {number} at */
  columnName(name, at) {
    const button = (/** @type {string} */ sign, /** @type {string} */ what, /** @type {() => void} */ act) =>
      element("button", { type: "button", title: what, "aria-label": what, click: act }, sign);
    return element(
      "span",
      { class: "column-name" },
      // A button, so that a finger finds the tools too.
      element("button", { type: "button", class: "column-text", title: name }, text(name)),
      element(
        "span",
        { class: "column-tools" },
        at > 0 && button("‹", `Move ${name} to the left`, () => this.on.move(name, -1)),
        at < this.columns.length - 1 && button("›", `Move ${name} to the right`, () => this.on.move(name, 1)),
        button("✕", `Remove column ${name}`, () => this.on.remove(name)),
      ),
    );
  }

  /** Marks this record and brings it into the middle. @param {string} id */
  mark(id) {
    this.complete();
    const item = this.items.get(id);
    item?.classList.add("linked");
    item?.scrollIntoView({ block: "center" });
  }

  /** Opens this record and brings it into view. @param {string} id @returns {boolean} whether it is here */
  reveal(id) {
    this.complete();
    const item = this.items.get(id);
    if (!item) return false;
    this.toggle(item, true);
    item.classList.add("linked");
    this.rows.get(item)?.head.focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest" });
    return true;
  }

  /**
   * Goes to the next row that passes, from the one with the focus.
   * @param {1 | -1} step
   * @param {(record: LogRecord) => boolean} passes
   */
  move(step, passes = () => true) {
    this.complete();
    const current = this.root.querySelector("li:focus-within");
    let item = current ? sibling(current, step) : this.firstInView();
    while (item) {
      const row = this.rows.get(item);
      if (row && passes(row.record)) {
        row.head.focus({ preventScroll: true });
        item.scrollIntoView({ block: "nearest" });
        return true;
      }
      item = sibling(item, step);
    }
    return false;
  }

  closeAll() {
    for (const item of this.root.querySelectorAll(".open")) this.toggle(item, false);
  }

  /** @param {string} key */
  firstOlder(key) {
    let item = this.root.querySelector("li");
    while (item) {
      const row = this.rows.get(item);
      if (row && row.key <= key) break;
      item = sibling(item, 1);
    }
    return item;
  }

  firstInView() {
    const top = document.querySelector(".bar")?.getBoundingClientRect().bottom ?? 0;
    for (const item of this.items.values()) {
      if (item.getBoundingClientRect().top >= top) return item;
    }
    return null;
  }

  /** One row is always reachable with the Tab key. */
  tabStop() {
    if (this.root.querySelector('[tabindex="0"]')) return;
    this.root.querySelector(".row")?.setAttribute("tabindex", "0");
  }

  /** @param {LogRecord} record */
  item(record) {
    const lost = record.flags?.includes("lost") ?? false;
    const head = element(
      "div",
      { class: "row", role: "button", tabindex: "-1", "aria-expanded": "false" },
      ...this.cells(record),
    );
    const item = element("li", { class: `${levelClass(record.level)}${lost ? " loss" : ""}` }, head);
    this.rows.set(item, { record, key: sortKey(record.time), head });
    this.items.set(record.id, item);
    mark(head, this.sought);
    return item;
  }

  /** @param {LogRecord} record */
  cells(record) {
    const message = record.message ?? "";
    const cut = message.length > GLANCE;
    const lost = record.flags?.includes("lost") ?? false;
    const beside = pairs(record, this.columns);
    const told = lost ? "records that were lost" : record.level;
    return [
      element("time", { datetime: record.time, title: record.time }, rowTime(record.time, this.utc)),
      element(
        "span",
        { class: "level", role: "img", title: told, "aria-label": told },
        lost ? "×" : letter(record.level),
      ),
      ...this.columns.map((name) =>
        element("span", { class: name === "service" ? "service" : "cell" }, text(columnText(record, name))),
      ),
      element(
        "span",
        { class: "said" },
        element("span", { class: "message" }, ...lines(cut ? message.slice(0, GLANCE) : message), cut ? "…" : null),
        beside !== "" && element("span", { class: "pairs" }, text(beside)),
      ),
    ];
  }

  /** @param {Element} item @param {boolean} open */
  toggle(item, open) {
    const row = this.rows.get(item);
    if (!row || item.classList.contains("open") === open) return;
    item.classList.toggle("open", open);
    row.head.setAttribute("aria-expanded", String(open));
    if (open) {
      mark(item.appendChild(this.on.open(row.record)), this.sought);
    } else item.lastElementChild?.remove();
    this.on.changed(open ? row.record : null);
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    const head = event.target instanceof Element ? event.target.closest(".row") : null;
    if (!head?.parentElement) return;
    // Marking text to copy it ends in a click too.
    const selection = getSelection();
    if (selection && !selection.isCollapsed && selection.containsNode(head, true)) return;
    this.toggle(head.parentElement, !head.parentElement.classList.contains("open"));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const item = event.target instanceof Element ? event.target.closest(".page > li") : null;
    if (!item) return;
    const onHead = event.target === this.rows.get(item)?.head;
    if (onHead && (event.key === "Enter" || event.key === " "))
      this.toggle(item, !item.classList.contains("open"));
    else if (event.key === "Escape" && item.classList.contains("open")) {
      this.rows.get(item)?.head.focus();
      this.toggle(item, false);
    } else return;
    event.preventDefault();
  }

  /** @param {FocusEvent} event */
  focused(event) {
    if (!(event.target instanceof Element) || !event.target.matches(".row")) return;
    this.root.querySelector('.row[tabindex="0"]')?.setAttribute("tabindex", "-1");
    event.target.setAttribute("tabindex", "0");
  }
}

/**
 * Line breaks as a sign and a break: a closed row shows the one, an open one the other.
 * @param {string} message
 */
function lines(message) {
  return message.split("\n").flatMap((line, at) => {
    if (at === 0) return [text(line)];
    return [
      element("span", { class: "break-sign" }, "↵"),
      element("span", { class: "break" }, "\n"),
      text(line),
    ];
  });
}

/**
 * The row beside this one, be it on another page.
 * @param {Element} item
 * @param {1 | -1} step
 * @returns {HTMLLIElement | null}
 */
function sibling(item, step) {
  const page = item.parentElement;
  const found =
    step > 0
      ? (item.nextElementSibling ?? page?.nextElementSibling?.firstElementChild)
      : (item.previousElementSibling ?? page?.previousElementSibling?.lastElementChild);
  return found instanceof HTMLLIElement ? found : null;
}

/** @param {number} skipped @param {boolean} uncounted */
function gap(skipped, uncounted) {
  const count = skipped.toLocaleString("en");
  const many = skipped === 0 ? "Some" : uncounted ? `More than ${count}` : count;
  const missing = `${many} ${skipped === 1 && !uncounted ? "record is" : "records are"} not shown here`;
  return element(
    "li",
    { class: "gap" },
    `${missing}: they came faster than this page reads. A search finds them.`,
  );
}

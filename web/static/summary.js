/**
 * The line that says what a search cost and found.
 *
 * @import { HistogramAnswer, SearchAnswer } from "./api.js"
 */

import { byId, element, text } from "./element.js";
import { duration } from "./time.js";

export class Summary {
  constructor() {
    this.root = byId("summary");
    /** @type {number | null} */
    this.total = null;
    /** @type {number | null} */
    this.shown = 0;
    this.scanned = 0;
    this.ms = 0;
    this.live = false;
    this.answered = false;
    /** @type {string | null} */
    this.partial = null;
  }

  /** @param {SearchAnswer} answer @param {number | null} shown null if a table is shown @param {boolean} live */
  found(answer, shown, live) {
    this.live = live;
    this.answered = true;
    this.scanned = answer.scanned;
    this.ms = answer.ms;
    this.partial = answer.partial;
    this.shown = shown;
    this.draw();
  }

  /** @param {HistogramAnswer | null} answer */
  counted(answer) {
    this.total = answer?.total ?? null;
    this.partial ??= answer?.partial ?? null;
    // The chart may be ready first, and a search that was refused has nothing to sum up.
    if (this.answered) this.draw();
  }

  /** @param {string} words */
  say(words) {
    this.root.replaceChildren(words);
  }

  draw() {
    const known =
      this.total === null ? "" : `${count(this.total)} ${this.total === 1 ? "record" : "records"}`;
    // While records come in, the number shown changes all the time and is of no use to anybody.
    const part = this.shown !== null && this.shown !== this.total ? `${count(this.shown)} shown` : "";
    const shown = this.live ? "live" : part;
    const cost = `${count(this.scanned)} scanned · ${duration(this.ms)}`;
    this.root.replaceChildren(
      element("b", {}, known),
      known && " · ",
      [shown, cost].filter(Boolean).join(" · "),
    );
    if (this.partial)
      this.root.append(element("span", { class: "partial" }, " · Partial: ", text(this.partial)));
  }
}

/** @param {number} number */
function count(number) {
  return number.toLocaleString("en");
}

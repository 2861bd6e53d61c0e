/**
 * Records that came in and are not shown yet. Bounded: when more wait than anybody would read, the oldest are let
 * go and counted, so that the list can say so. Pure.
 *
 * @import { LogRecord } from "./api.js"
 * @typedef {object} Taken
 * @property {LogRecord[]} records oldest first
 * @property {number} skipped how many are missing before them
 * @property {boolean} uncounted more are missing, and nobody knows how many
 */

/** Some screens full; more than this nobody scrolls through, but a browser would feel it. */
const MOST = 1000;

export class Pending {
  constructor() {
    /** @type {LogRecord[]} */
    this.records = [];
    this.skipped = 0;
    this.uncounted = false;
  }

  /** How many a reader has not seen, those that were let go included. */
  get size() {
    return this.records.length + this.skipped + Number(this.uncounted);
  }

  /** @param {LogRecord} record */
  push(record) {
    this.records.push(record);
    // Dropping half at once keeps the cost of a flood flat.
    if (this.records.length > 2 * MOST) this.trim();
  }

  /** The server left some out. @param {number | null} skipped null if it did not count them */
  gap(skipped) {
    if (skipped === null) this.uncounted = true;
    else this.skipped += skipped;
  }

  /** @returns {Taken} */
  take() {
    this.trim();
    const taken = { records: this.records, skipped: this.skipped, uncounted: this.uncounted };
    this.records = [];
    this.skipped = 0;
    this.uncounted = false;
    return taken;
  }

  trim() {
    const excess = this.records.length - MOST;
    if (excess <= 0) return;
    this.records.splice(0, excess);
    this.skipped += excess;
  }
}

/**
 * One search at a time: the page of records, the histogram behind it, the pages after it. A new search or a cancel
 * ends the one that runs, on the server too. Knows nothing of the document.
 *
 * @import { HistogramAnswer, SearchAnswer } from "./api.js"
 * @typedef {object} SearchEvents
 * @property {(running: boolean) => void} running
 * @property {(answer: SearchAnswer) => void} found the first page
 * @property {() => void} painted the first page is on the screen
 * @property {() => void} behind what is of less haste than the first page may be asked now
 * @property {(answer: SearchAnswer) => void} older a page after it
 * @property {(answer: HistogramAnswer | null) => void} counted null if it could not be counted
 * @property {(error: Error) => void} failed
 */

import { histogram, search } from "./api.js";
import { splitPipeline } from "./query-text.js";

const PAGE = "100";

/** A table has no next page: as much as the server gives. */
const TABLE = "10000";

export class Search {
  /** @param {SearchEvents} on */
  constructor(on) {
    this.on = on;
    this.parameters = /** @type {Record<string, string>} */ ({});
    this.controller = new AbortController();
    /** @type {string | null} */
    this.next = null;
    /** Answers that are waited for. */
    this.asked = 0;
    /** The next page is on its way. */
    this.paging = false;
  }

  get signal() {
    return this.controller.signal;
  }

  /** @param {Record<string, string>} parameters @param {number} buckets */
  async run(parameters, buckets) {
    this.cancel();
    this.controller = new AbortController();
    const { signal } = this;
    this.parameters = parameters;
    this.next = null;
    await this.work(signal, async () => {
      const limit = makesTable(parameters.q ?? "") ? TABLE : PAGE;
      let counted = /** @type {Promise<boolean> | null} */ (null);
      const behind = () => {
        if (signal.aborted) return null;
        if (counted === null) this.on.behind();
        return (counted ??= this.count(parameters, buckets, signal));
      };
      const late = setTimeout(behind, HEAD_START);
      const answer = await search({ ...parameters, limit }, signal).finally(() => clearTimeout(late));
      if (signal.aborted) return;
      this.next = answer.next;
      this.on.found(answer);
      await onScreen();
      if (signal.aborted) return;
      // The question first: the server works on it while the rest of the page is made.
      const told = behind();
      this.on.painted();
      // The records are what was asked for: they come without a chart if need be.
      if (!(await told) && !signal.aborted) this.on.counted(null);
    });
  }

  /** The histogram alone. @param {Record<string, string>} parameters @param {number} buckets */
  async chart(parameters, buckets) {
    this.cancel();
    this.controller = new AbortController();
    this.parameters = parameters;
    await this.count(parameters, buckets, this.signal);
  }

  /** The histogram alone, of the search that stands. @param {number} buckets */
  async recount(buckets) {
    await this.count(this.parameters, buckets, this.signal);
  }

  /** The next page; nothing if there is none or one is on its way. */
  async older() {
    const { signal, next } = this;
    if (next === null || this.paging) return;
    this.paging = true;
    await this.work(signal, async () => {
      const answer = await search({ ...this.parameters, limit: PAGE, cursor: next }, signal);
      if (signal.aborted) return;
      this.next = answer.next;
      this.paging = false;
      this.on.older(answer);
    });
    if (!signal.aborted) this.paging = false;
  }

  cancel() {
    this.controller.abort();
    this.paging = false;
    this.wait(-this.asked);
  }

  /** @param {AbortSignal} signal @param {() => Promise<void>} act */
  async work(signal, act) {
    this.wait(1);
    try {
      await act();
    } catch (error) {
      if (!signal.aborted) this.on.failed(/** @type {Error} */ (error));
    } finally {
      // A search that was replaced has nothing to say about the one that runs now.
      if (!signal.aborted) this.wait(-1);
    }
  }

  /**
   * @param {Record<string, string>} parameters
   * @param {number} buckets
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>}
   */
  async count(parameters, buckets, signal) {
    try {
      const answer = await histogram({ ...parameters, buckets: String(buckets) }, signal);
      if (!signal.aborted) this.on.counted(answer);
      return true;
    } catch {
      // What is wrong with a query, the search for its records says too.
      return false;
    }
  }

  /** @param {number} more answers that are waited for from now on, or fewer */
  wait(more) {
    const before = this.asked > 0;
    this.asked += more;
    if (before !== this.asked > 0) this.on.running(this.asked > 0);
  }
}

/** How long the chart waits for the rows: at once they would share the server's processors, and rows are read first. */
const HEAD_START = 500;

/** A tab that nobody sees paints nothing: then the chart waits no longer than this. */
const PAINTED = 100;

/** Resolves when what stands in the document now is on the screen: a frame is shown when the next one begins. @returns {Promise<void>} */
function onScreen() {
  return new Promise((settled) => {
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(settled)));
    setTimeout(settled, PAINTED);
  });
}

/** Whether the query ends in rows that are no records. @param {string} query */
function makesTable(query) {
  return /^\s*\|\s*(?:.*\|\s*)?(count|top|stats|timechart)\b/i.test(splitPipeline(query).rest);
}

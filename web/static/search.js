/**
 * One search at a time: the page of records, the histogram beside it, the pages after it. A new search or a cancel
 * ends the one that runs, on the server too. Knows nothing of the document.
 *
 * @import { HistogramAnswer, SearchAnswer } from "./api.js"
 * @typedef {object} SearchEvents
 * @property {(running: boolean) => void} running
 * @property {(answer: SearchAnswer) => void} found the first page
 * @property {(answer: SearchAnswer) => void} older a page after it
 * @property {(answer: HistogramAnswer | null) => void} counted null if it could not be counted
 * @property {(error: Error) => void} failed
 */

import { histogram, search } from "./api.js";

const PAGE = "100";

export class Search {
  /** @param {SearchEvents} on */
  constructor(on) {
    this.on = on;
    this.parameters = /** @type {Record<string, string>} */ ({});
    this.controller = new AbortController();
    /** @type {string | null} */
    this.next = null;
    this.busy = false;
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
      const counted = this.count(parameters, buckets, signal);
      const answer = await search({ ...parameters, limit: PAGE }, signal);
      if (signal.aborted) return;
      this.next = answer.next;
      this.on.found(answer);
      // The records are what was asked for: they come without a chart if need be.
      if (!(await counted) && !signal.aborted) this.on.counted(null);
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
    if (next === null || this.busy) return;
    await this.work(signal, async () => {
      const answer = await search({ ...this.parameters, limit: PAGE, cursor: next }, signal);
      if (signal.aborted) return;
      this.next = answer.next;
      this.on.older(answer);
    });
  }

  cancel() {
    this.controller.abort();
    if (this.busy) this.become(false);
  }

  /** @param {AbortSignal} signal @param {() => Promise<void>} act */
  async work(signal, act) {
    this.become(true);
    try {
      await act();
    } catch (error) {
      if (!signal.aborted) this.on.failed(/** @type {Error} */ (error));
    } finally {
      // A search that was replaced has nothing to say about the one that runs now.
      if (!signal.aborted) this.become(false);
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

  /** @param {boolean} busy */
  become(busy) {
    this.busy = busy;
    this.on.running(busy);
  }
}

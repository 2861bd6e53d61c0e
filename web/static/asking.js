/** One question to the server at a time, for a view: a new one, or leaving the view, ends the one that waits. */

export class Asking {
  /**
   * @param {object} on
   * @param {(running: boolean) => void} on.running
   * @param {(error: Error) => void} on.failed
   */
  constructor(on) {
    this.on = on;
    this.controller = new AbortController();
  }

  stop() {
    this.controller.abort();
  }

  /**
   * What becomes of a question that was ended, nobody hears.
   * @param {(signal: AbortSignal) => Promise<void>} ask
   * @param {object} [how]
   * @param {boolean} [how.unasked] nobody waits for the answer
   * @returns {Promise<boolean>} whether it came to its end, and the view still stands
   */
  async run(ask, { unasked = false } = {}) {
    this.stop();
    const { signal } = (this.controller = new AbortController());
    if (!unasked) this.on.running(true);
    let failure;
    try {
      await ask(signal);
    } catch (error) {
      failure = /** @type {Error} */ (error);
    }
    if (signal.aborted) return false;
    this.on.running(false);
    if (failure) this.on.failed(failure);
    // Being told of a failure, somebody may have gone elsewhere.
    return !signal.aborted;
  }
}

/**
 * Following new records: opens the stream, hands on what came a few times a second, and holds it back while the
 * reader reads. Promises that nothing is left out unsaid: what cannot be shown is counted. Knows nothing of rows.
 *
 * @import { Taken } from "./pending.js"
 */

import { tail } from "./api.js";
import { Pending } from "./pending.js";

/** Often enough to look immediate, seldom enough for the page to stay cool under a flood. */
const BEAT = 250;

/** How long a search waits for the stream: something between us and the server may hold back its first byte. */
const PATIENCE = 1500;

/** How long a server that refused the stream is left alone. */
const RETRY = 5000;

export class Live {
  /**
   * @param {object} on
   * @param {() => boolean} on.paused whether what came in has to wait
   * @param {(taken: Taken) => void} on.show
   * @param {() => void} on.changed the number waiting or the connection changed
   * @param {() => void} on.late the stream stands, and something may have come between it and the last search
   * @param {() => void} on.restart the stream is gone for good: search again and start anew
   */
  constructor(on) {
    this.on = on;
    this.pending = new Pending();
    /** @type {"off" | "connecting" | "on" | "lost"} */
    this.connection = "off";
    this.beat = 0;
    this.retry = 0;
    this.patience = 0;
    this.close = () => {};
  }

  /**
   * Follows from now on. Resolves when the stream stands, so that a search made after that leaves no hole; or when it
   * does not in time.
   * @param {Record<string, string>} parameters
   * @returns {Promise<void>}
   */
  start(parameters) {
    this.stop();
    this.become("connecting");
    let received = false;
    let hole = false;
    return new Promise((settled) => {
      this.patience = window.setTimeout(() => {
        hole = true;
        settled();
      }, PATIENCE);
      this.close = tail(parameters, {
        open: () => {
          clearTimeout(this.patience);
          this.become("on");
          if (hole) this.on.late();
          hole = false;
          settled();
        },
        record: (record) => {
          received = true;
          this.pending.push(record);
          this.soon();
        },
        gap: (skipped) => {
          this.pending.gap(skipped);
          this.soon();
        },
        lost: () => {
          // The browser tells the server the last record it got; without one, the stream begins anew.
          hole ||= !received;
          this.become("lost");
          settled();
        },
        closed: () => {
          this.become("lost");
          this.retry = window.setTimeout(this.on.restart, RETRY);
          settled();
        },
      });
    });
  }

  stop() {
    this.close();
    this.close = () => {};
    clearTimeout(this.beat);
    clearTimeout(this.retry);
    clearTimeout(this.patience);
    this.beat = 0;
    this.pending = new Pending();
    this.become("off");
  }

  /** Shows what waits, unless the reader still reads. */
  flush() {
    if (this.pending.size === 0) return;
    if (!this.on.paused()) this.on.show(this.pending.take());
    this.on.changed();
  }

  soon() {
    if (this.beat !== 0) return;
    this.beat = window.setTimeout(() => {
      this.beat = 0;
      this.flush();
    }, BEAT);
  }

  /** @param {"off" | "connecting" | "on" | "lost"} connection */
  become(connection) {
    if (this.connection === connection) return;
    this.connection = connection;
    this.on.changed();
  }
}

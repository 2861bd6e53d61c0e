/**
 * Following new records: opens the stream, hands on what came a few times a second, and holds it back while the
 * reader reads. Promises that nothing is left out unsaid: what cannot be shown is counted. A tab that nobody sees lets
 * its connection go, for a browser has six for one server, and goes on where it was. Knows nothing of rows.
 *
 * @import { Taken } from "./pending.js"
 */

import { tail } from "./api.js";
import { Pending } from "./pending.js";

/** Often enough to look immediate, seldom enough for the page to stay cool under a flood. */
const BEAT = 250;

/** How long a search waits for the stream: something between us and the server may hold back its first byte. */
const PATIENCE = 1500;

/** How long a tab that nobody sees keeps its connection. */
const UNSEEN = 30_000;

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
    this.unseen = 0;
    /** The stream was let go while nobody saw the tab. */
    this.resting = false;
    /** The last record that came, for whoever goes on after it. */
    this.last = "";
    /** @type {Record<string, string>} */
    this.parameters = {};
    this.close = () => {};
    document.addEventListener("visibilitychange", () => this.seen());
  }

  /**
   * Follows from now on. Resolves when the stream stands, so that a search made after that leaves no hole; or when it
   * does not in time.
   * @param {Record<string, string>} parameters
   * @returns {Promise<void>}
   */
  start(parameters) {
    this.stop();
    this.parameters = parameters;
    return this.open(false);
  }

  /** @param {boolean} hole whether something may have come that nobody will tell @returns {Promise<void>} */
  open(hole) {
    this.become("connecting");
    const parameters = this.last ? { ...this.parameters, after: this.last } : this.parameters;
    return new Promise((settled) => {
      this.patience = window.setTimeout(() => {
        hole ||= !this.last;
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
          this.last = record.id;
          this.pending.push(record);
          this.soon();
        },
        gap: (skipped) => {
          this.pending.gap(skipped);
          this.soon();
        },
        lost: () => {
          // The browser tells the server the last record it got; without one, the stream begins anew.
          hole ||= !this.last;
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
    clearTimeout(this.unseen);
    this.resting = false;
    this.last = "";
    this.beat = 0;
    this.pending = new Pending();
    this.become("off");
  }

  /** The tab came into sight, or went out of it. */
  seen() {
    clearTimeout(this.unseen);
    if (this.resting && !document.hidden) {
      this.resting = false;
      this.open(!this.last);
    } else if (document.hidden && this.connection !== "off") {
      this.unseen = window.setTimeout(() => {
        this.resting = true;
        this.close();
        clearTimeout(this.retry);
      }, UNSEEN);
    }
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

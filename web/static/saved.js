/**
 * The searches that were saved, and the alerts among them: what each asks, whether it fired, what went wrong.
 *
 * @import { SavedEntry } from "./api.js"
 */

import { forget, isAbsent, saved } from "./api.js";
import { Asking } from "./asking.js";
import { byId, element, text } from "./element.js";
import { ago, duration, rangeLabel } from "./time.js";

export class Saved {
  /**
   * @param {object} on
   * @param {(entry: SavedEntry) => void} on.open
   * @param {(entry: SavedEntry) => void} on.edit
   * @param {(running: boolean) => void} on.running
   * @param {(error: Error) => void} on.failed
   */
  constructor(on) {
    this.on = on;
    this.root = byId("saved");
    this.asking = new Asking({ running: on.running, failed: (error) => this.failed(error) });
  }

  stop() {
    this.asking.stop();
  }

  async run() {
    await this.asking.run(async (signal) => {
      const entries = await saved(signal);
      if (!signal.aborted) this.draw(entries);
    });
  }

  /** @param {Error} error */
  failed(error) {
    if (!isAbsent(error)) this.on.failed(error);
    else this.root.replaceChildren(element("p", { class: "empty" }, "This server does not keep searches."));
  }

  /** @param {SavedEntry[]} entries */
  draw(entries) {
    const none = "None yet. Search for something, then choose Save beside the count of records.";
    this.root.replaceChildren(
      element("div", { class: "view-head" }, element("h2", {}, "Saved searches and alerts")),
      entries.length === 0
        ? element("p", { class: "empty muted" }, none)
        : element("ol", { class: "saved-list" }, ...entries.map((entry) => this.item(entry))),
    );
  }

  /** @param {SavedEntry} entry */
  item(entry) {
    const remove = element("button", { type: "button", click: () => this.remove(entry, remove) }, "Delete");
    return element(
      "li",
      {},
      element(
        "div",
        { class: "saved-what" },
        element("button", { type: "button", class: "issue-title", click: () => this.on.open(entry) }, text(entry.name)),
        element("code", {}, entry.q ? text(entry.q) : "(everything)"),
        element("div", { class: "muted" }, ...this.facts(entry)),
      ),
      element("button", { type: "button", click: () => this.on.edit(entry) }, "Edit"),
      remove,
    );
  }

  /** @param {SavedEntry} entry @returns {(Node | string)[]} */
  facts({ alert, from, state }) {
    if (!alert) return [rangeLabel(from, "", false)];
    const { above, threshold, window_s, enabled } = alert;
    const rule = `${above ? "More" : "Fewer"} than ${threshold} in ${duration(Number(window_s) * 1000)}`;
    const fired = state?.last_fired ? `fired ${ago(Date.parse(state.last_fired), Date.now())}` : "never fired";
    const facts = [element("span", { class: enabled ? "badge" : "badge off" }, enabled ? "alert" : "alert, off")];
    facts.push(element("span", {}, ` ${rule} · ${fired}`));
    if (state?.last_error)
      facts.push(element("span", { class: "wrong" }, " · last attempt failed: ", text(state.last_error)));
    return facts;
  }

  /** Asks once more on the button itself. @param {SavedEntry} entry @param {HTMLButtonElement} button */
  async remove(entry, button) {
    if (button.textContent === "Delete") {
      button.textContent = "Really delete?";
      return;
    }
    try {
      await forget(entry.id);
      await this.run();
    } catch (error) {
      this.on.failed(/** @type {Error} */ (error));
    }
  }
}

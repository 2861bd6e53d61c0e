/**
 * The query: its box, its history, what completes it, how it was read, and what is wrong with it.
 *
 * @import { QueryError, SearchAnswer } from "./api.js"
 */

import { STAGE_NAMES } from "./completion.js";
import { buttonById, byId, element, inputById, text } from "./element.js";
import { QueryHistory } from "./query-history.js";
import { splitPipeline } from "./query-text.js";
import { remember, remembered } from "./remember.js";
import { Suggestions } from "./suggestions.js";

/** Searches that take less long come without the way to end them: what flickers disturbs, and a double click means one. */
const LONG = 300;

/** Said where the reading of a query will stand, so that the room is not wasted. */
const TIP = ["Words search everything; ", element("kbd", {}, "?"), " says more."];

export class QueryBar {
  /**
   * @param {object} on
   * @param {(query: string) => void} on.run
   * @param {() => void} on.cancel
   * @param {(asText: boolean) => void} on.readAs
   * @param {() => Record<string, string>} on.range the time in use, for what is offered while one types
   */
  constructor(on) {
    this.on = on;
    this.box = inputById("query");
    this.button = buttonById("run");
    this.reading = byId("reading");
    this.history = new QueryHistory(remembered("queries"), (list) => remember("queries", list));
    this.suggestions = new Suggestions(this.box, on.range);
    /** The button ends what runs. */
    this.ends = false;
    this.long = 0;
    this.ticking = 0;
    byId("query-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.button.addEventListener("click", (event) => {
      // Enter in the box clicks the button too, and means a new search.
      if (!this.ends || (event.detail === 0 && document.activeElement !== this.button)) return;
      event.preventDefault();
      on.cancel();
    });
    this.box.addEventListener("keydown", (event) => this.key(event));
  }

  focus() {
    this.box.focus();
    this.box.select();
  }

  submit() {
    this.suggestions.close();
    const query = this.box.value.trim();
    this.history.add(query);
    this.on.run(query);
  }

  /** @param {string} query */
  show(query) {
    if (this.box.value.trim() !== query) this.box.value = query;
  }

  /** @param {boolean} running */
  showRunning(running) {
    clearTimeout(this.long);
    if (running) this.long = window.setTimeout(() => this.offer(true), LONG);
    else this.offer(false);
    byId("progress").hidden = !running;
  }

  /** @param {boolean} end what the button does */
  offer(end) {
    clearInterval(this.ticking);
    if (end === this.ends) return;
    this.ends = end;
    this.button.textContent = end ? "Cancel" : "Search";
    document.documentElement.classList.toggle("waits", end);
    let seconds = 0;
    // Something that takes seconds is told apart from something that is stuck.
    const tick = () => (this.button.textContent = `Cancel · ${(seconds += 1)} s`);
    if (end) this.ticking = window.setInterval(tick, 1000);
  }

  /** A view that asks for no records has no reading. */
  showNothing() {
    this.box.removeAttribute("aria-invalid");
    this.reading.replaceChildren();
    this.reading.hidden = true;
  }

  /** Keeps the room for a reading, so that nothing moves when it comes. */
  expectReading() {
    this.reading.hidden = false;
  }

  /**
   * How the server read the query.
   * @param {string} query
   * @param {boolean} forced
   * @param {SearchAnswer} answer
   */
  showReading(query, forced, answer) {
    this.box.removeAttribute("aria-invalid");
    if (!query) return this.reading.replaceChildren(...TIP);
    if (answer.error) return this.showError(query, answer.error, "Read as text, because it is no query:");
    if (forced) {
      this.reading.replaceChildren(
        "Searched as the text ",
        echo(query),
        " · ",
        this.link("read it as a query", false),
      );
    } else {
      this.reading.replaceChildren(
        "Read as ",
        echo(answer.read_as),
        ...noStep(query, answer.read_as),
        " · ",
        this.link("search it as text", true),
      );
    }
  }

  /**
   * @param {string} query
   * @param {QueryError} error
   * @param {string} [lead] words before a reading that succeeded in another way
   */
  showError(query, error, lead) {
    const at = error.at ? [" ", marked(query, error.at.start, error.at.end)] : [];
    const hint = error.hint ? [" ", element("span", { class: "hint" }, text(error.hint))] : [];
    const told = element("strong", {}, text(error.error));
    if (lead) return this.reading.replaceChildren(`${lead} `, told, ...at, ...hint);
    this.box.setAttribute("aria-invalid", "true");
    const offer = query ? [" · ", this.link("search it as text", true)] : [];
    this.reading.replaceChildren(element("span", { class: "wrong" }, "✕ ", told), ...at, ...hint, ...offer);
  }

  /** @param {string} words @param {boolean} asText */
  link(words, asText) {
    return element("button", { type: "button", class: "link", click: () => this.on.readAs(asText) }, words);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (this.suggestions.key(event)) return event.preventDefault();
    if (event.key === "Escape") this.box.blur();
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    const found = event.key === "ArrowUp" ? this.history.older(this.box.value.trim()) : this.history.newer();
    event.preventDefault();
    this.suggestions.close();
    if (found === null) return;
    this.box.value = found;
    this.box.setSelectionRange(found.length, found.length);
  }
}

/** A `|` that begins no step is text like any other; most often it was meant otherwise. @param {string} query @param {string} readAs */
function noStep(query, readAs) {
  if (!splitPipeline(query).rest || splitPipeline(readAs).rest) return [];
  return [element("span", { class: "partial" }, ` · the | is text here: a step is one of ${STAGE_NAMES.join(", ")}`)];
}

/** @param {string} query */
function echo(query) {
  return element("code", {}, text(query));
}

/**
 * The query with the part in question marked.
 * @param {string} query
 * @param {number} start
 * @param {number} end
 */
function marked(query, start, end) {
  const mark = start < query.length ? text(query.slice(start, Math.max(end, start + 1))) : "⌟";
  const rest = query.slice(Math.max(end, start + 1));
  return element("code", {}, text(query.slice(0, start)), element("mark", {}, mark), text(rest));
}

/**
 * What completes a query, under its box while one types: a combobox as screen readers know it. The box keeps the
 * focus; ↓ and ↑ choose, Enter or Tab take, Escape closes. Ctrl+Space asks without typing.
 *
 * @import { Offer, Typing } from "./completion.js"
 */

import { fields, values } from "./api.js";
import { offerLevels, offerNames, offerStages, offerValues, typing } from "./completion.js";
import { byId, element, text } from "./element.js";

/** Longer than between two keys of a word, shorter than one notices. */
const PAUSE = 90;

/** More are no help to choose from. */
const MOST = 12;

/** The width of a character of the box, in pixels: as good as a list needs it. */
const CHARACTER = 7.8;

/** How long names of fields are good for. */
const KNOWN_FOR = 60_000;

export class Suggestions {
  /** @param {HTMLInputElement} box @param {() => Record<string, string>} range the time in use, as the API is asked */
  constructor(box, range) {
    this.box = box;
    this.range = range;
    this.list = byId("suggestions");
    /** @type {Offer[]} */
    this.offers = [];
    this.chosen = -1;
    /** @type {Typing | null} */
    this.typing = null;
    this.controller = new AbortController();
    this.timer = 0;
    /** @type {{ key: string, at: number, names: { name: string, records: number }[] } | null} */
    this.known = null;
    box.addEventListener("input", (event) => {
      // What an input method is still composing is not what one searches.
      if (event instanceof InputEvent && event.isComposing) return;
      this.soon();
    });
    box.addEventListener("blur", () => this.close());
    // A press takes the focus away before the click comes, and with it the list.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const option = event.target instanceof Element ? event.target.closest("[role=option]") : null;
      if (option) this.take(this.offers[[...this.list.children].indexOf(option)]);
    });
  }

  get isOpen() {
    return !this.list.hidden;
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.look(false), PAUSE);
  }

  /** @param {boolean} asked by a key, not by typing */
  async look(asked) {
    clearTimeout(this.timer);
    this.controller.abort();
    const { signal } = (this.controller = new AbortController());
    const at = typing(this.box.value, this.box.selectionStart ?? this.box.value.length);
    // An empty place offers everything: only to somebody who asks for it.
    if (!at || (at.kind === "name" && !at.typed && !asked && !at.bare)) return this.close();
    try {
      const offers = await this.find(at, signal);
      if (!signal.aborted && document.activeElement === this.box) this.show(at, offers.slice(0, MOST));
    } catch {
      // Help that does not come is no error: the query can be typed without.
      if (!signal.aborted) this.close();
    }
  }

  /** @param {Typing} at @param {AbortSignal} signal @returns {Promise<Offer[]>} */
  async find(at, signal) {
    if (at.kind === "stage") return offerStages(at);
    if (at.kind === "name") return offerNames(at, await this.names(signal));
    if (at.field.toLowerCase() === "level") return offerLevels(at);
    const parameters = { ...this.range(), field: at.field, q: at.before, limit: "200" };
    return offerValues(at, (await values(parameters, signal)).values);
  }

  /** @param {AbortSignal} signal */
  async names(signal) {
    const range = this.range();
    const key = JSON.stringify(range);
    if (this.known?.key !== key || Date.now() - this.known.at > KNOWN_FOR) {
      const names = (await fields(range, signal)).fields;
      this.known = { key, at: Date.now(), names };
    }
    return this.known.names;
  }

  /** @param {Typing} at @param {Offer[]} offers */
  show(at, offers) {
    this.typing = at;
    this.offers = offers;
    this.list.replaceChildren(
      ...offers.map((offer, place) =>
        element(
          "li",
          { role: "option", id: `suggestion-${place}`, "aria-selected": "false" },
          element("span", { class: "offer" }, text(offer.text)),
          element("span", { class: "muted" }, offer.about),
        ),
      ),
    );
    this.list.hidden = offers.length === 0;
    // Below what it completes.
    const left = Math.min(
      Math.max(0, this.box.offsetWidth - this.list.offsetWidth),
      this.box.value.slice(0, at.start).length * CHARACTER - this.box.scrollLeft,
    );
    this.list.style.left = `${this.box.offsetLeft + Math.max(0, left)}px`;
    this.box.setAttribute("aria-expanded", String(!this.list.hidden));
    this.choose(-1);
  }

  close() {
    clearTimeout(this.timer);
    this.controller.abort();
    if (this.isOpen && this.typing) this.show(this.typing, []);
  }

  /** @param {number} at */
  choose(at) {
    this.chosen = at;
    [...this.list.children].forEach((option, place) => {
      option.setAttribute("aria-selected", String(place === at));
      if (place === at) option.scrollIntoView({ block: "nearest" });
    });
    if (at === -1) this.box.removeAttribute("aria-activedescendant");
    else this.box.setAttribute("aria-activedescendant", `suggestion-${at}`);
  }

  /** @param {Offer} offer */
  take(offer) {
    if (!this.typing) return;
    const { value, selectionStart } = this.box;
    const left = value.slice(0, this.typing.start) + offer.insert;
    // The rest of the word under the caret is what is replaced, too.
    const right = value.slice(selectionStart ?? value.length).replace(/^[^\s()"|:]*:?"?/, "");
    this.box.value = left + (left.endsWith(" ") ? right.trimStart() : right);
    this.box.setSelectionRange(left.length, left.length);
    if (offer.more) this.look(false);
    else this.close();
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key was meant for the list */
  key(event) {
    if (event.isComposing) return false;
    if (event.key === " " && event.ctrlKey) {
      this.look(true);
      return true;
    }
    if (!this.isOpen) return false;
    const last = this.offers.length - 1;
    if (event.key === "ArrowDown") this.choose(this.chosen === last ? -1 : this.chosen + 1);
    else if (event.key === "ArrowUp" && this.chosen !== -1) this.choose(this.chosen - 1);
    else if (event.key === "Escape") this.close();
    else if ((event.key === "Enter" || event.key === "Tab") && this.chosen !== -1)
      this.take(this.offers[this.chosen]);
    else return false;
    return true;
  }
}

/** The range in time: its button, the presets, two fields for exact moments, and the way out to a wider range. */

import { buttonById, byId, element, inputById } from "./element.js";
import { fieldTime, moment, PRESETS, rangeLabel, timeOfField, zoomOut } from "./time.js";

/** @import { State } from "./state.js" */

export class TimeMenu {
  /** @param {(from: string, to: string) => void} choose */
  constructor(choose) {
    this.choose = choose;
    this.menu = byId("time-menu");
    this.from = inputById("range-from");
    this.to = inputById("range-to");
    /** @type {State | null} */
    this.state = null;
    this.presets = PRESETS.map((preset) =>
      element("button", { type: "button", click: () => this.chosen(preset.from, "") }, preset.label),
    );
    byId("presets").append(...this.presets.map((button) => element("li", {}, button)));
    byId("range-form").addEventListener("submit", (event) => this.submitted(event));
    byId("last-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.chosen(`-${Number(inputById("last-count").value)}${inputById("last-unit").value}`, "");
    });
    this.menu.addEventListener("beforetoggle", (event) => {
      if (event.newState === "open") this.opened();
    });
    buttonById("zoom-out").addEventListener("click", () => {
      const wider = this.state && zoomOut(this.state.from, this.state.to, Date.now());
      if (wider) choose(wider.from, wider.to);
    });
  }

  /** @param {State} state */
  show(state) {
    this.state = state;
    byId("time-label").textContent = rangeLabel(state.from, state.to, state.utc);
    this.presets.forEach((button, at) => {
      button.setAttribute("aria-pressed", String(PRESETS[at].from === state.from && !state.to));
    });
  }

  opened() {
    const { state } = this;
    if (!state) return;
    const now = Date.now();
    const [start, end] = [moment(state.from, now), moment(state.to, now)];
    const [, count, unit] = (!state.to && /^-(\d+)([mhdw])$/.exec(state.from)) || [];
    if (count) {
      inputById("last-count").value = count;
      inputById("last-unit").value = unit;
    }
    // Whole seconds, rounded outwards: nobody types the rest, and nothing shall fall out of the range.
    this.from.value = start === null ? "" : fieldTime(Math.floor(start / 1000) * 1000, state.utc);
    this.to.value = end === null ? "" : fieldTime(Math.ceil(end / 1000) * 1000, state.utc);
    byId("range-zone").textContent = state.utc
      ? "in UTC"
      : `in ${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
  }

  /** @param {SubmitEvent} event */
  submitted(event) {
    event.preventDefault();
    const utc = this.state?.utc ?? false;
    const [from, to] = [timeOfField(this.from.value, utc), timeOfField(this.to.value, utc)];
    this.to.setCustomValidity(from && to && to <= from ? "The end must come after the start." : "");
    if (!this.to.reportValidity()) return;
    this.chosen(from || "all", to);
  }

  /** @param {string} from @param {string} to */
  chosen(from, to) {
    this.menu.hidePopover();
    this.choose(from, to);
  }
}

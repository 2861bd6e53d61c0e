/**
 * The dialog that saves a search, makes an alert of it, and shows when the alert would have fired.
 *
 * @import { SavedEntry, SavedSearch } from "./api.js"
 */

import { keep, preview } from "./api.js";
import { byId, element, inputById, text } from "./element.js";
import { stamp } from "./time.js";

/** A day shows the rhythm of a service. */
const PREVIEWED = "-24h";

export class SaveForm {
  /** @param {{ kept(entry: SavedEntry): void, utc(): boolean }} on */
  constructor(on) {
    this.on = on;
    this.dialog = /** @type {HTMLDialogElement} */ (byId("save"));
    this.form = /** @type {HTMLFormElement} */ (byId("save-form"));
    this.told = byId("save-told");
    /** @type {string | null} */
    this.id = null;
    this.from = "";
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    inputById("save-alert").addEventListener("change", () => this.showAlert());
    byId("save-preview").addEventListener("click", () => this.preview());
    byId("save-close").addEventListener("click", () => this.dialog.close());
  }

  /** @param {SavedSearch} search @param {string | null} id of the one that is changed */
  open(search, id) {
    this.id = id;
    this.from = search.from;
    const { alert } = search;
    inputById("save-name").value = search.name;
    inputById("save-q").value = search.q;
    inputById("save-alert").checked = alert !== null;
    this.direction.value = alert?.above === false ? "below" : "above";
    inputById("save-threshold").value = String(alert?.threshold ?? 0);
    inputById("save-window").value = String(Number(alert?.window_s ?? 300) / 60);
    inputById("save-cooldown").value = String(Number(alert?.cooldown_s ?? 900) / 60);
    inputById("save-webhook").value = alert?.webhook ?? "";
    inputById("save-enabled").checked = alert?.enabled ?? true;
    this.told.replaceChildren();
    this.showAlert();
    this.dialog.showModal();
  }

  get direction() {
    return /** @type {HTMLSelectElement} */ (byId("save-direction"));
  }

  showAlert() {
    const wanted = inputById("save-alert").checked;
    const part = /** @type {HTMLFieldSetElement} */ (byId("save-alert-part"));
    part.hidden = part.disabled = !wanted;
  }

  /** @returns {SavedSearch} */
  read() {
    const number = (/** @type {string} */ id) => Number(inputById(id).value);
    const alert = {
      threshold: number("save-threshold"),
      above: this.direction.value === "above",
      window_s: Math.round(number("save-window") * 60),
      webhook: inputById("save-webhook").value.trim(),
      cooldown_s: Math.round(number("save-cooldown") * 60),
      enabled: inputById("save-enabled").checked,
    };
    const wanted = inputById("save-alert").checked;
    return {
      name: inputById("save-name").value.trim(),
      q: inputById("save-q").value.trim(),
      from: this.from,
      alert: wanted ? alert : null,
    };
  }

  async submit() {
    try {
      const entry = await keep(this.id, this.read());
      this.dialog.close();
      this.on.kept(entry);
    } catch (error) {
      this.tell(element("span", { class: "wrong" }, text(/** @type {Error} */ (error).message)));
    }
  }

  async preview() {
    const { q, alert } = this.read();
    if (!alert) return;
    const { threshold, above, window_s } = alert;
    this.tell("Looking …");
    try {
      const asked = { q, threshold, above, window_s, from: PREVIEWED, to: "now" };
      const { fired } = await preview(asked, AbortSignal.timeout(15_000));
      const times = fired.slice(-8).map(({ time, count }) =>
        element(
          "li",
          {},
          `${stamp(Date.parse(time), this.on.utc()).slice(5, 19)} with ${Number(count).toLocaleString("en")}`,
        ),
      );
      const many = fired.length === 1 ? "once" : `${fired.length} times`;
      const said = fired.length === 0 ? "It would not have fired in the last 24 hours." : `It would have fired ${many} in the last 24 hours:`;
      this.tell(said, element("ul", {}, ...times));
    } catch (error) {
      this.tell(element("span", { class: "wrong" }, text(/** @type {Error} */ (error).message)));
    }
  }

  /** @param {...(Node | string)} said */
  tell(...said) {
    this.told.replaceChildren(...said);
  }
}

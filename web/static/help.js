/** How to search, and the keys. The language comes from the server, from the table its own documentation has. */

import { language } from "./api.js";
import { byId, element, text } from "./element.js";

export class Help {
  constructor() {
    this.dialog = /** @type {HTMLDialogElement} */ (byId("help"));
    this.rows = byId("language");
    byId("help-open").addEventListener("click", () => this.open());
  }

  async open() {
    if (!this.dialog.open) this.dialog.showModal();
    if (this.rows.childElementCount > 1) return;
    try {
      const table = await language(AbortSignal.timeout(5000));
      this.rows.replaceChildren(
        ...table.map(({ written, finds }) =>
          element("tr", {}, element("td", {}, element("code", {}, text(written))), element("td", {}, text(finds))),
        ),
      );
    } catch {
      // The keys are worth opening it for, too.
      this.rows.replaceChildren(
        element("tr", {}, element("td", { colspan: "2" }, "The server does not tell its language.")),
      );
    }
  }
}

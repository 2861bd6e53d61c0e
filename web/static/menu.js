/**
 * Menus: a popover below the button that opens it, inside of the window; and the one by which one takes away what was
 * found, as a file of everything that matches or as a link to this page.
 */

import { exportAddress } from "./api.js";
import { byId } from "./element.js";

/** Between the button and what it opens, and between that and the edge of the window. */
const GAP = 6;

/** @param {string} id of the popover; the button is the one that targets it */
export function placeMenu(id) {
  const menu = byId(id);
  const button = document.querySelector(`[popovertarget="${id}"]`);
  menu.addEventListener("toggle", (event) => {
    if (event.newState !== "open" || !button) return;
    const place = button.getBoundingClientRect();
    const room = document.documentElement.clientWidth - menu.offsetWidth - GAP;
    menu.style.top = `${place.bottom + GAP}px`;
    menu.style.left = `${Math.max(GAP, Math.min(place.left, room))}px`;
  });
}

export class ExportMenu {
  /** @param {(text: string, what: string) => void} copy */
  constructor(copy) {
    this.link = "";
    this.menu = byId("export-menu");
    byId("export-link").addEventListener("click", () => {
      this.menu.hidePopover();
      copy(this.link, "The link");
    });
    this.menu.addEventListener("click", (event) => {
      if (event.target instanceof HTMLAnchorElement) this.menu.hidePopover();
    });
  }

  /** @param {Record<string, string>} parameters of the search @param {string} link to the page as it is */
  show(parameters, link) {
    this.link = link;
    for (const format of ["ndjson", "csv", "sqlite"]) {
      byId(`export-${format}`).setAttribute("href", exportAddress(parameters, format));
    }
  }
}

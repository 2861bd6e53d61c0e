/** The keys that work anywhere on the page but in a text field. */

/**
 * @param {object} on
 * @param {() => void} on.query
 * @param {(step: 1 | -1) => void} on.move
 * @param {(step: 1 | -1) => void} on.error
 * @param {() => void} on.live
 * @param {() => void} on.fields
 * @param {() => void} on.wrap
 * @param {() => void} on.help
 */
export function listenForKeys(on) {
  const keys = /** @type {Record<string, () => void>} */ ({
    "/": on.query,
    j: () => on.move(1),
    k: () => on.move(-1),
    ArrowDown: () => on.move(1),
    ArrowUp: () => on.move(-1),
    e: () => on.error(1),
    E: () => on.error(-1),
    ".": on.live,
    f: on.fields,
    w: on.wrap,
    "?": on.help,
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (!Object.hasOwn(keys, event.key) || isElsewhere(event.target)) return;
    event.preventDefault();
    keys[event.key]();
  });
}

/**
 * Whether the key belongs to what has the focus: a field, something that scrolls, a dialog.
 * @param {EventTarget | null} target
 */
function isElsewhere(target) {
  if (document.querySelector("dialog[open], [popover]:popover-open")) return true;
  return target instanceof Element && target.closest("input, textarea, select, pre") !== null;
}

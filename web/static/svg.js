/** Making SVG elements, and the small line that shows how something went over time. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {"svg" | "rect" | "path" | "line" | "g"} tag
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 */
export function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/** Bars without an axis: the shape is what counts. @param {number[]} counts @param {string} label */
export function sparkline(counts, label) {
  const highest = Math.max(1, ...counts);
  const bars = counts.map((count, at) => {
    // One among thousands is still one.
    const height = count === 0 ? 0 : Math.max(count / highest, 0.08);
    return svg("rect", { x: at + 0.1, width: 0.8, y: 1 - height, height });
  });
  const viewBox = `0 0 ${Math.max(1, counts.length)} 1`;
  return svg(
    "svg",
    { class: "sparkline", viewBox, preserveAspectRatio: "none", role: "img", "aria-label": label },
    ...bars,
  );
}

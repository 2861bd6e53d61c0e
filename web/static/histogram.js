/**
 * Records over time as bars, stacked by level. A click or a drag (or the arrow keys and Enter) narrows the range.
 *
 * @import { HistogramAnswer } from "./api.js"
 * @import { Bar, Bars } from "./bars.js"
 */

import { bars } from "./bars.js";
import { byId, element } from "./element.js";
import { LEVELS, levelClass } from "./levels.js";
import { svg } from "./svg.js";
import { iso, stamp, ticks } from "./time.js";

const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** Narrower bars cannot be hit with a finger. @param {number} width in pixels */
export function bucketsFor(width) {
  return Math.max(20, Math.min(120, Math.round(width / 9)));
}

export class Histogram {
  /** @param {{ narrow(from: string, to: string): void, level(level: string): void }} on */
  constructor(on) {
    this.on = on;
    this.root = byId("histogram");
    this.highest = element("span", { class: "highest" });
    this.choice = element("div", { class: "choice", hidden: true });
    this.tip = element("div", { class: "tip", role: "status", hidden: true });
    this.axis = element("div", { class: "axis", "aria-hidden": "true" });
    this.plot = element("div", { class: "plot" });
    this.root.append(this.plot, this.axis);
    /** @type {Bars | null} */
    this.bars = null;
    this.utc = false;
    this.anchor = -1;
    this.head = -1;
    this.dragging = false;
    /** Kept, because asking for it in the middle of a change makes the browser lay out the whole page. */
    this.width = this.root.clientWidth;
    new ResizeObserver(() => this.resized()).observe(this.root);
    this.listen();
  }

  resized() {
    const { clientWidth } = this.root;
    // Hidden, it has none.
    if (clientWidth === 0 || clientWidth === this.width) return;
    this.width = clientWidth;
    this.draw();
  }

  /** @param {HistogramAnswer | null} answer @param {boolean} utc */
  show(answer, utc) {
    // A chart that changes under the hand would narrow to something else than what was seen.
    if (this.dragging) return;
    this.utc = utc;
    this.bars = answer && bars(answer);
    this.choose(-1, -1);
    this.draw();
  }

  /** @param {boolean} utc */
  showZone(utc) {
    this.utc = utc;
    this.draw();
  }

  draw() {
    const drawn = this.bars;
    this.legend();
    if (!drawn || drawn.highest === 0) {
      this.plot.replaceChildren(this.choice, this.tip);
      this.axis.replaceChildren();
      return;
    }
    const drawing = svg("svg", {
      viewBox: `0 0 ${drawn.count} 1`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    });
    for (const bar of drawn.bars) {
      for (const { level, base, height } of bar.parts) {
        drawing.append(
          svg("rect", {
            x: bar.at + 0.07,
            width: 0.86,
            y: 1 - base - height,
            height,
            class: levelClass(level),
          }),
        );
      }
    }
    this.highest.textContent = drawn.highest.toLocaleString("en");
    this.plot.replaceChildren(drawing, this.highest, this.choice, this.tip);
    const span = drawn.to - drawn.from;
    // A mark has its label to the right, so the last stretch has no room for one.
    const end = drawn.to - (span * 40) / Math.max(this.width, 40);
    const labels = ticks(drawn.from, end, Math.max(2, Math.floor(this.width / (this.width < 600 ? 80 : 110))), this.utc);
    this.axis.replaceChildren(
      ...labels.map(({ at, label }) => {
        const mark = element("span", {}, label);
        mark.style.left = `${((at - drawn.from) / span) * 100}%`;
        return mark;
      }),
    );
  }

  legend() {
    const counts = this.bars?.counts ?? {};
    byId("legend").replaceChildren(
      ...LEVELS.filter((level) => counts[level]).map((level) =>
        element(
          "button",
          {
            type: "button",
            class: `legend-level ${levelClass(level)}`,
            title: `Only ${level}: ${counts[level].toLocaleString("en")}`,
            click: () => this.on.level(level),
          },
          element("i", { class: "swatch" }),
          element(
            "span",
            { class: "legend-name" },
            level[0],
            element("span", { class: "legend-rest" }, level.slice(1)),
          ),
          element("b", {}, SHORT.format(counts[level])),
        ),
      ),
    );
  }

  listen() {
    this.plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.bars?.highest) return;
      this.plot.setPointerCapture(event.pointerId);
      this.dragging = true;
      const at = this.bucketAt(event);
      this.choose(at, at);
    });
    this.plot.addEventListener("pointermove", (event) => {
      const at = this.bucketAt(event);
      this.choose(this.dragging ? this.anchor : at, at);
    });
    this.plot.addEventListener("pointerup", () => {
      if (this.dragging) this.narrow();
    });
    this.plot.addEventListener("pointercancel", () => this.choose(-1, -1));
    this.plot.addEventListener("pointerleave", () => {
      if (!this.dragging) this.choose(-1, -1);
    });
    this.root.addEventListener("blur", () => this.choose(-1, -1));
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (!this.bars?.highest) return;
    const last = this.bars.count - 1;
    const step = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
    if (step !== 0) {
      const start = step < 0 ? last : 0;
      const head = this.head === -1 ? start : Math.max(0, Math.min(last, this.head + step));
      this.choose(event.shiftKey && this.anchor !== -1 ? this.anchor : head, head);
    } else if (event.key === "Enter" && this.head !== -1) {
      this.narrow();
    } else if (event.key === "Escape") {
      this.choose(-1, -1);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {PointerEvent} event */
  bucketAt(event) {
    const box = this.plot.getBoundingClientRect();
    const count = this.bars?.count ?? 0;
    return Math.max(0, Math.min(count - 1, Math.floor(((event.clientX - box.left) / box.width) * count)));
  }

  narrow() {
    const chosen = this.chosen();
    this.choose(-1, -1);
    if (chosen) this.on.narrow(iso(chosen.start), iso(chosen.end));
  }

  chosen() {
    if (!this.bars?.highest || this.head === -1) return null;
    const step = (this.bars.to - this.bars.from) / this.bars.count;
    const [first, last] = [Math.min(this.anchor, this.head), Math.max(this.anchor, this.head)];
    return { first, last, start: this.bars.from + first * step, end: this.bars.from + (last + 1) * step };
  }

  /** @param {number} anchor @param {number} head */
  choose(anchor, head) {
    this.anchor = anchor;
    this.head = head;
    if (head === -1) this.dragging = false;
    const chosen = this.chosen();
    this.choice.hidden = this.tip.hidden = !chosen;
    if (!chosen || !this.bars) return;
    const { count } = this.bars;
    this.choice.style.left = `${(chosen.first / count) * 100}%`;
    this.choice.style.width = `${((chosen.last - chosen.first + 1) / count) * 100}%`;
    this.tip.replaceChildren(...this.breakdown(chosen));
    const middle = ((chosen.first + chosen.last + 1) / 2 / count) * this.width;
    const half = this.tip.offsetWidth / 2;
    this.tip.style.left = `${Math.max(0, Math.min(middle - half, this.width - 2 * half))}px`;
  }

  /** @param {{ first: number, last: number, start: number, end: number }} chosen */
  breakdown(chosen) {
    const inside = (this.bars?.bars ?? []).filter((bar) => bar.at >= chosen.first && bar.at <= chosen.last);
    const lines = LEVELS.map((level) => ({ level, count: countOf(inside, level) })).filter(
      ({ count }) => count > 0,
    );
    const [start, end] = [stamp(chosen.start, this.utc), stamp(chosen.end, this.utc)];
    const digits = (chosen.end - chosen.start) % 1000 === 0 ? 19 : 23;
    return [
      element("div", { class: "tip-time" }, `${start.slice(5, digits)} – ${end.slice(11, digits)}`),
      ...lines.map(({ level, count }) =>
        element(
          "div",
          { class: `tip-level ${levelClass(level)}` },
          element("i", { class: "swatch" }),
          level,
          element("b", {}, count.toLocaleString("en")),
        ),
      ),
      lines.length === 0 && element("div", {}, "nothing"),
    ].filter((each) => each !== false);
  }
}

/** @param {Bar[]} inside @param {string} level */
function countOf(inside, level) {
  let count = 0;
  for (const bar of inside) for (const part of bar.parts) if (part.level === level) count += part.count;
  return count;
}

/**
 * Moments and ranges: RFC 3339 in, what people read out. A range is `from` and `to` as the state holds them.
 * Pure: knows neither the document nor the clock (the caller says what time it is).
 */

import { ALL_TIME } from "./state.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** In order of length: zooming out walks down this list. */
export const PRESETS = [
  { from: "-15m", label: "Last 15 minutes" },
  { from: "-1h", label: "Last hour" },
  { from: "-6h", label: "Last 6 hours" },
  { from: "-24h", label: "Last 24 hours" },
  { from: "-7d", label: "Last 7 days" },
  { from: ALL_TIME, label: "All time" },
];

const UNITS = /** @type {Record<string, number>} */ ({ s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY });

const NAMES = /** @type {Record<string, string>} */ ({ s: "second", m: "minute", h: "hour", d: "day", w: "week" });

/**
 * How long ago a relative time is, in ms; null if it is none.
 * @param {string} text
 * @returns {number | null}
 */
export function relative(text) {
  const match = /^-(\d+)([smhdw])$/.exec(text);
  return match ? Number(match[1]) * UNITS[match[2]] : null;
}

/** Ms since the epoch; null if the text is no moment. @param {string} text @param {number} now */
export function moment(text, now) {
  if (text === "now" || text === "") return now;
  const age = relative(text);
  if (age !== null) return now - age;
  const at = /^\d+$/.test(text) ? Number(text) / 1e6 : Date.parse(text);
  return Number.isNaN(at) ? null : at;
}

/** @param {string} from @param {string} to @param {boolean} utc @returns {string} */
export function rangeLabel(from, to, utc) {
  const preset = PRESETS.find((each) => each.from === from);
  if (preset && !to) return preset.label;
  const [, count, unit] = /^-(\d+)([smhdw])$/.exec(from) ?? [];
  if (count && !to) return `Last ${count} ${NAMES[unit]}${count === "1" ? "" : "s"}`;
  const start = from === ALL_TIME ? "the beginning" : momentLabel(from, utc);
  if (!to) return `${start} – now`;
  const end = momentLabel(to, utc);
  const sameDay = /^\d/.test(start) && start.slice(0, 10) === end.slice(0, 10);
  // Where both ends are of one year, one of them says which.
  const sameYear = /^\d/.test(start) && start.slice(0, 5) === end.slice(0, 5);
  return `${start} – ${end.slice(sameDay ? 11 : sameYear ? 5 : 0)}`;
}

/** To the second: the chart's axis shows the rest. @param {string} text @param {boolean} utc */
function momentLabel(text, utc) {
  if (relative(text) !== null || text === "now") return text;
  const at = moment(text, 0);
  return at === null ? text : stamp(at, utc).slice(0, 19).replace(/:00$/, "");
}

/** The next wider range around this one. @param {string} from @param {string} to @param {number} now */
export function zoomOut(from, to, now) {
  const end = moment(to, now);
  if (from === ALL_TIME) return { from: ALL_TIME, to: "" };
  const start = moment(from, now);
  if (start === null || end === null) return { from: ALL_TIME, to: "" };
  const length = Math.max(end - start, SECOND);
  if (end >= now - length / 4) return { from: presetFor(length + 1), to: "" };
  return { from: iso(start - length / 2), to: iso(Math.min(end + length / 2, now)) };
}

/** The range as long as this one, half of it earlier (-1) or later. @param {string} from @param {string} to @param {number} now @param {1 | -1} step */
export function shifted(from, to, now, step) {
  const [start, end] = [moment(from, now), moment(to, now)];
  if (from === ALL_TIME || start === null || end === null) return null;
  const by = (step * Math.max(end - start, SECOND)) / 2;
  return { from: iso(start + by), to: iso(end + by) };
}

/** The `from` of the shortest preset that reaches back this far. @param {number} age in ms */
export function presetFor(age) {
  return PRESETS.find((each) => (relative(each.from) ?? Infinity) >= age)?.from ?? ALL_TIME;
}

/** @param {number} at ms since the epoch @returns {string} RFC 3339 with ms */
export function iso(at) {
  return new Date(at).toISOString();
}

/**
 * `2026-07-28 14:03:22.123`, the same width whatever the language.
 * @param {number} at
 * @param {boolean} utc
 */
export function stamp(at, utc) {
  const shifted = new Date(utc ? at : at - new Date(at).getTimezoneOffset() * MINUTE);
  return Number.isNaN(shifted.getTime()) ? "" : shifted.toISOString().slice(0, -1).replace("T", " ");
}

/** A row's time: the year is in the tooltip. @param {string} time RFC 3339 @param {boolean} utc */
export function rowTime(time, utc) {
  return stamp(Date.parse(time), utc).slice(-18) || time;
}

/** The value of a `datetime-local` field. @param {number} at @param {boolean} utc */
export function fieldTime(at, utc) {
  return stamp(at, utc).replace(" ", "T");
}

/**
 * What a `datetime-local` field says, as RFC 3339; empty if it is empty.
 * @param {string} value
 * @param {boolean} utc
 */
export function timeOfField(value, utc) {
  const at = Date.parse(utc && value ? `${value}Z` : value);
  return Number.isNaN(at) ? "" : iso(at);
}

/** Sorts as the moment does, to the nanosecond. @param {string} time RFC 3339 in UTC */
export function sortKey(time) {
  const [seconds, fraction = ""] = time.replace(/Z$/, "").split(".");
  return `${seconds}.${fraction.padEnd(9, "0")}`;
}

/** `3 minutes ago`. @param {number} at @param {number} now */
export function ago(at, now) {
  const age = Math.max(0, now - at);
  const [unit, name] =
    age < 90 * SECOND
      ? [SECOND, "second"]
      : age < 90 * MINUTE
        ? [MINUTE, "minute"]
        : age < 36 * HOUR
          ? [HOUR, "hour"]
          : [DAY, "day"];
  const count = Math.round(age / Number(unit));
  return `${count} ${name}${count === 1 ? "" : "s"} ago`;
}

const TICK_STEPS = [
  1,
  5,
  10,
  50,
  100,
  500,
  SECOND,
  5 * SECOND,
  10 * SECOND,
  30 * SECOND,
  MINUTE,
  5 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  7 * DAY,
  14 * DAY,
  30 * DAY,
  90 * DAY,
  365 * DAY,
];

/**
 * Round moments inside a range, at most `most` of them.
 * @param {number} from @param {number} to @param {number} most @param {boolean} utc
 * @returns {{ at: number, label: string }[]}
 */
export function ticks(from, to, most, utc) {
  const step = TICK_STEPS.find((each) => (to - from) / each <= most) ?? to - from;
  const zone = utc ? 0 : new Date(from).getTimezoneOffset() * MINUTE;
  const found = [];
  for (let at = Math.ceil((from - zone) / step) * step + zone; at <= to; at += step) {
    const text = stamp(at, utc);
    const label = step < SECOND ? text.slice(11) : step < MINUTE ? text.slice(11, 19) : text.slice(11, 16);
    found.push({ at, label: step >= DAY || label.startsWith("00:00") ? text.slice(5, 10) : label });
  }
  return found;
}

/** How long something took, as one reads it. @param {number} ms */
export function duration(ms) {
  if (ms < 0.001) return "0";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

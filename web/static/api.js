/**
 * The server, as the page sees it. The only file that calls `fetch` or `EventSource`.
 *
 * @import { ExactNumber } from "./value.js"
 *
 * @typedef {null | boolean | number | string | ExactNumber | unknown[] | Fields} Value
 * @typedef {{ [name: string]: Value }} Fields
 * @typedef {object} LogRecord what a record does not have is absent
 * @property {string} id
 * @property {string} time RFC 3339 with nanoseconds, UTC
 * @property {string} level
 * @property {string} [service]
 * @property {string} [instance]
 * @property {string} [host]
 * @property {string} [version]
 * @property {string} [boot]
 * @property {number | ExactNumber} [seq]
 * @property {string} [target]
 * @property {string} [file]
 * @property {number} [line]
 * @property {string} [message]
 * @property {Fields} [attrs] what the sender says of its process
 * @property {Fields} [fields]
 * @property {{ name: string, fields?: Fields }[]} [spans]
 * @property {string} [trace_id]
 * @property {string} [span_id]
 * @property {string} [thread]
 * @property {string[]} [flags] `lost`: no record, but the account of some that did not arrive
 *
 * @typedef {{ error: string, at?: { start: number, end: number } | null, hint?: string | null }} QueryError
 * @typedef {object} Account what every answer says of itself
 * @property {string} read_as
 * @property {boolean} [as_text]
 * @property {QueryError | null} [error] why it was read as text
 * @property {number} scanned
 * @property {number} ms
 * @property {string | null} partial
 *
 * @typedef {object} Found
 * @property {LogRecord[]} records newest first
 * @property {string | null} next where the next page starts
 * @typedef {{ name: string, kind: "text" | "number" | "time" | "level" }} Column
 * @typedef {{ columns: Column[], rows: Value[][], capped?: boolean, left_out?: number }} Table made by a pipeline
 * @typedef {Account & Found & Partial<Table>} SearchAnswer
 * @typedef {Account & Table} TableAnswer
 *
 * @typedef {object} HistogramAnswer
 * @property {string} from
 * @property {string} to
 * @property {number} step_ms
 * @property {{ time: string, counts: Record<string, number> }[]} buckets empty ones may be left out
 * @property {number} total
 * @property {string | null} partial
 *
 * @typedef {Account & { fields: { name: string, records: number }[], capped: boolean }} FieldsAnswer
 * @typedef {{ value: string, records: number }} ValueCount
 * @typedef {Account & { values: ValueCount[], distinct: number, capped: boolean }} ValuesAnswer
 *
 * @typedef {{ version: string | null, first_seen: string, last_seen: string, count: number }} VersionCount
 * @typedef {object} Issue
 * @property {string} id
 * @property {string} title
 * @property {string} level
 * @property {string} [callsite]
 * @property {string} [fingerprint]
 * @property {number} count
 * @property {string} first_seen
 * @property {string} last_seen
 * @property {{ service: string, versions: VersionCount[] }[]} services
 * @property {{ service: string, version: string }[]} [new_since] versions before which no record of the service had it
 * @property {number[]} sparkline
 * @property {string} sample a record's id
 * @property {string} query finds its records
 *
 * @typedef {object} ServiceStats
 * @property {string} service
 * @property {number} records
 * @property {number} bytes
 * @property {number} rate_per_minute
 * @property {number} errors
 * @property {string | null} last_seen
 * @property {number} lost
 * @property {{ callsite: string, records: number, bytes: number }[]} [callsites]
 * @typedef {object} Stats
 * @property {string | null} partial
 * @property {ServiceStats[]} services
 * @property {{ records: number, bytes: number, oldest: string | null, newest: string | null, partitions?: number }} store
 *
 * @typedef {object} Alert
 * @property {number} threshold
 * @property {boolean} above whether more than so many are too many, or fewer too few
 * @property {number} window_s
 * @property {string} webhook
 * @property {number} cooldown_s
 * @property {boolean} enabled
 * @typedef {{ name: string, q: string, from: string, alert: Alert | null }} SavedSearch
 * @typedef {{ id: string, state?: { last_fired: string | null, last_error: string | null } | null }} Kept
 * @typedef {SavedSearch & Kept} SavedEntry
 */

// Every number comes as it was written; those the page calculates with are made plain here.
import { parse } from "./value.js";

/** The server said no, or nothing at all (`status` 0). */
export class ApiError extends Error {
  /** @param {number} status @param {QueryError} answer */
  constructor(status, answer) {
    super(answer.error);
    this.status = status;
    this.answer = answer;
  }
}

/** Whether the server has no such thing: an older one, or one that was told to keep nothing. @param {unknown} error */
export function isAbsent(error) {
  return error instanceof ApiError && (error.status === 404 || error.status === 405);
}

/** @param {Record<string, string>} parameters @param {AbortSignal} signal @returns {Promise<SearchAnswer>} */
export async function search(parameters, signal) {
  const answer = await ask("api/search", parameters, signal);
  return { ...answer, records: answer.records ?? [], next: answer.next ?? null, ms: Number(answer.ms) };
}

/**
 * @param {Record<string, string>} parameters
 * @param {AbortSignal} signal
 * @returns {Promise<HistogramAnswer>}
 */
export async function histogram(parameters, signal) {
  const answer = await ask("api/histogram", parameters, signal);
  return { ...answer, step_ms: Number(answer.step_ms) };
}

/** @param {Record<string, string>} parameters @param {AbortSignal} signal @returns {Promise<FieldsAnswer>} */
export async function fields(parameters, signal) {
  const answer = await ask("api/fields", parameters, signal);
  return { ...answer, fields: answer.fields.map(counted) };
}

/**
 * The most frequent values of a field.
 * @param {Record<string, string>} parameters
 * @param {AbortSignal} signal
 * @returns {Promise<ValuesAnswer>}
 */
export async function values(parameters, signal) {
  const answer = await ask("api/values", parameters, signal);
  return { ...answer, values: answer.values.map(counted) };
}

/** @param {string} id @param {Record<string, string>} parameters @param {AbortSignal} signal @returns {Promise<SearchAnswer>} */
export async function context(id, parameters, signal) {
  return await ask(`api/context/${encodeURIComponent(id)}`, parameters, signal);
}

/** A trace's records, oldest first. @param {string} id @param {AbortSignal} signal @returns {Promise<SearchAnswer>} */
export async function trace(id, signal) {
  return await ask(`api/trace/${encodeURIComponent(id)}`, {}, signal);
}

/** @param {Record<string, string>} parameters @param {AbortSignal} signal @returns {Promise<Account & { issues: Issue[], total?: number }>} */
export async function issues(parameters, signal) {
  return await ask("api/issues", parameters, signal);
}

/** @param {Record<string, string>} parameters @param {AbortSignal} signal @returns {Promise<Stats>} */
export async function stats(parameters, signal) {
  return await ask("api/stats", parameters, signal);
}

/** The query language by example. @param {AbortSignal} signal @returns {Promise<{ written: string, finds: string }[]>} */
export async function language(signal) {
  return (await ask("api/language", {}, signal)).table;
}

/** @param {AbortSignal} signal @returns {Promise<SavedEntry[]>} */
export async function saved(signal) {
  return (await ask("api/saved", {}, signal)).saved;
}

/** Keeps a search; without an id it is a new one. @param {string | null} id @param {SavedSearch} search @returns {Promise<SavedEntry>} */
export async function keep(id, search) {
  const path = id === null ? "api/saved" : `api/saved/${encodeURIComponent(id)}`;
  return await send(path, id === null ? "POST" : "PUT", search);
}

/** @param {string} id */
export async function forget(id) {
  await send(`api/saved/${encodeURIComponent(id)}`, "DELETE");
}

/**
 * When an alert would have fired.
 * @param {{ q: string, threshold: number, above: boolean, window_s: number, from: string, to: string }} alert
 * @param {AbortSignal} signal
 * @returns {Promise<{ fired: { time: string, count: number }[] }>}
 */
export async function preview(alert, signal) {
  return await send("api/saved/preview", "POST", alert, signal);
}

/** Where everything that matched can be had as a file. @param {Record<string, string>} parameters @param {string} format */
export function exportAddress(parameters, format) {
  return `api/export?${new URLSearchParams({ ...parameters, format })}`;
}

/** @template {{ records: number }} T @param {T} each @returns {T} */
function counted(each) {
  return { ...each, records: Number(each.records) };
}

/** @param {string} path @param {Record<string, string>} parameters @param {AbortSignal} signal */
async function ask(path, parameters, signal) {
  return await request(`${path}?${new URLSearchParams(parameters)}`, { signal });
}

/** @param {string} path @param {string} method @param {object} [body] @param {AbortSignal} [signal] */
async function send(path, method, body, signal) {
  const headers = { "content-type": "application/json" };
  return await request(path, { method, headers, body: body && JSON.stringify(body), signal });
}

/** @param {string} address @param {RequestInit} how */
async function request(address, how) {
  let response;
  let body;
  try {
    response = await fetch(address, how);
    body = await response.text();
  } catch (error) {
    if (how.signal?.aborted) throw error;
    throw new ApiError(0, { error: "The server does not answer." });
  }
  if (response.ok) return body ? parse(body) : null;
  let answer;
  try {
    answer = parse(body);
  } catch {
    // Not from our server, or not whole: the status is all there is to say.
  }
  throw new ApiError(
    response.status,
    answer?.error ? answer : { error: `The server answered with status ${response.status}.` },
  );
}

/**
 * Follows new records. The browser reconnects by itself and says where it was; `closed` means that it gave up.
 * @param {Record<string, string>} parameters
 * @param {object} handlers
 * @param {() => void} handlers.open
 * @param {(record: LogRecord) => void} handlers.record oldest first
 * @param {(skipped: number | null) => void} handlers.gap some were left out; null if the server did not count them
 * @param {() => void} handlers.lost
 * @param {() => void} handlers.closed
 * @returns {() => void} stops it
 */
export function tail(parameters, handlers) {
  const source = new EventSource(`api/tail?${new URLSearchParams(parameters)}`);
  source.addEventListener("open", () => handlers.open());
  source.addEventListener("record", (event) => handlers.record(parse(event.data)));
  source.addEventListener("gap", (event) => {
    const { skipped } = parse(event.data);
    handlers.gap(typeof skipped === "number" ? skipped : null);
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) handlers.closed();
    else handlers.lost();
  });
  return () => source.close();
}

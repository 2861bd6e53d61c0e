/**
 * The server, as the page sees it. The only file that calls `fetch` or `EventSource`.
 *
 * @import { ExactNumber } from "./exact.js"
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
 * @property {string[]} [flags]
 *
 * @typedef {{ error: string, at?: { start: number, end: number } | null, hint?: string | null }} QueryError
 * @typedef {object} SearchAnswer
 * @property {LogRecord[]} records newest first
 * @property {string | null} next where the next page starts
 * @property {string} read_as
 * @property {boolean} [as_text]
 * @property {QueryError | null} [error] why it was read as text
 * @property {number} scanned
 * @property {number} ms
 * @property {string | null} partial
 *
 * @typedef {object} HistogramAnswer
 * @property {string} from
 * @property {string} to
 * @property {number} step_ms
 * @property {{ time: string, counts: Record<string, number> }[]} buckets empty ones may be left out
 * @property {number} total
 * @property {string | null} partial
 */

// Every number comes as it was written; those the page calculates with are made plain here.
import { parse } from "./exact.js";

/** The server said no, or nothing at all (`status` 0). */
export class ApiError extends Error {
  /** @param {number} status @param {QueryError} answer */
  constructor(status, answer) {
    super(answer.error);
    this.status = status;
    this.answer = answer;
  }
}

/** @param {Record<string, string>} parameters @param {AbortSignal} signal @returns {Promise<SearchAnswer>} */
export async function search(parameters, signal) {
  const answer = await ask("api/search", parameters, signal);
  return { ...answer, ms: Number(answer.ms) };
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

/** @param {string} path @param {Record<string, string>} parameters @param {AbortSignal} signal */
async function ask(path, parameters, signal) {
  let response;
  let body;
  try {
    response = await fetch(`${path}?${new URLSearchParams(parameters)}`, { signal });
    body = await response.text();
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError(0, { error: "The server does not answer." });
  }
  if (response.ok) return parse(body);
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

/** The queries this browser ran, walked with ↑ and ↓ as in a shell. Pure, but for what it is given to store with. */

/** As many as anybody walks back through. */
const LONGEST = 50;

export class QueryHistory {
  /** @param {string | null} stored @param {(text: string) => void} store */
  constructor(stored, store) {
    this.store = store;
    /** @type {string[]} newest first */
    this.queries = readList(stored);
    this.at = -1;
    this.draft = "";
  }

  /** @param {string} query */
  add(query) {
    this.at = -1;
    if (!query) return;
    this.queries = [query, ...this.queries.filter((each) => each !== query)].slice(0, LONGEST);
    this.store(JSON.stringify(this.queries));
  }

  /**
   * One step back.
   * @param {string} current what the box holds
   * @returns {string | null} null if there is no older one
   */
  older(current) {
    if (this.at === -1) this.draft = current;
    let next = this.at + 1;
    if (this.queries[next] === current) next += 1;
    if (next >= this.queries.length) return null;
    this.at = next;
    return this.queries[next];
  }

  /** One step forth; ends at what was being typed. @returns {string | null} */
  newer() {
    if (this.at === -1) return null;
    this.at -= 1;
    return this.at === -1 ? this.draft : this.queries[this.at];
  }
}

/** @param {string | null} stored @returns {string[]} */
function readList(stored) {
  try {
    const list = JSON.parse(stored ?? "[]");
    return Array.isArray(list) ? list.filter((each) => typeof each === "string") : [];
  } catch {
    // Somebody else wrote there: an empty history is what is left of it.
    return [];
  }
}

// The rows that a view of a grid has received, and its requests for more.

const NEAR_ROWS = 15; // above and below those in sight: when one of these is missing, it is requested
const AHEAD_ROWS = 40; // requested above and below those in sight
const JUMP_ROWS = 4; // the same when rows in sight are missing: these few arrive sooner
const KEPT_ROWS = 4_000;
const ROWS_ANSWER_MS = 5_000; // after this long without an answer, it may be lost

/**
 * @typedef {(string | null)[]} GridRow The cells of a row as text; null for a missing value.
 *
 * @typedef {object} GridSource The rows that a grid shows, and a window of them.
 * @property {number} generation
 * @property {number} count
 * @property {number} start Of the window.
 * @property {GridRow[]} rows The window.
 * @property {[column: string, descending: boolean] | null} sort
 */

/**
 * Create the rows of a view. One request is on its way at a time, and the next is for the rows that
 * are in sight by then: those that were only passed are not requested. Rows in sight come first; those
 * around them are requested once the page has had time to paint.
 *
 * @param {(request: object) => void} send
 * @param {() => void} arrived Called when rows have arrived.
 */
function createRowCache(send, arrived) {
  /** @type {Map<number, GridRow>} */
  let known = new Map();
  let generation = -1;
  let count = 0;
  let first = 0; // in sight
  let stop = 0;
  let sentAt = 0; // 0: nothing is on its way
  let isReported = false; // whether Python knows that this view shows this generation
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let later; // the request for rows that are not in sight

  /** @param {number} from @param {number} to */
  function isComplete(from, to) {
    for (let row = Math.max(0, from); row < Math.min(count, to); row++) {
      if (!known.has(row)) return false;
    }
    return true;
  }

  function request() {
    if (sentAt && Date.now() - sentAt < ROWS_ANSWER_MS) return;
    const fetch = !isComplete(first - NEAR_ROWS, stop + NEAR_ROWS);
    if (!fetch && isReported) return;
    isReported = true;
    const around = isComplete(first, stop) ? AHEAD_ROWS : JUMP_ROWS;
    if (fetch) {
      sentAt = Date.now();
      clearTimeout(timer);
      timer = setTimeout(request, ROWS_ANSWER_MS);
    }
    send({
      kind: "window",
      generation,
      start: Math.max(0, first - around),
      stop: Math.min(count, stop + around),
      fetch,
    });
  }

  /** @param {number} start @param {GridRow[]} rows */
  function keep(start, rows) {
    rows.forEach((row, index) => {
      known.set(start + index, row);
    });
    if (known.size <= KEPT_ROWS) return;
    for (const row of known.keys()) {
      if (row < first - KEPT_ROWS / 4 || row > stop + KEPT_ROWS / 4) known.delete(row);
    }
  }

  return {
    /** @param {number} row */
    get: (row) => known.get(row),
    isComplete,

    /** Return whether some of these rows have arrived. @param {number} from @param {number} to */
    hasSome(from, to) {
      for (let row = from; row < to; row++) if (known.has(row)) return true;
      return false;
    },

    /** @param {GridSource} source */
    start(source) {
      generation = source.generation;
      count = source.count;
      known = new Map();
      first = stop = source.start;
      keep(source.start, source.rows);
      sentAt = 0;
      isReported = false;
      clearTimeout(timer);
    },

    /** Request rows if some of those in or near sight are missing. @param {number} from @param {number} to */
    show(from, to) {
      first = from;
      stop = to;
      clearTimeout(later);
      if (isComplete(first, stop)) later = setTimeout(request, 0);
      else request();
    },

    /** @param {{ generation: number, start: number, rows: GridRow[] }} message */
    take(message) {
      if (message.generation !== generation) return; // of rows that have been replaced
      sentAt = 0;
      clearTimeout(timer);
      keep(message.start, message.rows);
      arrived();
      // After the next frame, `show` is called anyway.
      if (!isComplete(first, stop)) request();
    },

    close() {
      clearTimeout(timer);
      clearTimeout(later);
    },
  };
}

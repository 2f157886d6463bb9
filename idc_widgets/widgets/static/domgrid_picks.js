// The picked rows of a view: it shows a pick at once, sends it, and shows what Python has picked when
// all of its picks are answered. While one is on its way, the next wait, and become one.
// To Python: {kind: "pick", view, number, generation, ranges, before}.

// After this long without an answer, it may be lost, and nothing waits for it.
const PICK_ANSWER_MS = 5_000;

/**
 * @typedef {[start: number, stop: number][]} RowRanges Sorted, without overlaps.
 *
 * @typedef {object} GridPicks
 * @property {number} number
 * @property {number} generation
 * @property {RowRanges} ranges
 * @property {number} reveal A row to bring in sight, or -1.
 * @property {Record<string, number>} answers View → its last pick that is taken into account.
 *
 * @typedef {object} PickBase What a view showed when a pick began.
 * @property {number} generation
 * @property {RowRanges} ranges
 */

/** @param {RowRanges} ranges @param {number} row */
function hasRow(ranges, row) {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {[number, number]} */ (ranges[middle])[1] <= row) low = middle + 1;
    else high = middle;
  }
  const found = ranges[low];
  return found !== undefined && found[0] <= row;
}

/** @param {RowRanges} ranges */
const countRows = (ranges) => ranges.reduce((sum, [start, stop]) => sum + stop - start, 0);

/** @param {RowRanges} ranges @param {number} from @param {number} to @returns {RowRanges} */
function withoutRange(ranges, from, to) {
  return ranges.flatMap(([start, stop]) => {
    /** @type {RowRanges} */
    const left = [];
    if (start < Math.min(stop, from)) left.push([start, Math.min(stop, from)]);
    if (Math.max(start, to) < stop) left.push([Math.max(start, to), stop]);
    return left;
  });
}

/** @param {RowRanges} ranges @param {number} from @param {number} to @returns {RowRanges} */
function withRange(ranges, from, to) {
  /** @type {RowRanges} */
  const merged = [];
  const parts = /** @type {RowRanges} */ ([...withoutRange(ranges, from, to), [from, to]]);
  for (const [start, stop] of parts.sort((one, other) => one[0] - other[0])) {
    const last = merged.at(-1);
    if (last && last[1] === start) last[1] = stop;
    else merged.push([start, stop]);
  }
  return merged;
}

/**
 * @param {(request: object) => void} send
 * @param {string} view
 */
function createPicks(send, view) {
  /** @type {RowRanges} */
  let shown = [];
  let generation = -1;
  let sent = 0;
  let answered = 0;
  let sentAt = 0;
  /** @type {object & { before: RowRanges } | null} */
  let held = null; // a pick that waits for the answer to the one before

  const isPending = () => answered < sent && Date.now() - sentAt < PICK_ANSWER_MS;

  /** @param {object} pick */
  function sendPick(pick) {
    sent += 1;
    sentAt = Date.now();
    send({ kind: "pick", view, number: sent, ...pick });
  }

  function flush() {
    const pick = held;
    held = null;
    if (pick) sendPick(pick);
  }

  return {
    ranges: () => shown,
    /** @returns {PickBase} */
    base: () => ({ generation, ranges: shown }),
    flush,

    /**
     * Pick these rows and no others. Return whether that changes anything.
     *
     * @param {RowRanges} ranges
     * @param {PickBase} base What the person saw.
     */
    choose(ranges, base) {
      if (JSON.stringify(ranges) === JSON.stringify(base.ranges)) return false;
      if (base.generation !== generation) {
        sendPick({ ...base, ranges, before: base.ranges });
        return true;
      }
      const pick = { generation, ranges, before: held?.before ?? base.ranges };
      shown = ranges;
      if (isPending()) {
        if (!held) setTimeout(flush, PICK_ANSWER_MS);
        held = pick;
      } else sendPick(pick);
      return true;
    },

    /** Take in what Python has picked. @param {GridPicks} picks */
    settle(picks) {
      answered = Math.max(answered, picks.answers[view] ?? 0);
      if (picks.generation !== generation) {
        flush(); // with the generation that the person saw
        generation = picks.generation;
        shown = picks.ranges;
      } else if (!isPending()) {
        if (held) flush();
        else shown = picks.ranges;
      }
    },
  };
}

// The picked rows of a page view. It shows a pick at once, and sends it. When all of its picks are
// answered, it shows the rows that Python has picked. While a pick is on its way, later picks wait and
// are merged into one.
// To Python: {kind: "pick", view, number, generation, ranges, before}, {kind: "clear", view, number};
// see `createRequests` for the answer.

/**
 * @typedef {[start: number, stop: number][]} RowRanges Sorted, without overlaps.
 *
 * @typedef {object} GridPicks
 * @property {number} number
 * @property {number} generation
 * @property {RowRanges} ranges
 * @property {number} reveal A row to bring in sight, or -1.
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

/** @typedef {"only" | "toggle" | "range" | "add" | "all" | "none"} HowToPick */

/**
 * Return the picked rows after a pick.
 *
 * @param {HowToPick} how
 * @param {RowRanges} ranges The rows that were picked before.
 * @param {{ anchor: number, row: number, count: number }} rows Where a range begins, the row of the
 *   pick, and the number of rows.
 * @returns {RowRanges}
 */
function pickedRanges(how, ranges, { anchor, row, count }) {
  const [from, to] = [Math.min(anchor, row), Math.max(anchor, row) + 1];
  switch (how) {
    case "only":
      return [[row, row + 1]];
    case "toggle":
      return (hasRow(ranges, row) ? withoutRange : withRange)(ranges, row, row + 1);
    case "range":
      return [[from, to]];
    case "add":
      return withRange(ranges, from, to);
    case "all":
      return count ? [[0, count]] : [];
    case "none":
      return [];
  }
}

/** @param {ReturnType<typeof createRequests>} requests */
function createPicks(requests) {
  /** @type {RowRanges} */
  let shown = [];
  let generation = -1;

  return {
    ranges: () => shown,
    /** @returns {PickBase} */
    base: () => ({ generation, ranges: shown }),
    flush: requests.flush,

    /** Return the earliest generation of rows that an unanswered click was made on. */
    needed() {
      const needed = requests.unanswered().map((content) => content.generation ?? generation);
      return Math.min(generation, ...needed);
    },

    /**
     * Pick these rows and no others. Return whether that changes anything.
     *
     * @param {RowRanges} ranges
     * @param {PickBase} base What the person saw.
     */
    choose(ranges, base) {
      const isSame = (/** @type {RowRanges} */ other) =>
        JSON.stringify(ranges) === JSON.stringify(other);
      // Picks of Python may have arrived that the person has not seen yet.
      if (isSame(base.ranges) && (base.generation !== generation || isSame(shown))) return false;
      const pick = { kind: "pick", generation: base.generation, ranges };
      if (base.generation !== generation) {
        requests.flush();
        requests.send({ ...pick, before: base.ranges });
        requests.flush();
        return true;
      }
      // Picks that wait become one: `before` is what was picked before the first of them.
      requests.send(requests.isWaiting() ? pick : { ...pick, before: base.ranges });
      shown = ranges;
      return true;
    },

    /** Remove all picks, also those whose rows are not shown. */
    clear() {
      requests.send({ kind: "clear" });
      shown = [];
    },

    /** Take in what Python has picked. @param {GridPicks} picks */
    settle(picks) {
      const isSettled = requests.settle();
      if (picks.generation === undefined) return;
      if (picks.generation !== generation) {
        requests.flush(); // with the generation that the person saw
        generation = picks.generation;
        shown = picks.ranges;
      } else if (isSettled) shown = picks.ranges;
    },
  };
}

/**
 * Send a pick that still waits before what is clicked or typed next outside the grid.
 *
 * @param {HTMLElement} root
 * @param {{ flush: () => void }} picks
 * @param {AbortSignal} signal
 */
function flushBeforeOthers(root, picks, signal) {
  for (const type of ["pointerdown", "click", "keydown"]) {
    window.addEventListener(
      type,
      (event) => {
        if (!event.composedPath().includes(root)) picks.flush();
      },
      { capture: true, signal },
    );
  }
}

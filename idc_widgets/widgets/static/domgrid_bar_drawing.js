// One distribution as a picture: bars, and a line of text below them.

const SVG = "http://www.w3.org/2000/svg";
const MIN_SLOTS = 5; // there is room for at least so many bars, so that few bars are not wide
const BAR_HEIGHT = 100; // the height of the picture, in its own units
const MIN_BAR = 7; // the least height of a bar that is not empty

/**
 * @typedef {string | number | null} BarValue
 * @typedef {[text: string, shown: number, possible: number, value: BarValue]} GridBar
 *
 * @typedef {object} Distribution
 * @property {[one: string, several: string]} unit What is counted.
 * @property {number | null} total How much is counted; null if it is the number of rows.
 * @property {GridBar[]} bars
 * @property {BarValue[]} chosen Values, or the first and the last bin.
 * @property {number} others The number of values without a bar.
 * @property {string[]} edges The edges of the bins.
 * @property {string} edge_unit The unit of the edges; may be "".
 */

/** @param {number} part @param {number} whole */
function percent(part, whole) {
  const rounded = Math.round((100 * part) / Math.max(whole, 1));
  return rounded === 0 && part > 0 ? "< 1 %" : `${rounded} %`;
}

/**
 * Return in words what a bar stands for.
 *
 * @param {GridBar} bar
 * @param {Distribution} distribution
 * @param {number} rows
 */
function barText([text, shown, possible], { unit, total }, rows) {
  const number = shown || possible;
  const counted = `${text} ${NUMBER.format(number)} ${number === 1 ? unit[0] : unit[1]}`;
  if (shown) return `${counted}, ${percent(shown, total ?? rows)}`;
  return possible ? `${counted}, hidden by the filter` : counted;
}

/**
 * Return the range of several bins as a text, from the texts of the first and the last bin. The
 * text of a bin is like "60 – 64 years" or "7" or, at the ends, like "≤ 4 years" and "≥ 95 years".
 *
 * @param {GridBar[]} bars
 * @param {number} first
 * @param {number} last
 */
function rangeOfBins(bars, first, last) {
  const [one, other] = [bars[first]?.[0] ?? "", bars[last]?.[0] ?? ""];
  if (first === last) return one;
  const [low, high] = [one.split(" – ")[0] ?? "", other.split(" – ").at(-1) ?? ""];
  const [isFirst, isLast] = [low.startsWith("≤"), high.startsWith("≥")];
  if (isFirst && isLast) return "(all)";
  if (isFirst) return `≤ ${high}`;
  return isLast ? other.replace(/^≥ [^ ]+/, `≥ ${low}`) : `${low} – ${high}`;
}

/**
 * Create the picture of one distribution.
 *
 * @param {boolean} isBins
 */
function createBarPicture(isBins) {
  const cell = h("div", "idc-grid-bars-cell");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("preserveAspectRatio", "none");
  const caption = h("div", "idc-grid-bars-text");
  cell.append(svg, caption);
  let slots = 0;
  let count = 0;
  let usual = ""; // the caption while no bar is current
  /** @type {SVGGElement[]} */
  let groups = [];

  /** @param {string} className @param {number} x @param {number} height */
  function rect(className, x, height) {
    const element = document.createElementNS(SVG, "rect");
    element.setAttribute("class", className);
    element.setAttribute("x", String(x + 0.06));
    element.setAttribute("width", "0.88");
    element.setAttribute("y", String(BAR_HEIGHT - height));
    element.setAttribute("height", String(height));
    return element;
  }

  return {
    cell,
    svg,

    /**
     * Return the index of the bar at a place, or -1; with `near`, the index of the nearest bar.
     *
     * @param {number} x In the window.
     * @param {boolean} [near]
     */
    barAt(x, near = false) {
      const { left, width } = svg.getBoundingClientRect();
      const at = Math.floor(((x - left) / Math.max(width, 1)) * slots);
      if (near) return Math.max(0, Math.min(count - 1, at));
      return at >= 0 && at < count ? at : -1;
    },

    /** @param {GridBar[]} bars @param {string} text The usual caption. */
    draw(bars, text) {
      count = bars.length;
      slots = isBins ? count : Math.max(count, MIN_SLOTS);
      svg.setAttribute("viewBox", `0 0 ${Math.max(slots, 1)} ${BAR_HEIGHT}`);
      const most = Math.max(1, ...bars.map(([, , possible]) => possible));
      /** @param {number} number */
      const height = (number) => (number ? Math.max(MIN_BAR, (BAR_HEIGHT * number) / most) : 0);
      groups = bars.map(([, shown, possible], index) => {
        const group = document.createElementNS(SVG, "g");
        group.append(
          rect("idc-bar-place", index, BAR_HEIGHT),
          rect("idc-bar-possible", index, height(possible)),
          rect("idc-bar-shown", index, height(shown)),
        );
        return group;
      });
      svg.replaceChildren(...groups);
      usual = text;
      caption.textContent = text;
    },

    /** Show which bars are chosen. @param {(index: number) => boolean} isChosen */
    mark(isChosen) {
      groups.forEach((group, index) => {
        group.classList.toggle("idc-bar-chosen", isChosen(index));
      });
    },

    /**
     * Show which bars are current, and a text about them; none if `first` is -1.
     *
     * @param {number} first
     * @param {number} last
     * @param {string} text
     */
    point(first, last, text) {
      groups.forEach((group, index) => {
        group.classList.toggle("idc-bar-current", first >= 0 && index >= first && index <= last);
      });
      caption.textContent = first < 0 ? usual : text;
      cell.classList.toggle("idc-grid-bars-pointed", first >= 0);
      caption.classList.remove("idc-grid-bars-to-left");
      const right = cell.closest(".idc-grid-scroller")?.getBoundingClientRect().right ?? Infinity;
      const isCut = first >= 0 && caption.getBoundingClientRect().right > right;
      caption.classList.toggle("idc-grid-bars-to-left", isCut);
    },
  };
}

// The header of a grid: the widths of its columns, and how a person changes them.

const CHECK_PX = 26; // the width of the column of checkboxes
const MORE_PX = 22; // the width of the column of buttons that open the menu of a row
const MIN_COLUMN_PX = 40;
const MIN_TEXT_PX = 64;
const MAX_COLUMN_PX = 1_200;
const RESIZE_STEP_PX = 16; // by how much a key changes a width
const DOUBLE_CLICK_MS = 400;
const PADDING_PX = 12; // the padding of a cell, left and right together
const ARROW_PX = 12; // the width of the arrow in the header of the sorted column

// The longest texts that must fit into the cells of a kind or of a column. If a number, a date or the
// start of an identifier were cut, people would read another value.
/** @type {Record<string, string>} */
const LONGEST_VALUES = {
  count: "99,999",
  size: "999.9 MB",
  date: "2000-00-00",
  age: "000Y",
  state: "✓ complete",
  PatientID: "TCGA-00-0000",
};

/**
 * @typedef {object} GridColumn
 * @property {string} name
 * @property {string} label
 * @property {string} hint The tooltip of the header.
 * @property {string} kind
 * @property {number} width In px, the usual one.
 * @property {"values" | "bins" | ""} [bars] The kind of its distribution; "" for none.
 *
 * @typedef {object} FittedColumn
 * @property {number} width The usual one.
 * @property {number} min The least at which the header is whole.
 * @property {boolean} isFlexible Whether it may be wider than usual.
 */

/**
 * Return widths that fill the available one. If the columns do not fit, all become narrower, provided
 * that half of what each can spare (its width without `min`) is enough: texts can still be read then.
 * Otherwise, the first `important` columns stay in sight, and the right edge cuts no column.
 *
 * @param {FittedColumn[]} columns
 * @param {number} available
 * @param {number} important
 * @param {boolean} isUsual Whether no person has set a width. A person may want to cut a column.
 */
function fitWidths(columns, available, important, isUsual) {
  const widths = columns.map(({ width, min }) => Math.max(width, min));
  /** @param {number[]} numbers @param {number} [count] */
  const sum = (numbers, count = numbers.length) =>
    numbers.slice(0, count).reduce((total, one) => total + one, 0);
  /** Return by how much each of the first columns may be narrower. @param {number} count */
  const spares = (count) =>
    columns.slice(0, count).map(({ min }, at) => /** @type {number} */ (widths[at]) - min);

  /** Take `px` from the first columns, as far as they have it. @param {number} count @param {number} px */
  function narrow(count, px) {
    const spare = spares(count);
    share(Math.min(px, sum(spare)), spare).forEach((part, at) => {
      widths[at] = /** @type {number} */ (widths[at]) - part;
    });
  }

  /** Give `px` to the flexible ones of the first columns. @param {number} count @param {number} px */
  function widen(count, px) {
    const weights = columns.slice(0, count).map(({ isFlexible }, at) => {
      return isFlexible ? /** @type {number} */ (widths[at]) : 0;
    });
    share(px, weights).forEach((part, at) => {
      widths[at] = /** @type {number} */ (widths[at]) + part;
    });
  }

  const tooWide = sum(widths) - available;
  if (tooWide <= 0) widen(columns.length, -tooWide);
  else if (sum(spares(columns.length)) >= 2 * tooWide) narrow(columns.length, tooWide);
  else {
    narrow(important, Math.max(0, sum(widths, important) - available));
    if (isUsual) alignToEdge();
  }
  return widths;

  /** Bring the column at the right edge in sight as a whole, or leave its room to those before it. */
  function alignToEdge() {
    const cut = columns.findIndex((_, at) => sum(widths, at + 1) > available);
    const px = sum(widths, cut + 1) - available; // what is missing
    const isMostlySeen = 2 * px < /** @type {number} */ (widths[cut]);
    if (isMostlySeen && sum(spares(cut + 1)) >= px) narrow(cut + 1, px);
    else if (cut > 0) widen(cut, available - sum(widths, cut));
  }
}

/**
 * Share a whole number of pixels in proportion to weights; nothing if all weights are 0.
 *
 * @param {number} px
 * @param {number[]} weights
 */
function share(px, weights) {
  let room = px;
  let left = weights.reduce((total, one) => total + one, 0);
  return weights.map((weight) => {
    const part = left ? Math.floor((room * weight) / left) : 0; // the last one gets all the rest
    left -= weight;
    room -= part;
    return part;
  });
}

/** Return what measures texts in the font of an element. @param {HTMLElement} element */
function createRuler(element) {
  const context = document.createElement("canvas").getContext("2d");
  const { fontWeight, fontSize, fontFamily } = getComputedStyle(element);
  if (context) context.font = `${fontWeight} ${fontSize} ${fontFamily}`;
  /** @param {string} text */
  return (text) => context?.measureText(text).width ?? 7 * text.length;
}

/**
 * Create the header of a grid.
 *
 * @param {object} options
 * @param {HTMLElement} options.head The row of headers.
 * @param {HTMLElement} options.sheet The element with the widths of the columns.
 * @param {string} options.id
 * @param {(width: number, isWide: boolean) => void} options.onWidth Called with the width of all columns, and
 *   whether they are wider than the grid.
 * @param {(widths: Record<string, number>) => void} options.onResize Called when a person has set a width.
 * @param {(text: string) => void} options.say
 */
function createHeader({ head, sheet, id, onWidth, onResize, say }) {
  /** @type {GridColumn[]} */
  let columns = [];
  /** @type {HTMLElement[]} */
  let boxes = [];
  /** @type {Record<string, number>} */
  let chosen = {}; // the widths that a person has set, by name
  let available = 0;

  let sorted = ""; // the name of the sorted column

  const check = h("div", "idc-grid-cell idc-grid-check");
  check.setAttribute("role", "columnheader");
  check.setAttribute("aria-colindex", "1");
  check.setAttribute("aria-label", "Picked");
  check.title = "Pick all rows, or none";
  check.id = `${id}-h-0`;
  const box = h("span", "idc-grid-box");
  box.setAttribute("aria-hidden", "true");
  check.append(box);

  const more = h("div", "idc-grid-cell idc-grid-more");
  more.setAttribute("role", "columnheader");
  more.setAttribute("aria-label", "Menu");

  function layOut() {
    if (!available) return;
    const measure = createRuler(head);
    const fitted = columns.map(({ name, label, kind, width }) => {
      const set = chosen[name];
      const value = LONGEST_VALUES[name] ?? LONGEST_VALUES[kind] ?? "";
      const header = measure(label) + (name === sorted ? ARROW_PX : 0);
      const min = Math.ceil(Math.max(header, measure(value))) + PADDING_PX + 1;
      // A column that is usually as narrow as its header, such as the sex, has short values.
      const isText = (kind === "text" || kind === "uid") && width >= MIN_TEXT_PX;
      return set === undefined
        ? { width, min: isText ? Math.max(min, MIN_TEXT_PX) : min, isFlexible: isText }
        : { width: set, min: set, isFlexible: false };
    });
    const important = columns.findIndex(({ kind }) => kind === "size") + 1;
    const widths = fitWidths(
      fitted,
      available - CHECK_PX - MORE_PX,
      important || columns.length,
      columns.every(({ name }) => chosen[name] === undefined),
    );
    const all = widths.reduce((total, width) => total + width, CHECK_PX + MORE_PX);
    const parts = [CHECK_PX, ...widths, MORE_PX].map((width) => `${width}px`);
    sheet.style.setProperty("--idc-columns", parts.join(" "));
    onWidth(Math.max(all, available), all > available);
  }

  /** @param {number} index Of the column, from 0. @param {number} width */
  function setWidth(index, width) {
    const column = columns[index];
    if (!column) return;
    const bounded = Math.max(MIN_COLUMN_PX, Math.min(MAX_COLUMN_PX, width));
    chosen = { ...chosen, [column.name]: Math.round(bounded) };
    layOut();
  }

  /** @param {number} index */
  const widthOf = (index) => boxes[index + 1]?.getBoundingClientRect().width ?? 0;

  /** @param {number} index */
  function createResizer(index) {
    const resizer = h("span", "idc-grid-resizer");
    resizer.setAttribute("aria-hidden", "true");
    resizer.addEventListener("click", (event) => event.stopPropagation());
    const resetWidth = () => {
      const { [columns[index]?.name ?? ""]: _, ...others } = chosen;
      chosen = others;
      layOut();
      onResize(chosen);
    };
    let pressedAt = Number.NEGATIVE_INFINITY;
    resizer.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      event.stopPropagation();
      // Firefox sends no "dblclick" after the default of "pointerdown" was prevented.
      const isDouble = event.timeStamp - pressedAt < DOUBLE_CLICK_MS;
      pressedAt = event.timeStamp;
      if (isDouble) return resetWidth();
      const from = event.clientX - widthOf(index);
      resizer.setPointerCapture(event.pointerId);
      /** @param {PointerEvent} moved */
      const move = (moved) => setWidth(index, moved.clientX - from);
      const end = () => {
        resizer.removeEventListener("pointermove", move);
        onResize(chosen);
      };
      resizer.addEventListener("pointermove", move);
      resizer.addEventListener("pointerup", end, { once: true });
      resizer.addEventListener("pointercancel", end, { once: true });
    });
    return resizer;
  }

  return {
    boxes: () => boxes,

    /** @param {GridColumn[]} described */
    setColumns(described) {
      columns = described;
      boxes = [check];
      columns.forEach(({ label, hint, kind }, index) => {
        const header = h("div", "idc-grid-cell idc-grid-th");
        header.classList.toggle("idc-grid-right", isRight(kind));
        header.setAttribute("role", "columnheader");
        header.setAttribute("aria-colindex", String(index + 2));
        header.id = `${id}-h-${index + 1}`;
        header.title = hint;
        const arrow = h("span", "idc-grid-arrow");
        arrow.setAttribute("aria-hidden", "true");
        header.append(h("span", "idc-grid-label", label), arrow, createResizer(index));
        boxes.push(header);
      });
      more.setAttribute("aria-colindex", String(columns.length + 2));
      more.id = `${id}-h-${columns.length + 1}`;
      boxes.push(more);
      head.replaceChildren(...boxes);
      layOut();
    },

    /** @param {Record<string, number>} widths */
    setWidths(widths) {
      chosen = widths;
      layOut();
    },

    /** @param {[column: string, descending: boolean] | null} sort */
    setSort(sort) {
      if (sorted !== (sort?.[0] ?? "")) {
        sorted = sort?.[0] ?? "";
        layOut();
      }
      columns.forEach(({ name, kind }, index) => {
        if (kind === "state") return;
        const isSorted = sort?.[0] === name;
        const order = sort?.[1] ? "descending" : "ascending";
        boxes[index + 1]?.setAttribute("aria-sort", isSorted ? order : "none");
      });
    },

    /** Show whether all, some or no rows are picked. @param {number} picked @param {number} count */
    setPicked(picked, count) {
      check.classList.toggle("idc-grid-all", picked > 0 && picked === count);
      check.classList.toggle("idc-grid-some", picked > 0 && picked < count);
    },

    /** @param {number} width */
    setAvailable(width) {
      if (width === available) return;
      available = width;
      layOut();
    },

    /** Change a width by key. @param {number} column 0 for the checkboxes. @param {number} direction */
    resize(column, direction) {
      if (column < 1 || column > columns.length) return;
      setWidth(column - 1, widthOf(column - 1) + direction * RESIZE_STEP_PX);
      say(`${columns[column - 1]?.label}: ${Math.round(widthOf(column - 1))} pixels wide`);
      onResize(chosen);
    },
  };
}

/** Return whether values of a kind are aligned at the right. @param {string} kind */
const isRight = (kind) => kind === "count" || kind === "size";

/**
 * Scroll sideways until a column is in sight, the last one beside the menus.
 *
 * @param {HTMLElement} scroller
 * @param {HTMLElement[]} boxes The headers, that of the checkboxes first.
 * @param {number} column
 */
function bringColumnInSight(scroller, boxes, column) {
  const [box, next] = boxes.slice(column);
  if (!box) return;
  const left = box.offsetLeft - CHECK_PX;
  const right = box.offsetLeft + box.offsetWidth - scroller.clientWidth;
  if (column === 0) scroller.scrollLeft = 0;
  else if (!next) scroller.scrollLeft = scroller.scrollWidth;
  else if (scroller.scrollLeft > left) scroller.scrollLeft = left;
  else if (scroller.scrollLeft < right) scroller.scrollLeft = Math.min(left, right);
}

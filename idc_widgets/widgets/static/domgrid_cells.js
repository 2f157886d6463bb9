// The rows of a grid that are in sight, as elements. They are used again for other rows: element n
// is the n-th row in sight, so that screen readers find the rows in order.

const UID_TAIL = 10; // characters at the end of a UID that are never cut: they tell UIDs apart
const MISSING_CELL = "–";

/**
 * @typedef {object} CellPosition
 * @property {number} row -1 for the header.
 * @property {number} column 0 for the checkboxes.
 *
 * @typedef {object} RowElements
 * @property {HTMLElement} line
 * @property {HTMLElement[]} boxes Its cells.
 * @property {number} row The row that it shows, or -1.
 * @property {GridRow | undefined} cells What it shows; undefined until it has arrived.
 * @property {boolean} isPicked
 * @property {number} current The column of the current cell, or -1.
 */

/**
 * @param {HTMLElement} body
 * @param {string} id
 */
function createRowElements(body, id) {
  /** @type {GridColumn[]} */
  let columns = [];
  /** @type {RowElements[]} */
  let pool = [];

  /** @returns {RowElements} */
  function create() {
    const line = h("div", "idc-grid-row");
    line.setAttribute("role", "row");
    const boxes = [h("div", "idc-grid-cell idc-grid-check")];
    const box = h("span", "idc-grid-box");
    box.setAttribute("aria-hidden", "true");
    boxes[0]?.append(box);
    for (const { kind } of columns) {
      const cell = h("div", "idc-grid-cell");
      cell.dataset.kind = kind;
      cell.classList.toggle("idc-grid-right", isRight(kind));
      // A UID has two parts. The first can be cut.
      if (kind === "uid") cell.append(h("span"), h("span"));
      boxes.push(cell);
    }
    const more = h("div", "idc-grid-cell idc-grid-more");
    more.setAttribute("aria-label", "Menu");
    more.append(h("span"));
    boxes.push(more);
    boxes.forEach((cell, index) => {
      cell.setAttribute("role", "gridcell");
      cell.setAttribute("aria-colindex", String(index + 1));
      cell.id = `${id}-${pool.length}-${index}`;
    });
    line.append(...boxes);
    body.append(line);
    const elements = { line, boxes, row: -1, cells: undefined, isPicked: false, current: -1 };
    pool.push(elements);
    return elements;
  }

  /** @param {HTMLElement} cell @param {string} kind @param {string | null | undefined} value */
  function fill(cell, kind, value) {
    const isMissing = value === null && kind !== "state";
    const text = value ?? (isMissing ? MISSING_CELL : "");
    cell.classList.toggle("idc-grid-missing", isMissing);
    if (cell.title) cell.removeAttribute("title");
    if (kind === "state") {
      cell.dataset.state = text.slice(0, 1); // a sign, which CSS draws
      setText(cell, text.slice(1));
    } else if (kind === "uid") {
      const at = Math.max(0, text.length - UID_TAIL);
      const [start, end] = /** @type {any} */ (cell.children);
      setText(start, text.slice(0, at));
      setText(end, text.slice(at));
      cell.setAttribute("aria-label", isMissing ? "missing" : text);
    } else {
      setText(cell, text);
    }
  }

  /** Return the text of a cell if it is cut; otherwise "". @param {HTMLElement} cell */
  function cutText(cell) {
    const part = /** @type {HTMLElement} */ (cell.firstElementChild ?? cell);
    return part.scrollWidth > part.clientWidth ? (cell.textContent ?? "") : "";
  }
  body.addEventListener("pointerover", (event) => {
    const cell = /** @type {Element} */ (event.target).closest("[role=gridcell]");
    if (!(cell instanceof HTMLElement) || cell.classList.contains("idc-grid-check")) return;
    if (!cell.classList.contains("idc-grid-more")) cell.title = cutText(cell);
  });

  return {
    /** @param {GridColumn[]} described */
    setColumns(described) {
      columns = described;
      pool = [];
      body.replaceChildren();
    },

    /** Return the cell at a position, if it is in sight. @param {CellPosition} position */
    cellAt: ({ row, column }) =>
      pool.find((elements) => elements.row === row && !elements.line.hidden)?.boxes[column],

    /** Return the row of an element, or -1. @param {Element} target */
    rowOf: (target) => pool.find(({ line }) => line.contains(target))?.row ?? -1,

    /** Return the column of an element, or -1. @param {Element} target */
    columnOf(target) {
      const cell = target.closest("[role=gridcell], [role=columnheader]");
      return cell?.parentElement ? [...cell.parentElement.children].indexOf(cell) : -1;
    },

    /**
     * Show rows. Return the id of the current cell, or "" if it is not among them.
     *
     * @param {number} first
     * @param {number} count
     * @param {(row: number) => GridRow | undefined} get
     * @param {RowRanges} picked
     * @param {CellPosition} current
     */
    draw(first, count, get, picked, current) {
      while (pool.length < count) create();
      let active = "";
      pool.forEach((elements, index) => {
        const { line, boxes } = elements;
        const row = first + index;
        if (line.hidden !== index >= count) line.hidden = index >= count;
        if (line.hidden) return;
        const cells = get(row);
        if (row !== elements.row) line.setAttribute("aria-rowindex", String(row + 2));
        if (row !== elements.row || cells !== elements.cells) {
          setAttribute(line, "aria-busy", String(!cells));
          columns.forEach(({ kind }, column) => {
            fill(/** @type {HTMLElement} */ (boxes[column + 1]), kind, cells?.[column]);
          });
        }
        const isPicked = hasRow(picked, row);
        if (isPicked !== elements.isPicked || elements.row < 0) {
          line.setAttribute("aria-selected", String(isPicked));
          boxes[0]?.setAttribute("aria-label", isPicked ? "Picked" : "Not picked");
        }
        const column = row === current.row ? current.column : -1;
        if (column !== elements.current) {
          boxes[elements.current]?.classList.remove("idc-grid-current");
          boxes[column]?.classList.add("idc-grid-current");
        }
        if (column >= 0) active = boxes[column]?.id ?? "";
        Object.assign(elements, { row, cells, isPicked, current: column });
      });
      return active;
    },
  };
}

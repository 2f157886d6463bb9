// The mouse and the finger in a grid.

/**
 * @typedef {"only" | "toggle" | "range" | "add"} PickKind How a click picks.
 *
 * @param {object} options
 * @param {HTMLElement} options.root
 * @param {HTMLElement} options.sheet
 * @param {ReturnType<typeof createRowElements>} options.elements
 * @param {ReturnType<typeof createHeader>} options.header
 * @param {() => PickBase} options.base What the person sees.
 * @param {(column: number) => void} options.onHeader Called when a header is clicked.
 * @param {(cell: CellPosition, how: PickKind | "menu", base: PickBase) => void} options.onCell
 *   Called when a cell is clicked.
 * @param {(at?: { x: number, y: number }) => void} options.onMenu Opens the menu of the current row.
 * @param {AbortSignal} options.signal Aborted when the page view is removed.
 */
function createGridPointer({
  root,
  sheet,
  elements,
  header,
  base,
  onHeader,
  onCell,
  onMenu,
  signal,
}) {
  /** @type {PickBase & CellPosition | null} */
  let pressed = null; // the cell in which the button was pressed: rows may change before it is released

  /** @param {Event} event @returns {PickBase & CellPosition} */
  const seen = ({ target }) => ({
    ...base(),
    row: elements.rowOf(/** @type {Element} */ (target)),
    column: elements.columnOf(/** @type {Element} */ (target)),
  });

  sheet.addEventListener(
    "pointerdown",
    (event) => {
      root.classList.remove("idc-grid-by-key");
      pressed = seen(event);
    },
    { signal },
  );
  sheet.addEventListener(
    "click",
    (event) => {
      const { row, column, ...before } = pressed ?? seen(event);
      pressed = null;
      const target = /** @type {Element} */ (event.target);
      const headed = header.boxes().findIndex((box) => box.contains(target));
      if (headed >= 0) return onHeader(headed);
      if (row < 0) return;
      const isMenu = column === header.boxes().length - 1;
      const isToggle = column === 0 || event.ctrlKey || event.metaKey;
      /** @type {PickKind} */
      const how = event.shiftKey ? (isToggle ? "add" : "range") : isToggle ? "toggle" : "only";
      onCell({ row, column: Math.max(0, column) }, isMenu ? "menu" : how, before);
      if (isMenu) onMenu();
    },
    { signal },
  );
  sheet.addEventListener(
    "contextmenu",
    (event) => {
      const { row, column, ...before } = seen(event);
      if (row < 0 || event.shiftKey) return; // with Shift, the menu of the browser
      event.preventDefault();
      onCell({ row, column: Math.max(0, column) }, "menu", before);
      onMenu(event.clientX || event.clientY ? event : undefined);
    },
    { signal },
  );
}

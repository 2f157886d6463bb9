// What a person does in a grid by mouse, finger and key.

/** @param {GridView} view @param {number} column */
function sortBy(view, column) {
  const described = view.model.get("_columns")[column - 1]; // none for the buttons
  if (!described || described.kind === "state") return;
  const { order } = view;
  const isFirst = order?.[0] !== described.name;
  /** @type {GridSource["sort"]} */
  const next = isFirst ? [described.name, false] : order?.[1] ? null : [described.name, true];
  showOrder(view, next);
  view.sorts.send({ kind: "sort", sort: next });
}

/** Open the menu of the current row. @param {GridView} view @param {{ x: number, y: number }} [at] */
function openRowMenu(view, at) {
  const { current, elements, menu } = view;
  if (!at) showInPage(view);
  const box = elements.cellAt(current)?.getBoundingClientRect();
  const place = at ? new DOMRect(at.x, at.y) : box;
  if (box && place) menu.open(current.row, view.drawn.generation, place);
}

/** @param {GridView} view */
function copyRows(view) {
  const { generation, ranges } = view.drawn;
  const row = Math.max(0, view.current.row);
  view.copier.request(generation, ranges.length ? ranges : [[row, row + 1]]);
}

/** @param {GridView} view */
function listenToPointer(view) {
  const { elements, header, signal } = view;
  const { root, sheet, picked } = view.parts;
  createGridPointer({
    ...{ root, sheet, elements, header, signal },
    base: () => view.drawn,
    onHeader(column) {
      view.current = { row: -1, column };
      if (column === 0) pickAllOrNone(view);
      else sortBy(view, column);
      drawLater(view);
    },
    onCell(position, how, base) {
      view.current = position;
      if (how !== "menu") pickRows(view, how, position.row, base);
      drawGrid(view);
    },
    onMenu: (at) => openRowMenu(view, at),
  });
  picked.addEventListener("click", () => unpickAll(view));
}

/** @param {GridView} view */
function listenToKeys(view) {
  const { header, send } = view;
  const { root, sheet } = view.parts;
  const onKey = createGridKeys({
    current: () => view.current,
    size: () => ({
      rows: view.count,
      columns: header.boxes().length,
      page: Math.max(1, Math.floor(view.scroll.viewPx() / view.rowPx)),
    }),
    moveTo: (row, column) => moveCurrent(view, row, column),
    pick: (how) => pickRows(view, how, view.current.row, view.drawn),
    sort: (column) => (column === 0 ? pickAllOrNone(view) : sortBy(view, column)),
    resize: header.resize,
    copy: () => copyRows(view),
    openMenu: () => openRowMenu(view),
    showDetails: () =>
      send({ kind: "details", generation: view.generation, row: view.current.row }),
  });
  sheet.addEventListener("keydown", (event) => {
    root.classList.add("idc-grid-by-key");
    const { row, column } = view.current;
    const isDown = event.altKey && event.key === "ArrowDown" && row < 0;
    if (isDown) view.bars.enter(column - 1, event);
    else onKey(event);
  });
  sheet.addEventListener("focus", (event) => takeGridFocus(view, event));
}

/** Make a cell in sight the current one when the focus comes. @param {GridView} view @param {FocusEvent} event */
function takeGridFocus(view, event) {
  const { first, stop } = rowsInSight(view);
  const { row, column } = view.current;
  if (row >= 0 && (row < first || row >= stop)) view.current = { row: first, column };
  // After Tab, but not when a person comes back to the window of the page.
  if (event.relatedTarget && view.parts.sheet.matches(":focus-visible")) view.isToBeInSight = true;
  drawLater(view);
}

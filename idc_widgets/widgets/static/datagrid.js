// Improvements to the grids of ipydatagrid, which paints on a canvas with Lumino's DataGrid. They
// affect only our grids, and do nothing if this version of DataGrid is unknown.
//
// - Speed: DataGrid draws each cell off screen and copies it to the screen, one by one. Without a
//   GPU, a copy takes a millisecond, and three grids have a thousand cells. Here, one copy moves
//   all cells of a painting.
// - Tooltips: headers show the names of their columns.
// - Menu: entries that do nothing are left out.
// - Clicks: a click is reported together with the rows that the page shows; see clicks.js.
// - Keys: they stay in the grid; see `keepKeys` in base.js.

/**
 * @typedef {{ x: number, y: number, right: number, bottom: number, area: number }} Rectangle
 *
 * @typedef {object} LuminoGrid
 * @property {unknown} _buffer The canvas off screen.
 * @property {(region: unknown) => void} _drawCells
 * @property {HTMLElement} node
 * @property {(clientX: number, clientY: number) => { region: string, column: number }} hitTest
 * @property {(source: unknown, x: number, y: number, width: number, height: number,
 *   toX: number, toY: number) => void} _blitContent
 */

/** @type {WeakSet<LuminoGrid>} */
const improvedGrids = new WeakSet();

/**
 * Improve the page views of a grid: present ones now, later ones as soon as they request rows.
 *
 * @param {{ get_model(id: string): Promise<any> }} manager
 * @param {string} reference The grid's model, as "IPY_MODEL_<id>".
 * @param {string[]} tooltips The tooltips of the headers, from the left; "" for none.
 * @param {AbortSignal} signal Aborted when the page view of the title is removed.
 */
async function improveGrid(manager, reference, tooltips, signal) {
  const model = await manager.get_model(reference.replace("IPY_MODEL_", ""));
  const clicks = reportClicks(model);
  const improveViews = async () => {
    for (const promise of Object.values(model.views ?? {})) {
      const view = await promise;
      /** @type {LuminoGrid | undefined} */
      const grid = view.grid?.grid;
      if (!grid || improvedGrids.has(grid)) continue;
      improvedGrids.add(grid);
      copyInOnePiece(grid);
      clicks?.addView(view);
      keepKeys(view.el);
      showTooltips(grid, tooltips);
      leaveOutDeadEntries(view.grid?.contextMenu?._menu);
    }
  };
  if (signal.aborted) return;
  listen(model, "msg:custom", improveViews, signal);
  await improveViews();
}

// Entries of the menu of a header that do nothing here: the kernel does not filter in a grid.
const DEAD_COMMANDS = new Set([
  "filterCondition:openDialog",
  "filterValue:openDialog",
  "filter:clearCurrentColumn",
  "filter:clearAllColumns",
]);

/**
 * Leave dead entries out of the menu of a header, which ipydatagrid fills when it opens.
 *
 * @param {any} menu Lumino's Menu.
 */
function leaveOutDeadEntries(menu) {
  if (typeof menu?.addItem !== "function") return;
  const { addItem } = menu;
  menu.addItem = function (/** @type {{ type?: string, command?: string }} */ item) {
    const isSeparator = item.type === "separator";
    if (isSeparator && this.items.at(-1)?.type === "separator") return null;
    return DEAD_COMMANDS.has(item.command ?? "") ? null : addItem.call(this, item);
  };
}

/** @param {LuminoGrid} grid */
function copyInOnePiece(grid) {
  const { _drawCells: drawCells, _blitContent: copyToScreen } = grid;
  if (typeof drawCells !== "function" || typeof copyToScreen !== "function") return;

  /** @type {Rectangle[] | null} */
  let postponed = null; // the copies to make after the cells are drawn
  grid._blitContent = function (source, x, y, width, height, toX, toY) {
    if (postponed && source === this._buffer && x === toX && y === toY) {
      postponed.push({ x, y, right: x + width, bottom: y + height, area: width * height });
    } else {
      copyToScreen.call(this, source, x, y, width, height, toX, toY);
    }
  };
  grid._drawCells = function (region) {
    /** @type {Rectangle[]} */
    const cells = [];
    postponed = cells;
    try {
      drawCells.call(this, region);
    } finally {
      postponed = null;
      for (const { x, y, right, bottom } of mergeCells(cells)) {
        copyToScreen.call(this, this._buffer, x, y, right - x, bottom - y, x, y);
      }
    }
  };
}

/**
 * Return one rectangle if the cells fill it without a gap; otherwise return the cells.
 *
 * @param {Rectangle[]} cells
 */
function mergeCells(cells) {
  const hull = cells.reduce(
    (merged, cell) => ({
      x: Math.min(merged.x, cell.x),
      y: Math.min(merged.y, cell.y),
      right: Math.max(merged.right, cell.right),
      bottom: Math.max(merged.bottom, cell.bottom),
      area: merged.area + cell.area,
    }),
    { x: Infinity, y: Infinity, right: -Infinity, bottom: -Infinity, area: 0 },
  );
  return hull.area === (hull.right - hull.x) * (hull.bottom - hull.y) ? [hull] : cells;
}

/**
 * @param {LuminoGrid} grid
 * @param {string[]} tooltips
 */
function showTooltips(grid, tooltips) {
  if (typeof grid.hitTest !== "function" || !grid.node) return;
  grid.node.addEventListener("pointermove", (event) => {
    const { region, column } = grid.hitTest(event.clientX, event.clientY);
    const tooltip = region === "column-header" ? (tooltips[column] ?? "") : "";
    if (grid.node.title !== tooltip) grid.node.title = tooltip;
  });
}

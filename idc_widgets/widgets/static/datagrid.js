// A grid of ipydatagrid paints each cell off the screen, and copies each by itself onto it. Where
// there is no GPU a copy takes a millisecond, and the three grids have a thousand cells. Here the
// copies of a painting become one. It reaches into Lumino's DataGrid, on these grids only: where
// that is built in another way, all stays as it is.

const paintedQuickly = new WeakSet();

/** Paints the views of a grid quickly: of those there are now and, as soon as they ask for rows,
 * of those to come. */
async function paintQuickly(manager, reference) {
  const grid = await manager.get_model(reference.replace("IPY_MODEL_", ""));
  const patch = async () => {
    for (const coming of Object.values(grid.views ?? {})) {
      const view = await coming;
      copyAtOnce(view.grid?.grid);
    }
  };
  grid.on("msg:custom", patch);
  await patch();
  return () => grid.off("msg:custom", patch);
}

function copyAtOnce(grid) {
  const { _drawCells: drawCells, _blitContent: copy } = grid ?? {};
  if (paintedQuickly.has(grid) || typeof drawCells !== "function" || typeof copy !== "function") {
    return;
  }
  paintedQuickly.add(grid);
  let waiting = null;
  grid._blitContent = function (source, x, y, width, height, toX, toY) {
    if (waiting && source === this._buffer && x === toX && y === toY) {
      waiting.push({ x, y, right: x + width, bottom: y + height, area: width * height });
    } else {
      copy.call(this, source, x, y, width, height, toX, toY);
    }
  };
  grid._drawCells = function (region) {
    waiting = [];
    try {
      drawCells.call(this, region);
    } finally {
      const cells = waiting;
      waiting = null;
      for (const { x, y, right, bottom } of joined(cells)) {
        copy.call(this, this._buffer, x, y, right - x, bottom - y, x, y);
      }
    }
  };
}

/** The rectangle around all cells, if they leave no gap; else the cells as they are. */
function joined(cells) {
  const all = cells.reduce(
    (one, other) => ({
      x: Math.min(one.x, other.x),
      y: Math.min(one.y, other.y),
      right: Math.max(one.right, other.right),
      bottom: Math.max(one.bottom, other.bottom),
      area: one.area + other.area,
    }),
    { x: Infinity, y: Infinity, right: -Infinity, bottom: -Infinity, area: 0 },
  );
  return all.area === (all.right - all.x) * (all.bottom - all.y) ? [all] : cells;
}

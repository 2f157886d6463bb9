// The line above a grid: its title and the numbers of rows and picks, or why the grid is empty.
// To Python: {kind: "clear"}, to remove all picks.

/**
 * @typedef {object} GridTitleTraits
 * @property {string} _title
 * @property {number} _count The number of rows of the grid.
 * @property {number} _picked The number of picked rows.
 * @property {string} _empty Shown instead of the grid if it has no rows.
 * @property {string} _height The height of the grid, as CSS.
 * @property {string[]} _columns The tooltips of the headers; "" for none.
 * @property {string} _grid The model of the grid, as "IPY_MODEL_<id>".
 */

/** @type {import("@anywidget/types").Render<GridTitleTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const root = createRoot("idc-grid-title");
  const title = h("h3", "idc-grid-heading");
  const count = h("span", "idc-grid-count");
  const picked = button("idc-grid-picked", "", "", () => model.send({ kind: "clear" }));
  const empty = h("p", "idc-grid-empty");
  root.append(title, count, picked, empty);
  el.append(root);
  watchKernel(model, el, root, removed.signal);

  const show = () => {
    const rows = model.get("_count");
    const picks = model.get("_picked");
    title.textContent = model.get("_title");
    count.textContent = NUMBER.format(rows);
    picked.hidden = picks === 0;
    showPicked(picked, picks, model.get("_title"));
    empty.hidden = rows > 0;
    empty.textContent = model.get("_empty");
    empty.style.height = model.get("_height");
  };

  follow(model, ["_title", "_count", "_picked", "_empty", "_height"], show, removed.signal);
  show();
  const grid = model.get("_grid");
  improveGrid(model.widget_manager, grid, model.get("_columns"), removed.signal).catch((error) => {
    // In a host with other internals, the grid still works, but slower.
    console.warn("idc_widgets: grids paint slowly here:", error);
  });
  return () => removed.abort();
}

export default { render };

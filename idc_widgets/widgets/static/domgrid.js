// Our grid: a title with counts, a header, and the rows in sight. Rows come from Python in windows.
//
// To Python: {kind: "window", view, generation, needed, start, stop, fetch}, {kind: "sort", view,
// number, sort: [column, descending] or null}, {kind: "columns", view, number, names}, and those of
// domgrid_picks.js, domgrid_menu.js, domgrid_copy.js and domgrid_bars.js.
// From Python: {kind: "rows", generation, start, rows}, and those of the same modules.

/** @type {import("@anywidget/types").Render<DomGridTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const view = createGridView(model, el, removed.signal);
  const { frame, root, scroller } = view.parts;
  listenToPointer(view);
  listenToKeys(view);
  listenToScrolling(view);
  flushBeforeOthers(root, view.picks, view.signal);

  const measure = () => measureGrid(view);
  const sizes = new ResizeObserver(measure);
  sizes.observe(frame);
  sizes.observe(scroller); // a bar may appear below the rows
  view.coarse.addEventListener("change", measure, { signal: view.signal });
  followModel(view);
  return () => {
    removed.abort();
    sizes.disconnect();
    view.cache.close();
    view.parts.close();
    clearTimeout(view.settling);
    clearTimeout(view.holding);
    cancelAnimationFrame(view.frame);
  };
}

export default { render };

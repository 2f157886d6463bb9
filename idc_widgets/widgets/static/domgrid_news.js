// Shows what Python says: other rows, picks and columns.

/** Show the rows of a new source, if there is one. @param {GridView} view */
function showSource(view) {
  const source = view.model.get("_source");
  if (source.generation === view.generation || source.generation === undefined) return;
  const order = JSON.stringify(source.sort);
  const isResorted = view.generation >= 0 && order !== view.lastOrder;
  const hasOtherCount = source.count !== view.count;
  view.lastOrder = order;
  view.generation = source.generation;
  view.count = source.count;
  view.cache.start(source);
  view.parts.sheet.setAttribute("aria-rowcount", String(source.count + 1));
  setText(view.parts.count, NUMBER.format(source.count));
  if (view.current.row >= 0) view.current = { row: 0, column: view.current.column };
  view.anchor = 0;
  view.scroll.goTo(0);
  layOutGrid(view);
  saySource(view, isResorted, hasOtherCount);
  view.bars.setRows(source.generation, source.count);
}

/** @param {GridView} view @param {boolean} isResorted @param {boolean} hasOtherCount */
function saySource({ model, count, bars, parts }, isResorted, hasOtherCount) {
  const { sort } = model.get("_source");
  const sorted = model.get("_columns").find(({ name }) => name === sort?.[0])?.label;
  const direction = sort?.[1] ? "descending" : "ascending";
  const rows = `${model.get("_title")}: ${NUMBER.format(count)} ${count === 1 ? "row" : "rows"}`;
  if (isResorted) {
    parts.say(sorted ? `Sorted by ${sorted}, ${direction}` : "In the original order");
  } else if (hasOtherCount) parts.say(bars.takeWords() + rows);
}

/** Show rows, picks and the answers to clicks, which arrive together. @param {GridView} view */
function showRowsAndPicks(view) {
  const { model, picks } = view;
  const before = picks.ranges();
  const isSame = model.get("_source").generation === view.generation;
  showSource(view);
  if (view.sorts.settle()) showOrder(view, model.get("_source").sort ?? null);
  view.chooser.settle();
  const answer = model.get("_picks");
  picks.settle(answer);
  if (picks.ranges() !== before) {
    showPicks(view);
    // A new source says how many rows there are.
    if (isSame && countRows(before) !== countRows(picks.ranges())) sayPicks(view);
  }
  if (answer.number !== view.lastReveal && answer.reveal >= 0) {
    view.current = { row: answer.reveal, column: view.current.column };
    view.anchor = answer.reveal;
    bringInSight(view, answer.reveal);
    if (isSame && view.sight.isInWindow()) view.isToBeInSight = true;
  }
  view.lastReveal = answer.number;
  showEmpty(view);
}

/** @param {GridView} view @param {GridSource["sort"]} sort */
function showOrder(view, sort) {
  view.order = sort;
  view.header.setSort(sort);
}

/** Show rows, or why there are none. The focus stays in the grid. @param {GridView} view */
function showEmpty(view) {
  const { model, count } = view;
  const { root, empty, frame, sheet, picked, say } = view.parts;
  const reason = model.get("_reason");
  const isEmpty = reason !== "" || count === 0;
  const hadFocus = root.contains(activeElementNear(root));
  setText(empty, reason || model.get("_empty"));
  setText(view.parts.count, reason ? "0" : NUMBER.format(count));
  if (isEmpty === frame.hidden) return;
  empty.hidden = !isEmpty;
  frame.hidden = isEmpty;
  if (isEmpty) say(empty.textContent ?? "");
  else measureGrid(view);
  if (hadFocus && activeElementNear(root) !== picked) {
    (isEmpty ? empty : sheet).focus({ preventScroll: true });
  }
}

/** @param {GridView} view */
function showColumns(view) {
  const { model, header, parts, current } = view;
  const columns = model.get("_columns");
  header.setColumns(columns);
  view.elements.setColumns(columns);
  view.bars.setColumns(columns, header.boxes());
  view.chooser.setColumns(model.get("_choices"), columns);
  header.setSort(view.order);
  parts.sheet.setAttribute("aria-colcount", String(columns.length + 2));
  view.current = { row: current.row, column: Math.min(current.column, columns.length + 1) };
  drawLater(view);
}

/** @param {GridView} view */
function showTitle({ model, parts, chooser }) {
  const [title, height] = [model.get("_title"), model.get("_height")];
  parts.title.textContent = title;
  parts.sheet.setAttribute("aria-label", title);
  chooser.setTitle(title);
  parts.frame.style.height = height;
  parts.empty.style.height = height;
}

/** @param {GridView} view @param {any} message */
function takeMessage({ id, cache, menu, copier }, message) {
  if (message.kind === "rows") cache.take(message);
  else if (message.kind === "row" && message.view === id) menu.take(message);
  else if (message.kind === "copied" && message.view === id) copier.take(message);
}

/** Show what Python says from now on. @param {GridView} view */
function followModel(view) {
  const { model, signal } = view;
  const showWidths = () => view.header.setWidths(model.get("_widths"));
  const rowTraits = /** @type {(keyof DomGridTraits)[]} */ ([
    "_source",
    "_picks",
    "_reason",
    "_empty",
    "_answered",
  ]);
  listen(model, "msg:custom", (/** @type {any} */ message) => takeMessage(view, message), signal);
  follow(model, ["_columns", "_choices"], () => showColumns(view), signal);
  follow(model, ["_widths"], showWidths, signal);
  follow(model, ["_title", "_height"], () => showTitle(view), signal);
  follow(model, rowTraits, () => showRowsAndPicks(view), signal);
  showTitle(view);
  showColumns(view);
  showWidths();
  view.parts.empty.hidden = true;
  showRowsAndPicks(view);
  showPicks(view);
  view.parts.say(""); // what is there at first needs no announcement
}

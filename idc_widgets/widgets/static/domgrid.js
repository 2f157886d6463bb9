// Our grid: a title with counts, a header, and the rows in sight. Rows come from Python in windows.
//
// To Python: {kind: "window", view, generation, needed, start, stop, fetch}, {kind: "sort", view,
// number, sort: [column, descending] or null}, {kind: "columns", view, number, names}, and those of
// domgrid_picks.js, domgrid_menu.js, domgrid_copy.js and domgrid_bars.js.
// From Python: {kind: "rows", generation, start, rows}, and those of the same modules.

const SETTLE_MS = 200; // without a scroll event, scrolling has ended
const WHEEL_MS = 400; // so long after a wheel or a finger has moved, it causes scroll events

/**
 * @typedef {object} DomGridTraits
 * @property {string} _title
 * @property {string} _empty
 * @property {string} _reason Why the rows cannot be shown, or "".
 * @property {string} _height
 * @property {GridColumn[]} _columns
 * @property {GridColumn[]} _choices The columns that can be shown; empty if they cannot be chosen.
 * @property {Record<string, number>} _widths The widths that a person has set.
 * @property {GridSource} _source
 * @property {GridPicks} _picks
 * @property {string} _answered The last answered clicks.
 * @property {GridBars} _bars
 * @property {boolean} _shows_bars
 */

/** @type {import("@anywidget/types").Render<DomGridTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const { signal } = removed;
  const id = uniqueId();
  const parts = createGridParts(id);
  const { root, scroller, sheet, say } = parts;
  el.append(root);
  const kernel = watchKernel(model, el, root, signal);

  const scroll = createScrollMap();
  /** @param {object} content */
  const send = (content) => model.send({ ...content, view: id });
  const picks = createPicks(createRequests(model, `${id}-picks`, kernel, signal));
  const sorts = createRequests(model, `${id}-sort`, kernel, signal);
  /** @type {GridSource["sort"]} */
  let order = null; // as clicked, until Python answers
  const cache = createRowCache((window) => send({ ...window, needed: picks.needed() }), drawLater);
  const elements = createRowElements(parts.body, id);
  const onWidth = (/** @type {number} */ width, /** @type {boolean} */ isWide) => {
    allPx = width;
    parts.spacer.style.width = `${width}px`;
    root.classList.toggle("idc-grid-wide", isWide);
    showEdge();
  };
  /** Show at the right edge whether there are more columns. */
  const showEdge = () => {
    root.classList.toggle("idc-grid-goes-on", leftPx + widthPx < allPx - 1);
  };
  const onResize = (/** @type {Record<string, number>} */ widths) => {
    model.set("_widths", widths);
    model.save_changes();
  };
  const header = createHeader({ head: parts.head, sheet, id, onWidth, onResize, say });
  const bars = createBars({ model, kernel, parts, id, say, signal, onSize: measure });
  const chooser = createChooser({
    ...{ root, line: parts.line, say, signal },
    requests: createRequests(model, `${id}-columns`, kernel, signal),
  });
  const menu = createRowMenu({
    ...{ root, send, tell: parts.tell, signal },
    onClose: () => sheet.focus({ preventScroll: true }),
  });

  const copier = createCopier(send, say, parts.tell);
  const sight = createPageSight(root, parts.frame);
  const coarse = window.matchMedia("(pointer: coarse)");
  let [rowPx, headPx, heightPx, widthPx] = [24, 0, 0, 0]; // of a row, the header, the scroller
  let [allPx, leftPx] = [0, 0]; // the width of all columns, and how far they are scrolled
  let generation = -1;
  let count = 0;
  /** @type {CellPosition} */
  let current = { row: 0, column: 1 };
  let anchor = 0; // where a range of picks begins
  let lastReveal = -1; // the number of the picks that were brought in sight
  let lastOrder = "null";
  let drawn = picks.base(); // what a person sees, and the picks since then
  let isToBeInSight = false; // whether the page is to show the current row
  let wheelAt = 0;
  let frame = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let settling;

  // --- drawing -------------------------------------------------------------------------------

  function drawLater() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
    });
  }

  /** Return the rows in sight, also those of which only a part is. */
  function inSight() {
    const first = Math.max(0, Math.min(count - 1, Math.floor(scroll.top() / rowPx)));
    const end = Math.ceil((scroll.top() + scroll.viewPx()) / rowPx);
    return { first, stop: Math.min(count, end) };
  }

  function draw() {
    const { first, stop } = inSight();
    const rows = Math.max(0, stop - first);
    parts.body.style.transform = `translateY(${first * rowPx - scroll.top()}px)`;
    let active = elements.draw(first, rows, cache.get, picks.ranges(), current);
    header.boxes().forEach((box, column) => {
      const isCurrent = current.row < 0 && column === current.column;
      box.classList.toggle("idc-grid-current", isCurrent);
      if (isCurrent) active = box.id;
    });
    if (active) setAttribute(sheet, "aria-activedescendant", active);
    else sheet.removeAttribute("aria-activedescendant");
    setAttribute(sheet, "aria-busy", String(!cache.isComplete(first, stop)));
    if (rows) cache.show(first, stop);
    drawn = picks.base();
    if (isToBeInSight) showInPage();
  }

  /** Scroll the page to the current row. */
  function showInPage() {
    isToBeInSight = false;
    const { row } = current;
    if (row < 0) sight.show(0, headPx);
    else sight.show(headPx + row * rowPx - scroll.top(), rowPx);
  }

  /** Return what a person sees. What Python has sent is drawn a moment after it has arrived. */
  const seen = () => drawn;

  /** Read the sizes of the grid. It is done rarely, because the browser lays out the page for it. */
  function measure() {
    rowPx = coarse.matches ? 36 : 24;
    root.classList.toggle("idc-grid-coarse", coarse.matches);
    headPx = parts.headGroup.offsetHeight;
    heightPx = scroller.clientHeight;
    widthPx = scroller.clientWidth;
    layOut();
  }

  /** Fit the rows and the bar into the sizes that were read last. */
  function layOut() {
    // No row is cut at the bottom: what is left of the height stays empty below the rows, so that
    // grids side by side end at the same height.
    const roomPx = Math.max(0, heightPx - headPx);
    const bodyPx = Math.max(rowPx, roomPx - (roomPx % rowPx));
    parts.clip.style.height = `${bodyPx}px`;
    scroll.resize(count * rowPx, bodyPx);
    // The bar goes as far as the rows do.
    parts.spacer.style.height = `${scroll.spacerPx() + heightPx - bodyPx}px`;
    sheet.style.height = `${heightPx}px`;
    header.setAvailable(widthPx);
    goTo(scroll.top());
  }

  // --- scrolling -----------------------------------------------------------------------------

  /** @param {number} px */
  function goTo(px) {
    scroll.goTo(px);
    if (!scroll.isHeld()) placeBar();
    drawLater();
  }

  function placeBar() {
    if (Math.abs(scroller.scrollTop - scroll.bar()) >= 1) scroller.scrollTop = scroll.bar();
    scroll.hold(scroller.scrollTop);
  }

  /** Bring a row in sight: at the nearest edge or, from afar, in the middle. @param {number} row */
  function bringInSight(row) {
    const [top, view] = [row * rowPx, scroll.viewPx()];
    const isFar = Math.abs(top - scroll.top()) > 2 * view;
    if (top < scroll.top() || top + rowPx > scroll.top() + view) {
      if (isFar) goTo(top - Math.floor(view / rowPx / 2) * rowPx);
      else goTo(top < scroll.top() ? top : top + rowPx - view);
    } else drawLater();
  }

  function onScroll() {
    if (scroller.scrollLeft !== leftPx) {
      leftPx = scroller.scrollLeft;
      showEdge();
    }
    const isWheel = performance.now() - wheelAt < WHEEL_MS;
    if (isWheel) wheelAt = performance.now(); // a flick goes on without its finger
    if (!scroll.follow(scroller.scrollTop, isWheel)) return;
    menu.close(); // its row moves away
    drawLater();
    clearTimeout(settling);
    settling = setTimeout(placeBar, SETTLE_MS);
  }

  // --- picks ---------------------------------------------------------------------------------

  /** @param {HowToPick} how @param {number} row @param {PickBase} base */
  function pick(how, row, base) {
    const chosen = pickedRanges(how, base.ranges, { anchor, row, count });
    if (how === "only" || how === "toggle") anchor = row;
    if (!picks.choose(chosen, base)) return;
    drawn = { generation: base.generation, ranges: chosen };
    showPicks();
    sayPicks();
  }

  function sayPicks() {
    const number = countRows(picks.ranges());
    say(number ? `${NUMBER.format(number)} picked` : "Nothing picked");
  }

  function showPicks() {
    const number = countRows(picks.ranges());
    const hadFocus = activeElementNear(root) === parts.picked;
    parts.picked.hidden = number === 0;
    showPicked(parts.picked, number, model.get("_title"));
    if (hadFocus && number === 0) sheet.focus({ preventScroll: true });
    header.setPicked(number, count);
    drawLater();
  }

  // --- what Python says ------------------------------------------------------------------------

  function showSource() {
    const source = model.get("_source");
    if (source.generation === generation || source.generation === undefined) return;
    const order = JSON.stringify(source.sort);
    const isResorted = generation >= 0 && order !== lastOrder;
    const hasOtherCount = source.count !== count;
    lastOrder = order;
    generation = source.generation;
    count = source.count;
    cache.start(source);
    sheet.setAttribute("aria-rowcount", String(count + 1));
    setText(parts.count, NUMBER.format(count));
    if (current.row >= 0) current = { row: 0, column: current.column };
    anchor = 0;
    scroll.goTo(0);
    layOut();
    const sorted = model.get("_columns").find(({ name }) => name === source.sort?.[0])?.label;
    const direction = source.sort?.[1] ? "descending" : "ascending";
    const rows = `${model.get("_title")}: ${NUMBER.format(count)} ${count === 1 ? "row" : "rows"}`;
    if (isResorted) say(sorted ? `Sorted by ${sorted}, ${direction}` : "In the original order");
    else if (hasOtherCount) say(bars.takeWords() + rows);
    bars.setRows(generation, count);
  }

  function showRows() {
    const before = picks.ranges();
    const isSame = model.get("_source").generation === generation;
    showSource();
    if (sorts.settle()) showOrder(model.get("_source").sort ?? null);
    chooser.settle();
    const answer = model.get("_picks");
    picks.settle(answer);
    if (picks.ranges() !== before) {
      showPicks();
      // A new source says how many rows there are.
      if (isSame && countRows(before) !== countRows(picks.ranges())) sayPicks();
    }
    if (answer.number !== lastReveal && answer.reveal >= 0) {
      current = { row: answer.reveal, column: current.column };
      anchor = answer.reveal;
      bringInSight(answer.reveal);
      if (isSame && sight.isInWindow()) isToBeInSight = true;
    }
    lastReveal = answer.number;
    showEmpty();
  }

  /** @param {GridSource["sort"]} sort */
  function showOrder(sort) {
    order = sort;
    header.setSort(sort);
  }

  /** Show rows, or why there are none. The focus stays in the grid. */
  function showEmpty() {
    const reason = model.get("_reason");
    const isEmpty = reason !== "" || count === 0;
    const hadFocus = root.contains(activeElementNear(root));
    setText(parts.empty, reason || model.get("_empty"));
    setText(parts.count, reason ? "0" : NUMBER.format(count));
    if (isEmpty === parts.frame.hidden) return;
    parts.empty.hidden = !isEmpty;
    parts.frame.hidden = isEmpty;
    if (isEmpty) say(parts.empty.textContent);
    else measure();
    if (hadFocus && activeElementNear(root) !== parts.picked) {
      (isEmpty ? parts.empty : sheet).focus({ preventScroll: true });
    }
  }

  function showColumns() {
    const columns = model.get("_columns");
    header.setColumns(columns);
    elements.setColumns(columns);
    bars.setColumns(columns, header.boxes());
    chooser.setColumns(model.get("_choices"), columns);
    header.setSort(order);
    sheet.setAttribute("aria-colcount", String(columns.length + 2));
    current = { row: current.row, column: Math.min(current.column, columns.length + 1) };
    drawLater();
  }

  function showTitle() {
    parts.title.textContent = model.get("_title");
    sheet.setAttribute("aria-label", model.get("_title"));
    chooser.setTitle(model.get("_title"));
    parts.frame.style.height = model.get("_height");
    parts.empty.style.height = model.get("_height");
  }

  /** @param {any} message */
  function onMessage(message) {
    if (message.kind === "rows") cache.take(message);
    else if (message.kind === "row" && message.view === id) menu.take(message);
    else if (message.kind === "copied" && message.view === id) copier.take(message);
  }

  // --- what a person does --------------------------------------------------------------------

  /** @param {number} row @param {number} column */
  function moveTo(row, column) {
    current = { row, column };
    if (row >= 0) bringInSight(row);
    else drawLater();
    isToBeInSight = true;
    bringColumnInSight(scroller, header.boxes(), column);
  }

  /** @param {number} column */
  function sortBy(column) {
    const described = model.get("_columns")[column - 1]; // none for the buttons
    if (!described || described.kind === "state") return;
    const isFirst = order?.[0] !== described.name;
    showOrder(isFirst ? [described.name, false] : order?.[1] ? null : [described.name, true]);
    sorts.send({ kind: "sort", sort: order });
  }

  function pickAllOrNone() {
    const base = seen();
    pick(base.ranges.length ? "none" : "all", 0, base);
  }

  /** Open the menu of the current row. @param {{ x: number, y: number }} [at] */
  function openMenu(at) {
    if (!at) showInPage();
    const box = elements.cellAt(current)?.getBoundingClientRect();
    if (box) menu.open(current.row, seen().generation, at ? new DOMRect(at.x, at.y) : box);
  }

  function copyRows() {
    const { generation, ranges } = seen();
    const row = Math.max(0, current.row);
    copier.request(generation, ranges.length ? ranges : [[row, row + 1]]);
  }

  createGridPointer({
    ...{ root, sheet, elements, header, signal },
    base: seen,
    onHeader(column) {
      current = { row: -1, column };
      if (column === 0) pickAllOrNone();
      else sortBy(column);
      drawLater();
    },
    onCell(position, how, base) {
      current = position;
      if (how !== "menu") pick(how, position.row, base);
      draw();
    },
    onMenu: openMenu,
  });
  const onKey = createGridKeys({
    current: () => current,
    size: () => ({
      rows: count,
      columns: header.boxes().length,
      page: Math.max(1, Math.floor(scroll.viewPx() / rowPx)),
    }),
    moveTo,
    pick: (how) => pick(how, current.row, seen()),
    sort: (column) => (column === 0 ? pickAllOrNone() : sortBy(column)),
    resize: header.resize,
    copy: copyRows,
    openMenu,
    showDetails: () => send({ kind: "details", generation, row: current.row }),
  });
  sheet.addEventListener("keydown", (event) => {
    root.classList.add("idc-grid-by-key");
    const isDown = event.altKey && event.key === "ArrowDown" && current.row < 0;
    if (isDown) bars.enter(current.column - 1, event);
    else onKey(event);
  });
  sheet.addEventListener("focus", (event) => {
    const { first, stop } = inSight();
    // The current cell is one that is in sight.
    if (current.row >= 0 && (current.row < first || current.row >= stop)) {
      current = { row: first, column: current.column };
    }
    // After Tab, but not when a person comes back to the window of the page.
    if (event.relatedTarget && sheet.matches(":focus-visible")) isToBeInSight = true;
    drawLater();
  });
  parts.picked.addEventListener("click", () => {
    picks.clear();
    drawn = { ...drawn, ranges: [] };
    showPicks();
    sayPicks();
  });
  scroller.addEventListener("scroll", onScroll, { passive: true });
  const onWheel = () => {
    wheelAt = performance.now();
  };
  scroller.addEventListener("wheel", onWheel, { passive: true });
  scroller.addEventListener("touchmove", onWheel, { passive: true });
  flushBeforeOthers(root, picks, signal);

  const sizes = new ResizeObserver(measure);
  sizes.observe(parts.frame);
  sizes.observe(scroller); // a bar may appear below the rows
  coarse.addEventListener("change", measure, { signal });
  listen(model, "msg:custom", onMessage, signal);
  follow(model, ["_columns", "_choices"], showColumns, signal);
  follow(model, ["_widths"], () => header.setWidths(model.get("_widths")), signal);
  follow(model, ["_title", "_height"], showTitle, signal);
  follow(model, ["_source", "_picks", "_reason", "_empty", "_answered"], showRows, signal);
  showTitle();
  showColumns();
  header.setWidths(model.get("_widths"));
  parts.empty.hidden = true;
  showRows();
  showPicks();
  say(""); // what is there at first needs no announcement
  return () => {
    removed.abort();
    sizes.disconnect();
    cache.close();
    parts.close();
    clearTimeout(settling);
    cancelAnimationFrame(frame);
  };
}

export default { render };

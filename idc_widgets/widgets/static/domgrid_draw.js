// Draws a grid: the rows in sight, in the sizes that were read last.

const HOLD_MS = 100; // after a jump, the rows before it stay so long while those after it come

/** @param {GridView} view */
function drawLater(view) {
  view.frame ||= requestAnimationFrame(() => {
    view.frame = 0;
    drawGrid(view);
  });
}

/** Return the rows in sight, also those of which only a part is. @param {GridView} view */
function rowsInSight({ scroll, count, rowPx }) {
  const first = Math.max(0, Math.min(count - 1, Math.floor(scroll.top() / rowPx)));
  const end = Math.ceil((scroll.top() + scroll.viewPx()) / rowPx);
  return { first, stop: Math.min(count, end) };
}

/**
 * Return whether the rows on the screen stay for a moment: none of those that belong there is known.
 * They come soon, and two frames, one of them with empty rows, take the page twice the time.
 *
 * @param {GridView} view
 * @param {number} first
 * @param {number} stop
 */
function isHeld(view, first, stop) {
  const isMissing = stop > first && !view.cache.hasSome(first, stop);
  const now = performance.now();
  view.missingSince = isMissing ? view.missingSince || now : 0;
  const leftMs = HOLD_MS - (now - view.missingSince);
  clearTimeout(view.holding);
  if (!isMissing || leftMs <= 0) return false;
  view.holding = setTimeout(() => drawLater(view), leftMs);
  return true;
}

/** @param {GridView} view */
function drawGrid(view) {
  const { first, stop } = rowsInSight(view);
  const { sheet, body } = view.parts;
  if (isHeld(view, first, stop)) {
    setAttribute(sheet, "aria-busy", "true");
    view.cache.show(first, stop);
    return;
  }
  const { cache, elements, picks, current } = view;
  const rows = Math.max(0, stop - first);
  body.style.transform = `translateY(${first * view.rowPx - view.scroll.top()}px)`;
  const cell = elements.draw(first, rows, cache.get, picks.ranges(), current);
  const active = markCurrentHeader(view) || cell;
  if (active) setAttribute(sheet, "aria-activedescendant", active);
  else sheet.removeAttribute("aria-activedescendant");
  setAttribute(sheet, "aria-busy", String(!cache.isComplete(first, stop)));
  if (rows) cache.show(first, stop);
  view.drawn = picks.base();
  if (view.isToBeInSight) showInPage(view);
}

/** Return the id of the current header, or "". @param {GridView} view */
function markCurrentHeader({ header, current }) {
  let active = "";
  header.boxes().forEach((box, column) => {
    const isCurrent = current.row < 0 && column === current.column;
    box.classList.toggle("idc-grid-current", isCurrent);
    if (isCurrent) active = box.id;
  });
  return active;
}

/** Scroll the page to the current row. @param {GridView} view */
function showInPage(view) {
  const { current, headPx, rowPx, scroll, sight } = view;
  view.isToBeInSight = false;
  if (current.row < 0) sight.show(0, headPx);
  else sight.show(headPx + current.row * rowPx - scroll.top(), rowPx);
}

/** Read the sizes of a grid. It is done rarely, because the browser lays out the page for it. @param {GridView} view */
function measureGrid(view) {
  const { root, headGroup, scroller } = view.parts;
  const isCoarse = view.coarse.matches;
  view.rowPx = isCoarse ? 36 : 24;
  root.classList.toggle("idc-grid-coarse", isCoarse);
  view.headPx = headGroup.offsetHeight;
  view.heightPx = scroller.clientHeight;
  view.widthPx = scroller.clientWidth;
  layOutGrid(view);
}

/** Fit the rows and the bar into the sizes that were read last. @param {GridView} view */
function layOutGrid(view) {
  const { parts, scroll, rowPx, headPx, heightPx } = view;
  // No row is cut at the bottom: what is left of the height stays empty below the rows, so that
  // grids side by side end at the same height.
  const roomPx = Math.max(0, heightPx - headPx);
  const bodyPx = Math.max(rowPx, roomPx - (roomPx % rowPx));
  parts.clip.style.height = `${bodyPx}px`;
  scroll.resize(view.count * rowPx, bodyPx);
  // The bar goes as far as the rows do.
  parts.spacer.style.height = `${scroll.spacerPx() + heightPx - bodyPx}px`;
  parts.sheet.style.height = `${heightPx}px`;
  view.header.setAvailable(view.widthPx);
  goTo(view, scroll.top());
}

/** @param {GridView} view @param {number} px @param {boolean} isWide Whether the columns are wider than the grid. */
function setColumnsWidth(view, px, isWide) {
  view.allPx = px;
  view.parts.spacer.style.width = `${px}px`;
  view.parts.root.classList.toggle("idc-grid-wide", isWide);
  showRightEdge(view);
}

/** Show at the right edge whether there are more columns. @param {GridView} view */
function showRightEdge({ parts, leftPx, widthPx, allPx }) {
  parts.root.classList.toggle("idc-grid-goes-on", leftPx + widthPx < allPx - 1);
}

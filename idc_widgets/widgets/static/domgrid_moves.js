// Moves what is in sight of a grid: by the bar, the wheel and keys, or because a row is to be seen.

const SETTLE_MS = 200; // without a scroll event, scrolling has ended
const WHEEL_MS = 400; // so long after a wheel or a finger has moved, it causes scroll events

/** @param {GridView} view @param {number} px */
function goTo(view, px) {
  view.scroll.goTo(px);
  if (!view.scroll.isHeld()) placeBar(view);
  drawLater(view);
}

/** @param {GridView} view */
function placeBar({ scroll, parts: { scroller } }) {
  if (Math.abs(scroller.scrollTop - scroll.bar()) >= 1) scroller.scrollTop = scroll.bar();
  scroll.hold(scroller.scrollTop);
}

/** Bring a row in sight: at the nearest edge or, from afar, in the middle. @param {GridView} view @param {number} row */
function bringInSight(view, row) {
  const { scroll, rowPx } = view;
  const [top, height] = [row * rowPx, scroll.viewPx()];
  const isFar = Math.abs(top - scroll.top()) > 2 * height;
  const isAbove = top < scroll.top();
  if (!isAbove && top + rowPx <= scroll.top() + height) drawLater(view);
  else if (isFar) goTo(view, top - Math.floor(height / rowPx / 2) * rowPx);
  else goTo(view, isAbove ? top : top + rowPx - height);
}

/** @param {GridView} view @param {number} row @param {number} column */
function moveCurrent(view, row, column) {
  view.current = { row, column };
  if (row >= 0) bringInSight(view, row);
  else drawLater(view);
  view.isToBeInSight = true;
  bringColumnInSight(view.parts.scroller, view.header.boxes(), column);
}

/** @param {GridView} view */
function followScroll(view) {
  const { scroller } = view.parts;
  if (scroller.scrollLeft !== view.leftPx) {
    view.leftPx = scroller.scrollLeft;
    showRightEdge(view);
  }
  const now = performance.now();
  const isWheel = now - view.wheelAt < WHEEL_MS;
  if (isWheel) view.wheelAt = now; // a flick goes on without its finger
  if (!view.scroll.follow(scroller.scrollTop, isWheel)) return;
  const { first, stop } = rowsInSight(view);
  view.cache.show(first, stop); // before the frame, so that Python works while the page does
  view.menu.close(); // its row moves away
  drawLater(view);
  clearTimeout(view.settling);
  view.settling = setTimeout(() => placeBar(view), SETTLE_MS);
}

/** @param {GridView} view */
function listenToScrolling(view) {
  const { scroller } = view.parts;
  const onWheel = () => {
    view.wheelAt = performance.now();
  };
  const options = { passive: true, signal: view.signal };
  scroller.addEventListener("scroll", () => followScroll(view), options);
  scroller.addEventListener("wheel", onWheel, options);
  scroller.addEventListener("touchmove", onWheel, options);
}

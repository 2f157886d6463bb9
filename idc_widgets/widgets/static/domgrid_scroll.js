// Where the rows of a grid are. Browsers limit the height of an element: Chromium to 33,554,435 px
// divided by the device pixel ratio, Firefox to 17,895,697 px, where `position: sticky` ends at
// 8,948,149 px. A million rows are higher. So the element that scrolls is at most 8,000,000 px high,
// and the position of its scroll bar is mapped to that of the rows.
//
// A wheel or a finger moves the rows by as many pixels as the bar. If somebody drags the bar, the rows
// move much farther. The size of a step tells which of the two it was: in a grid of less than 2,000 px,
// a pixel of the bar stands for more than 4,000 px of rows. When nothing moves any more, the bar is put
// at the place of the rows (`bar`).

const MAX_SPACER_PX = 8_000_000;
// At both ends, the bar moves with the rows pixel by pixel. So no wheel meets an end too early.
const EXACT_PX = 1_000_000;
const MAX_STEP_PX = 4_000;
const MAX_WHEEL_STEP_PX = 20_000; // the longest step of a fast flick on a busy page

/** Create the map between the positions of the scroll bar and of the rows, in px. */
function createScrollMap() {
  let rowsPx = 0; // the height of all rows
  let viewPx = 0; // the height in which they are seen
  let top = 0; // the place of the view in the rows
  let lastBar = 0; // the position of the bar as it was last seen

  const room = () => Math.max(0, rowsPx - viewPx);
  const track = () => Math.max(0, Math.min(rowsPx, MAX_SPACER_PX) - viewPx);
  const isMapped = () => rowsPx > MAX_SPACER_PX;
  const ratio = () => (room() - 2 * EXACT_PX) / (track() - 2 * EXACT_PX);
  /** @param {number} px */
  const clamp = (px) => Math.max(0, Math.min(room(), px));

  /** @param {number} bar */
  function rowsAt(bar) {
    if (!isMapped() || bar <= EXACT_PX) return bar;
    const left = track() - bar;
    return left <= EXACT_PX ? room() - left : EXACT_PX + (bar - EXACT_PX) * ratio();
  }

  return {
    /** @param {number} rows @param {number} view */
    resize(rows, view) {
      rowsPx = rows;
      viewPx = view;
      top = clamp(top);
    },

    top: () => top,
    viewPx: () => viewPx,
    spacerPx: () => Math.min(rowsPx, MAX_SPACER_PX),

    /** @param {number} px */
    goTo(px) {
      top = clamp(px);
    },

    /** Return where the bar belongs. */
    bar() {
      if (!isMapped() || top <= EXACT_PX) return top;
      const left = room() - top;
      return left <= EXACT_PX ? track() - left : EXACT_PX + (top - EXACT_PX) / ratio();
    },

    /** Return whether the bar is where it belongs. */
    isHeld() {
      return Math.abs(this.bar() - lastBar) < 1;
    },

    /** Remember where the bar has been put; a browser may round it. @param {number} bar */
    hold(bar) {
      lastBar = bar;
    },

    /**
     * Follow a scroll event. Return whether the rows move.
     *
     * @param {number} bar The position of the bar.
     * @param {boolean} isWheel Whether it is known that a wheel or a finger scrolls.
     */
    follow(bar, isWheel) {
      const moved = bar - lastBar;
      lastBar = bar;
      if (!moved) return false;
      if (!isMapped()) top = clamp(bar);
      else if (bar <= 0) top = 0;
      else if (bar >= track() - 1) top = room();
      else if (Math.abs(moved) <= (isWheel ? MAX_WHEEL_STEP_PX : MAX_STEP_PX)) {
        top = clamp(top + moved);
      } else top = clamp(rowsAt(bar));
      return true;
    },
  };
}

// Keeps the current row in the sight of the page: a grid scrolls its rows, but the notebook may have
// scrolled the grid out of the window, and the foot of the browser covers the end of the window.

/** @param {HTMLElement} root @param {HTMLElement} frame */
function createPageSight(root, frame) {
  // The place of the row. Scrolling to the row itself would also scroll the grid.
  const place = h("div", "idc-grid-place");
  place.setAttribute("aria-hidden", "true");
  frame.append(place);

  function foot() {
    return root.closest(".idc-browser")?.querySelector(":scope > .idc-part-foot") ?? null;
  }

  /** Return how much of the window the foot covers while it sticks to the end. */
  function footPx() {
    const element = foot();
    if (!(element instanceof HTMLElement)) return 0;
    const { position, bottom } = getComputedStyle(element);
    return position === "sticky" ? element.offsetHeight + (Number.parseFloat(bottom) || 0) : 0;
  }

  return {
    /** Return whether a part of the grid is in the window. */
    isInWindow() {
      const { top, bottom } = frame.getBoundingClientRect();
      return bottom > 0 && top < window.innerHeight;
    },

    /**
     * Scroll the page as little as it takes to show a row.
     *
     * @param {number} top In the frame.
     * @param {number} height
     */
    show(top, height) {
      place.style.top = `${top}px`;
      place.style.height = `${height}px`;
      place.style.scrollMarginBottom = `${Math.max(0, footPx())}px`;
      place.scrollIntoView({ block: "nearest", inline: "nearest" });
    },
  };
}

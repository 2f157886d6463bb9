// The elements that a grid always has.

const TELL_MS = 2_000; // how long a note about what happened stays beside the title
const SAY_AFTER_MS = 250; // screen readers get a text after this time, unless a newer one replaces it

/**
 * Keep an open panel where it was opened in the grid while the page scrolls. It closes when its place
 * leaves the window.
 *
 * @param {HTMLElement} root The grid.
 * @param {HTMLElement} panel In the top layer, with `left` and `top` in pixels.
 * @param {() => void} close
 * @param {AbortSignal} signal Aborted when the page view is removed.
 */
function createAnchor(root, panel, close, signal) {
  let rootTop = 0; // where the grid was
  let rootLeft = 0;
  let [top, left] = [0, 0]; // where the panel was

  function follow() {
    if (panel.hidden) return;
    const at = root.getBoundingClientRect();
    const y = top + at.top - rootTop;
    if (y + panel.offsetHeight < 0 || y > window.innerHeight) return close();
    panel.style.top = `${y}px`;
    panel.style.left = `${left + at.left - rootLeft}px`;
  }
  window.addEventListener("scroll", follow, { capture: true, passive: true, signal });

  return {
    /** Put the panel here. @param {number} x @param {number} y */
    place(x, y) {
      const at = root.getBoundingClientRect();
      [rootTop, rootLeft, top, left] = [at.top, at.left, y, x];
      panel.style.left = `${x}px`;
      panel.style.top = `${y}px`;
    },
  };
}

/** @param {string} id */
function createGridParts(id) {
  const sheet = h("div", "idc-grid-sheet");
  const root = createRoot("idc-grid", () => sheet);
  const line = h("div", "idc-grid-title");
  const title = h("h3", "idc-grid-heading");
  const count = h("span", "idc-grid-count");
  const picked = button("idc-grid-picked");
  const empty = h("p", "idc-grid-empty");
  empty.tabIndex = -1;
  const note = h("span", "idc-grid-note");
  note.setAttribute("aria-hidden", "true"); // screen readers hear of it
  line.append(title, count, picked, note, empty);

  const scroller = h("div", "idc-grid-scroller");
  scroller.tabIndex = -1; // Firefox makes what scrolls a tab stop
  const spacer = h("div", "idc-grid-spacer");
  sheet.setAttribute("role", "grid");
  sheet.setAttribute("aria-multiselectable", "true");
  sheet.id = id;
  sheet.tabIndex = 0;
  const headGroup = h("div", "idc-grid-head");
  headGroup.setAttribute("role", "rowgroup");
  const head = h("div", "idc-grid-row");
  head.setAttribute("role", "row");
  head.setAttribute("aria-rowindex", "1");
  headGroup.append(head);
  const clip = h("div", "idc-grid-clip");
  clip.setAttribute("role", "rowgroup");
  const body = h("div", "idc-grid-body");
  body.setAttribute("role", "presentation");
  clip.append(body);
  sheet.append(headGroup, clip);
  spacer.append(sheet);
  scroller.append(spacer);

  const live = h("div", "idc-grid-live");
  live.setAttribute("role", "status");
  const frame = h("div", "idc-grid-frame");
  frame.append(scroller);
  root.append(line, frame, live);

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** Let screen readers say something, once nothing else is to be said. @param {string} text */
  function say(text) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      live.textContent = text;
    }, SAY_AFTER_MS);
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let noteTimer;
  /**
   * Tell people what happened.
   *
   * @param {string} text
   * @param {string} more What only screen readers say; it is on the screen elsewhere.
   */
  function tell(text, more = "") {
    say(text + more);
    note.textContent = text;
    clearTimeout(noteTimer);
    noteTimer = setTimeout(() => {
      note.textContent = "";
    }, TELL_MS);
  }

  return {
    ...{
      root,
      line,
      title,
      count,
      picked,
      empty,
      frame,
      scroller,
      spacer,
      sheet,
      headGroup,
      head,
      clip,
      body,
    },
    say,
    tell,
    close() {
      clearTimeout(timer);
      clearTimeout(noteTimer);
    },
  };
}

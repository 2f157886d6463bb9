// The frame of the browser: the bars between its parts, and the button that fills the window.
// The frame is one of the parts. It sets variables and classes on the element of the browser, and
// browser.css arranges the parts with them.

const ROW_PX = 24;
const MIN_PX = 102; // the header and three rows
const MAX_PX = 990;
const NARROW_PX = 760; // below this width, all parts are stacked
const SHORT_PX = 480; // if less of the browser is in sight, its foot would hide most of that

/** @typedef {"patients" | "series" | "upper" | "lower" | "share"} Divided */
/** @typedef {Partial<Record<Divided, number>>} Sizes */

/**
 * @typedef {object} FrameTraits
 * @property {Sizes} _sizes
 */

/** @type {Record<Divided, { usual: number, min: number, max: number, step: number, unit: string }>} */
const SIZES = {
  patients: { usual: 50, min: 20, max: 80, step: 5, unit: "%" },
  series: { usual: 65, min: 30, max: 85, step: 5, unit: "%" },
  upper: { usual: 246, min: MIN_PX, max: MAX_PX, step: ROW_PX, unit: "px" },
  lower: { usual: 294, min: MIN_PX, max: MAX_PX, step: ROW_PX, unit: "px" },
  share: { usual: 45, min: 15, max: 85, step: 5, unit: "%" },
};

/**
 * Return a size that is a number within its bounds; the usual one if `value` is none.
 *
 * @param {Divided} name
 * @param {unknown} value
 */
function bounded(name, value) {
  const { usual, min, max } = SIZES[name];
  const number = typeof value === "number" && Number.isFinite(value) ? value : usual;
  return Math.min(max, Math.max(min, number));
}

/**
 * Create a bar that is dragged by pointer or by arrow keys. A double click brings the usual size
 * back.
 *
 * @param {object} options
 * @param {string} options.className
 * @param {string} options.label
 * @param {boolean} options.isUpright Whether the bar stands between two parts side by side.
 * @param {() => Divided} options.name What it divides now.
 * @param {(name: Divided) => number} options.get
 * @param {(name: Divided, value: number | undefined, isDone: boolean) => void} options.set
 *   `undefined` is the usual size; `isDone` is false while the bar is dragged.
 * @param {() => number} options.room The length in px that 100 % are.
 */
function createBar({ className, label, isUpright, name, get, set, room }) {
  const bar = h("div", `idc-bar ${isUpright ? "idc-bar-upright" : "idc-bar-level"} ${className}`);
  bar.tabIndex = 0;
  bar.setAttribute("role", "separator");
  bar.setAttribute("aria-label", label);
  bar.setAttribute("aria-orientation", isUpright ? "vertical" : "horizontal");
  bar.title = `${label}: drag, or press the arrow keys. Double-click to reset.`;

  /** @type {{ at: number, value: number } | null} */
  let start = null;

  /** @param {PointerEvent} event */
  const place = (event) => (isUpright ? event.clientX : event.clientY);

  /** @param {PointerEvent} event @param {boolean} isDone */
  function drag(event, isDone) {
    if (!start) return;
    const moved = place(event) - start.at;
    const { unit } = SIZES[name()];
    set(name(), start.value + (unit === "px" ? moved : (100 * moved) / room()), isDone);
  }

  bar.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault(); // do not select text
    bar.focus({ preventScroll: true });
    bar.setPointerCapture(event.pointerId);
    bar.classList.add("idc-bar-dragged");
    start = { at: place(event), value: get(name()) };
  });
  bar.addEventListener("pointermove", (event) => drag(event, false));
  for (const type of /** @type {const} */ (["pointerup", "pointercancel"])) {
    bar.addEventListener(type, (event) => {
      if (start && place(event) !== start.at) drag(event, true);
      start = null;
      bar.classList.remove("idc-bar-dragged");
    });
  }
  bar.addEventListener("dblclick", () => set(name(), undefined, true));
  bar.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { min, max, step } = SIZES[name()];
    const [less, more] = isUpright ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
    /** @type {Record<string, number>} */
    const values = {
      [less]: get(name()) - step,
      [more]: get(name()) + step,
      PageUp: get(name()) - 3 * step,
      PageDown: get(name()) + 3 * step,
      Home: min,
      End: max,
    };
    if (!(event.key in values)) return;
    event.preventDefault();
    set(name(), values[event.key], true);
  });

  return {
    bar,
    show() {
      const { min, max, unit } = SIZES[name()];
      const value = Math.round(get(name()));
      bar.setAttribute("aria-valuemin", String(min));
      bar.setAttribute("aria-valuemax", String(max));
      bar.setAttribute("aria-valuenow", String(value));
      bar.setAttribute("aria-valuetext", unit === "%" ? `${value} %` : `${value} pixels`);
    },
  };
}

/**
 * Let an element fill the screen or, where the front end does not allow that, the window.
 *
 * @param {() => HTMLElement | null} find Returns the element.
 * @param {(isFull: boolean) => void} onChange
 * @param {AbortSignal} signal
 */
function createFullWindow(find, onChange, signal) {
  let isFull = false;

  /** @param {boolean} value */
  function show(value) {
    const root = find();
    if (!root || isFull === value) return;
    isFull = value;
    root.classList.toggle("idc-full", value);
    // The notebook keeps its length, so that it does not scroll meanwhile.
    const { parentElement } = root;
    if (parentElement) parentElement.style.minHeight = value ? `${root.offsetHeight}px` : "";
    onChange(value);
    if (!value) root.scrollIntoView({ block: "nearest" });
  }

  /** Cover the window. No box around the browser clips it, because it is in the top layer. */
  function cover() {
    const root = find();
    if (!root) return;
    show(true);
    if (typeof root.showPopover !== "function") return;
    root.setAttribute("popover", "manual");
    root.showPopover();
  }

  async function open() {
    const root = find();
    if (!root) return;
    try {
      await root.requestFullscreen();
    } catch {
      cover();
    }
  }

  function close() {
    const root = find();
    if (document.fullscreenElement === root) document.exitFullscreen();
    root?.removeAttribute("popover");
    show(false);
  }

  document.addEventListener(
    "fullscreenchange",
    () => {
      const root = find();
      if (document.fullscreenElement === root) show(true);
      else if (root && !root.hasAttribute("popover")) show(false);
    },
    { signal },
  );
  // What is open in a part closes first. The parts keep their keys, so this hears of a key before
  // them, and looks afterwards whether one of them has used it.
  document.addEventListener(
    "keydown",
    (event) => {
      const root = find();
      if (event.key !== "Escape" || event.isComposing) return;
      if (!isFull || !root?.hasAttribute("popover")) return;
      if (event.composedPath().includes(root)) {
        setTimeout(() => {
          if (!event.defaultPrevented && isFull) close();
        });
        return;
      }
      event.stopPropagation();
      event.preventDefault();
      close();
    },
    { capture: true, signal },
  );
  signal.addEventListener("abort", close);
  return { isFull: () => isFull, toggle: () => (isFull ? close() : open()) };
}

/**
 * While the foot sticks to the window, let the list of series and the log of a download lie below
 * the window, so that the foot hides few rows of the grid. At the end of the browser, both are in
 * sight.
 *
 * @param {HTMLElement} foot
 */
function lowerFoot(foot) {
  const last = [...foot.querySelectorAll(".idc-download-list, .idc-download-log")];
  const first = last.find((element) => element.getClientRects().length > 0);
  const top = first && first.getBoundingClientRect().top + foot.scrollTop;
  const below = top ? Math.max(0, foot.getBoundingClientRect().bottom - top) : 0;
  foot.style.setProperty("--idc-below", `${below}px`);
}

/**
 * Return the element that scrolls the browser, to which the foot sticks; null for the window.
 *
 * @param {HTMLElement} browser
 */
function findScroller(browser) {
  for (let at = parentOf(browser); at; at = parentOf(at)) {
    if (at === document.body || at === document.documentElement) return null;
    if (/auto|scroll|hidden/.test(getComputedStyle(at).overflowY)) return at;
  }
  return null;
}

/** Return the parent element, also across the edge of a shadow tree. @param {Element} element */
function parentOf(element) {
  const root = element.getRootNode();
  return element.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
}

/** Tell screen readers which part a bar resizes. @param {HTMLElement} bar @param {HTMLElement | null} part */
function setControlled(bar, part) {
  if (!part) return;
  part.id ||= uniqueId();
  bar.setAttribute("aria-controls", part.id);
}

/** @type {import("@anywidget/types").Render<FrameTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const { signal } = removed;
  const root = createRoot("idc-frame");
  el.classList.add("idc-frame-view"); // it has no box of its own: its bars are among the parts

  /** @type {HTMLElement | null} */
  let browser = null;
  /** @type {Element | null} */
  let scroller = null;
  /** @type {Sizes} */
  let sizes = {};

  /** @param {string} name */
  const part = (name) =>
    /** @type {HTMLElement | null} */ (browser?.querySelector(`:scope > .idc-part-${name}`)) ??
    null;
  const isNarrow = () => browser?.classList.contains("idc-narrow") ?? false;
  const fillsWindow = () => full.isFull() && !isNarrow();

  // --- sizes ---------------------------------------------------------------------------------

  /** @param {Divided} name */
  const get = (name) => bounded(name, sizes[name]);

  /** @param {Divided} name @param {number | undefined} value @param {boolean} isDone */
  function set(name, value, isDone) {
    if (value === undefined) {
      const { [name]: _usual, ...others } = sizes;
      sizes = others;
    } else sizes = { ...sizes, [name]: bounded(name, Math.round(value * 10) / 10) };
    show();
    if (!isDone) return;
    model.set("_sizes", sizes);
    model.save_changes();
  }

  function show() {
    if (!browser) return;
    const { style } = browser;
    const [upper, lower] = fillsWindow() ? fittedHeights() : [get("upper"), get("lower")];
    style.setProperty("--idc-upper", `${upper}px`);
    style.setProperty("--idc-lower", `${lower}px`);
    style.setProperty("--idc-patients", `${get("patients")}%`);
    style.setProperty("--idc-series", `${get("series")}%`);
    for (const bar of bars) bar.show();
  }

  /** Return the heights of the grids with which everything fits into the window. */
  function fittedHeights() {
    const { style, clientHeight } = /** @type {HTMLElement} */ (browser);
    const px = (/** @type {string} */ name) => Number.parseFloat(style.getPropertyValue(name)) || 0;
    const end = bars[3].bar.offsetTop + bars[3].bar.offsetHeight;
    const others = end + (part("foot")?.offsetHeight ?? 0) - px("--idc-upper") - px("--idc-lower");
    const both = Math.max(2 * MIN_PX, clientHeight - Math.ceil(others));
    const upper = Math.max(MIN_PX, Math.round((both * get("share")) / 100));
    return [upper, Math.max(MIN_PX, both - upper)];
  }

  // --- elements ------------------------------------------------------------------------------

  const width = () => part("choices")?.offsetWidth || 1; // that of a whole row
  /** @param {Pick<Parameters<typeof createBar>[0], "className" | "label" | "isUpright" | "name">} options */
  const createOwnBar = (options) =>
    createBar({
      ...options,
      get,
      set,
      room: () => (options.isUpright ? width() : browser?.clientHeight || 1),
    });
  const bars = [
    createOwnBar({
      className: "idc-bar-patients",
      label: "Width of the patients",
      isUpright: true,
      name: () => "patients",
    }),
    createOwnBar({
      className: "idc-bar-upper",
      label: "Height of the patients and studies",
      isUpright: false,
      name: () => (fillsWindow() ? "share" : "upper"),
    }),
    createOwnBar({
      className: "idc-bar-series",
      label: "Width of the series",
      isUpright: true,
      name: () => "series",
    }),
    createOwnBar({
      className: "idc-bar-lower",
      label: "Height of the series",
      isUpright: false,
      name: () => "lower",
    }),
  ];
  const toggle = button("idc-control idc-full-button", "", "", () => full.toggle());
  toggle.append(h("span", "idc-full-icon"));
  const full = createFullWindow(() => browser, showFull, signal);
  root.append(...bars.map(({ bar }) => bar), toggle);
  el.append(root);

  /** @param {boolean} isFull */
  function showFull(isFull) {
    const label = isFull ? "Leave the full window (Escape)" : "Fill the window";
    toggle.setAttribute("aria-label", label);
    toggle.setAttribute("aria-pressed", String(isFull));
    toggle.title = label;
    if (browser) toggle.focus({ preventScroll: true });
    show();
  }

  // --- the browser around the frame ----------------------------------------------------------

  function onResize() {
    if (!browser) return;
    browser.classList.toggle("idc-narrow", browser.clientWidth < NARROW_PX);
    const { innerHeight } = window;
    const pane = (!full.isFull() && scroller?.clientHeight) || innerHeight;
    browser.classList.toggle("idc-short", Math.min(pane, innerHeight) < SHORT_PX);
    const foot = part("foot");
    if (foot) lowerFoot(foot);
    show();
  }

  function controlParts() {
    const parts = ["patients", "patients", "series", "series"]; // of `bars`, in this order
    bars.forEach(({ bar }, index) => {
      setControlled(bar, part(parts[index] ?? ""));
    });
  }

  const resizes = new ResizeObserver(onResize);
  // A view is made before it is on the page.
  const arrival = new ResizeObserver(() => {
    if (browser) return;
    browser = el.closest(".idc-browser");
    if (!browser) return;
    arrival.disconnect();
    resizes.observe(browser);
    scroller = findScroller(browser);
    if (scroller) resizes.observe(scroller);
    for (const name of ["filters", "choices", "foot"]) {
      const observed = part(name);
      if (observed) resizes.observe(observed);
    }
    controlParts();
    onResize();
  });
  arrival.observe(toggle);
  window.addEventListener("resize", onResize, { signal });

  function showSizes() {
    sizes = model.get("_sizes");
    show();
  }
  follow(model, ["_sizes"], showSizes, signal);
  showFull(false);
  showSizes();
  return () => {
    removed.abort();
    arrival.disconnect();
    resizes.disconnect();
  };
}

export default { render };

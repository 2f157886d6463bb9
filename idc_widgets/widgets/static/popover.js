// The button of one filter and the popover that it opens: shared by facets and ranges.

const MIN_SPACE_PX = 240; // with less space above and below, the popover opens in the page's flow

/**
 * The values of a filter. The button shows the first and "+N", its tooltip shows all.
 *
 * @typedef {object} FilterValue
 * @property {string | undefined} first Undefined if nothing is filtered.
 * @property {number} [more] How many other values there are.
 * @property {string} all
 * @property {boolean} isPending Whether Python has not answered yet.
 */

/**
 * @param {object} options
 * @param {HTMLElement} options.el Where the button is put.
 * @param {string} options.label The name of the filter.
 * @param {string} options.column The column that it filters, shown in the tooltip.
 * @param {"listbox" | "dialog"} options.kind The kind of popup, for `aria-haspopup`.
 * @param {number} options.maxHeight The height limit of the popover, in px.
 * @param {() => HTMLElement} options.onOpen Fills the popover; returns the element to focus.
 * @param {() => void} options.onClose
 * @param {() => void} options.onClear Called when the × is pressed.
 * @param {(event: KeyboardEvent) => void} options.onKey Called for keys other than Escape that
 *   are pressed while the popover is open.
 * @param {AbortSignal} options.signal Aborted when the page view is removed.
 */
function createPopover({
  el,
  label,
  column,
  kind,
  maxHeight,
  onOpen,
  onClose,
  onClear,
  onKey,
  signal,
}) {
  const root = createRoot("idc-popover");
  const box = h("div", "idc-control idc-popover-box");
  const opener = button("idc-popover-button");
  opener.setAttribute("aria-haspopup", kind);
  opener.setAttribute("aria-expanded", "false");
  const value = h("span", "idc-popover-value");
  const count = h("span", "idc-badge");
  const arrow = h("span", "idc-arrow");
  opener.append(h("span", "idc-popover-label", label), " ", value, count, arrow);
  const clear = button("idc-x idc-popover-clear", "", `Clear ${label}`);
  box.append(opener, clear);
  const panel = h("div", "idc-popover-panel");
  root.append(box, panel);
  el.append(root);

  let shown = "";

  /** @param {FilterValue} filter */
  function show({ first, more = 0, all, isPending }) {
    const filter = JSON.stringify([first, more, all, isPending]);
    if (filter === shown) return; // with each click, all dropdowns get new counts
    shown = filter;
    const isActive = first !== undefined;
    value.textContent = first ?? "";
    value.hidden = !isActive;
    clear.hidden = !isActive;
    count.dataset.text = `+${more}`; // CSS draws it, because the accessible name has all values
    count.hidden = more <= 0;
    arrow.hidden = isActive;
    const description = all ? `${label}: ${all}` : "";
    opener.title = description ? `${description}\n${column}` : column;
    opener.setAttribute("aria-label", description || label);
    root.classList.toggle("idc-popover-active", isActive);
    root.classList.toggle("idc-popover-waiting", isPending);
  }

  const isOpen = () => root.classList.contains("idc-popover-open");

  function open() {
    if (isOpen()) return;
    root.classList.add("idc-popover-open");
    opener.setAttribute("aria-expanded", "true");
    // In the top layer, neither the output area nor the CSS containment of a cell clips the panel.
    const isInline = window.innerHeight < 2 * MIN_SPACE_PX && window !== window.parent;
    root.classList.toggle("idc-popover-inline", isInline);
    if (!isInline && typeof panel.showPopover === "function") {
      panel.popover = "manual";
      panel.showPopover();
    }
    const target = onOpen();
    place();
    target.focus({ preventScroll: true });
  }

  function close() {
    if (!isOpen()) return;
    const hasFocus = panel.contains(activeElementNear(root));
    if (panel.hasAttribute("popover")) {
      panel.hidePopover();
      panel.removeAttribute("popover");
    }
    root.classList.remove("idc-popover-open", "idc-popover-inline");
    opener.setAttribute("aria-expanded", "false");
    if (hasFocus) opener.focus({ preventScroll: true });
    onClose();
  }

  /** Place the panel within the window: below the button, or above it if there is more space. */
  function place() {
    if (!isOpen() || root.classList.contains("idc-popover-inline")) return;
    const anchor = box.getBoundingClientRect();
    const isOffScreen = anchor.bottom < 0 || anchor.top > window.innerHeight || anchor.width === 0;
    if (isOffScreen) return close();
    const below = window.innerHeight - anchor.bottom - 12;
    const above = anchor.top - 12;
    const opensUp = below < MIN_SPACE_PX && above > below;
    panel.style.maxHeight = `${Math.min(maxHeight, Math.max(120, opensUp ? above : below))}px`;
    const left = Math.min(anchor.left, window.innerWidth - panel.offsetWidth - 8);
    panel.style.left = `${Math.max(8, left)}px`;
    panel.style.top = opensUp ? "auto" : `${anchor.bottom + 4}px`;
    panel.style.bottom = opensUp ? `${window.innerHeight - anchor.top + 4}px` : "auto";
  }

  /** @param {PointerEvent} event */
  const onPointerDown = (event) => {
    if (isOpen() && !event.composedPath().includes(root)) close();
  };
  /** @param {Event} event */
  const onScroll = (event) => {
    if (isOpen() && !panel.contains(/** @type {Node} */ (event.target))) place();
  };
  document.addEventListener("pointerdown", onPointerDown, { capture: true, signal });
  window.addEventListener("scroll", onScroll, { capture: true, passive: true, signal });
  window.addEventListener("resize", place, { signal });
  signal.addEventListener("abort", () => close());

  opener.addEventListener("click", () => (isOpen() ? close() : open()));
  clear.addEventListener("click", () => {
    onClear();
    opener.focus({ preventScroll: true });
  });
  root.addEventListener("focusout", (event) => {
    const target = /** @type {Node | null} */ (event.relatedTarget);
    if (isOpen() && target && !root.contains(target)) close();
  });
  root.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!isOpen()) {
      if (event.target === opener && event.key === "ArrowDown") {
        event.preventDefault();
        open();
      }
    } else if (event.key === "Escape") {
      event.preventDefault();
      close();
      opener.focus({ preventScroll: true });
    } else if (event.target !== clear) onKey(event);
  });

  return { root, opener, panel, show, isOpen, place };
}

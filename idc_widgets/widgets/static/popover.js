// A button of one filter, and the popover that it opens: what facets and ranges have in common.

const ROOM = 240; // pixels; with less than that above and below, it opens in the page's flow

/**
 * @param el where it is put.
 * @param label what the filter is called.
 * @param kind of popup, for aria-haspopup.
 * @param room the most height that the popover takes, in pixels.
 * @param onOpen called when the popover is there, to fill it; returns what gets the focus.
 * @param onClose called when it is gone.
 * @param onClear called when the × is clicked.
 * @param onKey called with every key pressed while it is open, but Escape.
 */
function filterButton({ el, label, kind, room, onOpen, onClose, onClear, onKey }) {
  const stop = new AbortController();
  const on = (target, type, listener, options = {}) =>
    target.addEventListener(type, listener, { signal: stop.signal, ...options });

  const root = h("div", "idc-root idc-facet");
  // Otherwise JupyterLab takes single keys as commands on cells: "a" would insert one.
  root.dataset.lmSuppressShortcuts = "true";
  const box = h("div", "idc-control idc-facet-box");
  const opener = button("idc-facet-button");
  opener.setAttribute("aria-haspopup", kind);
  opener.setAttribute("aria-expanded", "false");
  const value = h("span", "idc-facet-value");
  const count = h("span", "idc-badge");
  const arrow = h("span", "idc-arrow");
  opener.append(h("span", "idc-facet-label", label), value, count, arrow);
  const clear = button("idc-x idc-facet-clear", "×", `Clear ${label}`);
  box.append(opener, clear);
  const popover = h("div", "idc-facet-popover");
  root.append(box, popover);
  el.append(root);

  /** What is filtered by: on the button the first of it and how much more, in a tooltip all. */
  function show({ first, more, all, waiting }) {
    const active = first !== undefined;
    value.textContent = active ? first : "";
    value.hidden = clear.hidden = !active;
    count.textContent = more > 0 ? `+${more}` : "";
    count.hidden = !count.textContent;
    arrow.hidden = active;
    const described = all ? `${label}: ${all}` : "";
    opener.title = described;
    opener.setAttribute("aria-label", described || label);
    root.classList.toggle("idc-facet-active", active);
    root.classList.toggle("idc-facet-waiting", waiting);
  }

  const isOpen = () => root.classList.contains("idc-facet-open");

  function open() {
    if (isOpen()) return;
    root.classList.add("idc-facet-open");
    opener.setAttribute("aria-expanded", "true");
    // In the top layer nothing clips it, neither the output area nor a cell's containment.
    const inline = window.innerHeight < 2 * ROOM && window !== window.parent;
    root.classList.toggle("idc-facet-inline", inline);
    if (!inline && popover.showPopover) {
      popover.popover = "manual";
      popover.showPopover();
    }
    const focus = onOpen();
    place();
    focus.focus({ preventScroll: true });
  }

  function close({ focus = false } = {}) {
    if (!isOpen()) return;
    if (popover.hasAttribute("popover")) {
      popover.hidePopover();
      popover.removeAttribute("popover");
    }
    root.classList.remove("idc-facet-open", "idc-facet-inline");
    opener.setAttribute("aria-expanded", "false");
    if (focus) opener.focus({ preventScroll: true });
    onClose();
  }

  /** Below the button, or above it where there is more room; never outside the window. */
  function place() {
    if (!isOpen() || root.classList.contains("idc-facet-inline")) return;
    const anchor = box.getBoundingClientRect();
    const outside = anchor.bottom < 0 || anchor.top > window.innerHeight || anchor.width === 0;
    if (outside) return close();
    const below = window.innerHeight - anchor.bottom - 12;
    const above = anchor.top - 12;
    const up = below < ROOM && above > below;
    popover.style.maxHeight = `${Math.min(room, Math.max(120, up ? above : below))}px`;
    const left = Math.min(anchor.left, window.innerWidth - popover.offsetWidth - 8);
    popover.style.left = `${Math.max(8, left)}px`;
    popover.style.top = up ? "auto" : `${anchor.bottom + 4}px`;
    popover.style.bottom = up ? `${window.innerHeight - anchor.top + 4}px` : "auto";
  }

  on(opener, "click", () => (isOpen() ? close() : open()));
  on(clear, "click", () => {
    onClear();
    opener.focus({ preventScroll: true });
  });
  on(
    document,
    "pointerdown",
    (event) => {
      if (isOpen() && !event.composedPath().includes(root)) close();
    },
    { capture: true },
  );
  on(root, "focusout", (event) => {
    if (isOpen() && event.relatedTarget && !root.contains(event.relatedTarget)) close();
  });
  on(
    window,
    "scroll",
    (event) => {
      if (isOpen() && !popover.contains(event.target)) place();
    },
    { capture: true, passive: true },
  );
  on(window, "resize", place);
  on(root, "keydown", (event) => {
    event.stopPropagation(); // the notebook has other plans with these keys
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!isOpen()) {
      if (event.target === opener && event.key === "ArrowDown") {
        event.preventDefault();
        open();
      }
    } else if (event.key === "Escape") {
      event.preventDefault();
      close({ focus: true });
    } else if (event.target !== clear) onKey(event);
  });

  function remove() {
    stop.abort();
    close();
  }

  return { root, opener, popover, on, show, isOpen, close, place, remove };
}

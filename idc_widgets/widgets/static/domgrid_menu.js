// The menu of a row: what can be done with it. It opens at the row's button, by the key for context
// menus, or with the right mouse button.
// To Python: {kind: "row", number, generation, row} when it opens, {kind: "details", generation, row}.
// From Python: {kind: "row", view, number, facts}.

/**
 * @typedef {object} RowFacts
 * @property {string} name What identifies the row, such as "Series UID".
 * @property {string} identifier
 * @property {string} code Python code that selects the row.
 * @property {string} viewer The address of the viewer, or "".
 * @property {string} problem Why it cannot be viewed, or "".
 */

/**
 * @param {object} options
 * @param {HTMLElement} options.root
 * @param {(content: object) => void} options.send
 * @param {(text: string) => void} options.tell
 * @param {() => void} options.onClose Called when the menu closes by key or by a choice.
 * @param {AbortSignal} options.signal Aborted when the page view is removed.
 */
function createRowMenu({ root, send, tell, onClose, signal }) {
  const menu = h("div", "idc-grid-menu");
  menu.setAttribute("role", "menu");
  menu.setAttribute("aria-label", "Row");
  menu.hidden = true;
  root.append(menu);
  let number = 0;
  let generation = -1;
  let row = -1;
  /** @type {RowFacts | null} */
  let facts = null;

  const items = () => /** @type {HTMLElement[]} */ ([...menu.children]);

  const anchor = createAnchor(root, menu, () => close(), signal);

  function close({ isLeft = false } = {}) {
    if (menu.hidden) return;
    menu.hidden = true;
    if (menu.hasAttribute("popover")) {
      menu.hidePopover();
      menu.removeAttribute("popover");
    }
    if (!isLeft) onClose();
  }

  /** @param {string} text @param {string} name @param {string} copied */
  function createCopyItem(text, name, copied) {
    const item = button("idc-grid-menu-item", text, "", () => {
      close();
      copyAndTell(copied, name, tell);
    });
    item.title = copied;
    return item;
  }

  /** Create an item that does nothing, or nothing yet. @param {string} text */
  function createOffItem(text) {
    const item = button("idc-grid-menu-item", text);
    item.setAttribute("aria-disabled", "true");
    return item;
  }

  function show() {
    const details = button("idc-grid-menu-item", "Show everything about this row", "", () => {
      close();
      send({ kind: "details", generation, row });
    });
    if (!facts) {
      const later = ["Copy identifier", "Copy as Python code", "Open in the viewer"].map((text) =>
        createOffItem(text),
      );
      return showItems([details, ...later]);
    }
    const all = [
      details,
      createCopyItem(`Copy ${facts.name}`, facts.name, facts.identifier),
      createCopyItem("Copy as Python code", "Python code", facts.code),
    ];
    if (facts.viewer) {
      const link = h("a", "idc-grid-menu-item", "Open in the viewer");
      link.href = facts.viewer;
      link.target = "_blank";
      link.rel = "noopener noreferrer";
      link.title = facts.viewer.split("?")[0] ?? "";
      link.addEventListener("click", () => close());
      all.push(/** @type {any} */ (link));
    } else all.push(createOffItem(`Open in the viewer: ${facts.problem}`));
    showItems(all);
  }

  /** @param {HTMLElement[]} all */
  function showItems(all) {
    const focused = items().indexOf(/** @type {HTMLElement} */ (activeElementNear(menu)));
    for (const item of all) {
      item.setAttribute("role", "menuitem");
      item.tabIndex = -1;
    }
    menu.replaceChildren(...all);
    menu.setAttribute("aria-busy", String(!facts));
    all[Math.max(0, focused)]?.focus({ preventScroll: true });
  }

  menu.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(/** @type {HTMLElement} */ (event.target));
    /** @type {Record<string, number>} */
    const targets = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 };
    const target = targets[event.key];
    if (target !== undefined) all[(target + all.length) % all.length]?.focus();
    else if (event.key === "Escape" || event.key === "Tab") close();
    else return;
    event.preventDefault();
  });
  menu.addEventListener("focusout", (event) => {
    const to = /** @type {Node | null} */ (event.relatedTarget);
    if (to && !menu.contains(to)) close({ isLeft: true });
  });
  document.addEventListener(
    "pointerdown",
    (event) => {
      if (!event.composedPath().includes(menu)) close({ isLeft: true });
    },
    { capture: true, signal },
  );
  window.addEventListener("resize", () => close({ isLeft: true }), { signal });

  return {
    close,

    /** @param {number} opened The row. @param {number} shown The generation. @param {DOMRect} beside */
    open(opened, shown, beside) {
      row = opened;
      generation = shown;
      facts = null;
      number += 1;
      send({ kind: "row", number, generation, row });
      menu.hidden = false;
      // In the top layer nothing clips the menu.
      if (typeof menu.showPopover === "function") {
        menu.popover = "manual";
        menu.showPopover();
      }
      show();
      const { innerWidth, innerHeight } = window;
      const height = menu.offsetHeight;
      const top = beside.bottom + height + 4 <= innerHeight ? beside.bottom : beside.top - height;
      anchor.place(Math.max(4, Math.min(beside.left, innerWidth - 260)), Math.max(4, top));
    },

    /** @param {{ number: number, facts: RowFacts }} message */
    take(message) {
      if (message.number !== number || menu.hidden) return;
      facts = message.facts;
      show();
    },
  };
}

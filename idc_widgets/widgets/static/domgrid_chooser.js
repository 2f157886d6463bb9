// The dialog in which a person chooses the columns of a grid and their order. It shows each choice
// at once. After Python has answered all choices, it shows the columns that Python has.

/**
 * @param {object} options
 * @param {HTMLElement} options.root
 * @param {HTMLElement} options.line The line with the title, which gets the button.
 * @param {ReturnType<typeof createRequests>} options.requests
 * @param {(text: string) => void} options.say
 * @param {AbortSignal} options.signal Aborted when the page view is removed.
 */
function createChooser({ root, line, requests, say, signal }) {
  const id = uniqueId();
  const opener = button("idc-link idc-grid-columns", "Columns");
  opener.setAttribute("aria-haspopup", "dialog");
  opener.setAttribute("aria-expanded", "false");
  line.append(opener);
  const panel = h("div", "idc-grid-chooser");
  panel.setAttribute("role", "dialog");
  panel.hidden = true;
  const search = h("input", "idc-control");
  search.type = "text";
  search.placeholder = "Search columns";
  search.setAttribute("role", "combobox");
  search.setAttribute("aria-label", "Search columns");
  search.setAttribute("aria-expanded", "true");
  search.setAttribute("aria-controls", `${id}-list`);
  search.setAttribute("aria-describedby", `${id}-hint`);
  const hint = h(
    "p",
    "idc-grid-hint",
    "A click or Enter shows or hides a column; a drag of ⠿, Alt+↑ and Alt+↓ move it.",
  );
  hint.id = `${id}-hint`;
  const list = h("div", "idc-grid-choices");
  list.id = `${id}-list`;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-multiselectable", "true");
  list.setAttribute("aria-label", "Columns");
  const reset = button("idc-link", "Usual columns", "", () => choose([]));
  const done = button("idc-link", "Close", "", () => close({ focus: true }));
  const buttons = h("div", "idc-grid-buttons");
  buttons.append(reset, done);
  panel.append(search, hint, list, buttons);
  root.append(panel);

  /** @type {GridColumn[]} */
  let available = [];
  /** @type {string[]} */
  let shown = [];
  /** @type {GridColumn[]} */
  let columnsOfPython = [];
  let current = ""; // the name of the current column

  /** Return the columns that match the search: those that are shown in their order, then others. */
  function matching() {
    const words = search.value.toLowerCase().split(/\s+/);
    const byName = new Map(available.map((column) => [column.name, column]));
    const names = [...shown, ...available.map(({ name }) => name)];
    const ordered = [...new Set(names)].flatMap((name) => byName.get(name) ?? []);
    return ordered.filter(({ label, hint: text }) =>
      words.every((word) => `${label} ${text}`.toLowerCase().includes(word)),
    );
  }

  function draw() {
    if (panel.hidden) return;
    const columns = matching();
    if (!columns.some(({ name }) => name === current)) current = columns[0]?.name ?? "";
    const options = columns.map(({ name, label, hint: text }, index) => {
      const option = h("div", "idc-grid-choice");
      option.id = `${id}-${index}`;
      option.dataset.name = name;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", String(shown.includes(name)));
      option.classList.toggle("idc-grid-choice-current", name === current);
      const box = h("span", "idc-grid-box");
      const [keyword = "", ...description] = text.split(": ");
      const texts = h("span");
      texts.append(h("b", "", label), " ", h("span", "idc-grid-keyword", keyword));
      if (description.length) texts.append(h("small", "", description.join(": ")));
      option.append(box, texts);
      if (shown.includes(name) && shown.length > 1) option.append(createHandle());
      return option;
    });
    list.replaceChildren(...options);
    const active = options.find(({ dataset }) => dataset.name === current);
    if (active) {
      search.setAttribute("aria-activedescendant", active.id);
      active.scrollIntoView({ block: "nearest" });
    } else search.removeAttribute("aria-activedescendant");
  }

  function createHandle() {
    const handle = h("span", "idc-grid-handle", "⠿");
    handle.setAttribute("aria-hidden", "true"); // there are keys for it
    handle.title = "Drag to move the column";
    return handle;
  }

  /** Drag a column with the mouse or a finger. @param {PointerEvent} event @param {string} name */
  function drag(event, name) {
    current = name;
    const before = shown;
    const dragged = new AbortController();
    // The options are made anew at each step, so the list hears of the pointer.
    list.setPointerCapture(event.pointerId);
    /** @param {PointerEvent} moved */
    const onMove = ({ clientY }) => {
      const over = [...list.children].find((option) => {
        const { top, bottom } = option.getBoundingClientRect();
        return clientY >= top && clientY < bottom;
      });
      const to = shown.indexOf(over instanceof HTMLElement ? (over.dataset.name ?? "") : "");
      if (to >= 0 && shown[to] !== current) place(to);
    };
    const onEnd = () => {
      dragged.abort();
      if (shown === before) return;
      choose(shown);
      say(`Column ${shown.indexOf(current) + 1} of ${shown.length}`);
    };
    const options = { signal: dragged.signal };
    list.addEventListener("pointermove", onMove, options);
    list.addEventListener("pointerup", onEnd, options);
    list.addEventListener("pointercancel", onEnd, options);
    draw();
  }

  /** Show the current column at another place. @param {number} to */
  function place(to) {
    const names = shown.filter((name) => name !== current);
    names.splice(to, 0, current);
    shown = names;
    draw();
  }

  /** @param {string} name */
  function toggle(name) {
    const label = available.find((column) => column.name === name)?.label ?? name;
    const isShown = shown.includes(name);
    if (isShown && shown.length === 1) return say("At least one column is shown");
    shown = isShown ? shown.filter((other) => other !== name) : [...shown, name];
    current = name;
    choose(shown);
    say(`${label} ${isShown ? "hidden" : "shown"}`);
    draw();
  }

  /** @param {string[]} names The columns to show; empty for the usual ones. */
  function choose(names) {
    requests.send({ kind: "columns", names });
  }

  /** @param {number} by */
  function move(by) {
    const from = shown.indexOf(current);
    const to = from + by;
    if (from < 0 || to < 0 || to >= shown.length) return;
    place(to);
    choose(shown);
    say(`Column ${to + 1} of ${shown.length}`);
  }

  /** @param {number} by */
  function step(by) {
    const columns = matching();
    const at = columns.findIndex(({ name }) => name === current);
    current = columns[Math.max(0, Math.min(columns.length - 1, at + by))]?.name ?? "";
    draw();
  }

  const anchor = createAnchor(root, panel, () => close({ focus: true }), signal);

  function open() {
    panel.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    search.value = "";
    if (typeof panel.showPopover === "function") {
      panel.popover = "manual";
      panel.showPopover();
      const { right, bottom } = opener.getBoundingClientRect();
      const { innerWidth, innerHeight } = window;
      anchor.place(
        Math.max(4, Math.min(right - 340, innerWidth - 348)),
        Math.max(4, Math.min(bottom + 4, innerHeight - 380)),
      );
    }
    draw();
    search.focus({ preventScroll: true });
  }

  function close({ focus = false } = {}) {
    if (panel.hidden) return;
    panel.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    if (panel.hasAttribute("popover")) {
      panel.hidePopover();
      panel.removeAttribute("popover");
    }
    if (focus) opener.focus({ preventScroll: true });
  }

  opener.addEventListener("click", () => (panel.hidden ? open() : close()));
  search.addEventListener("input", draw);
  /** @param {Event} event */
  const optionOf = ({ target }) => {
    const option = /** @type {Element} */ (target).closest("[role=option]");
    return option instanceof HTMLElement ? (option.dataset.name ?? "") : "";
  };
  /** @param {Event} event */
  const isHandle = ({ target }) => /** @type {Element} */ (target).matches(".idc-grid-handle");
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the focus stays
    if (isHandle(event)) drag(event, optionOf(event));
  });
  list.addEventListener("click", (event) => {
    const name = optionOf(event);
    if (name && !isHandle(event)) toggle(name);
  });
  panel.addEventListener("keydown", (event) => {
    const { key, altKey, target } = event;
    const isUpOrDown = key === "ArrowUp" || key === "ArrowDown";
    const by = key === "ArrowUp" ? -1 : 1;
    if (key === "Escape") close({ focus: true });
    else if (target !== search) return;
    else if (isUpOrDown && altKey) move(by);
    else if (isUpOrDown) step(by);
    else if (key === "Enter") toggle(current);
    else return;
    event.preventDefault();
  });
  panel.addEventListener("focusout", (event) => {
    const to = /** @type {Node | null} */ (event.relatedTarget);
    if (to && !panel.contains(to) && to !== opener) close();
  });
  document.addEventListener(
    "pointerdown",
    (event) => {
      const path = event.composedPath();
      if (!path.includes(panel) && !path.includes(opener)) close();
    },
    { capture: true, signal },
  );

  function showColumns() {
    shown = columnsOfPython
      .map(({ name }) => name)
      .filter((name) => available.some((one) => one.name === name));
    draw();
  }

  return {
    /** Name the grid, so that each button and dialog has a name of its own. @param {string} title */
    setTitle(title) {
      const name = `Columns of ${title.toLowerCase()}`;
      opener.setAttribute("aria-label", name);
      panel.setAttribute("aria-label", name);
    },

    /** @param {GridColumn[]} all @param {GridColumn[]} columns Those that are shown. */
    setColumns(all, columns) {
      available = all;
      columnsOfPython = columns;
      opener.hidden = all.length === 0;
      if (!requests.isPending()) showColumns();
    },

    /** If Python has answered all choices, show the columns that it has. */
    settle() {
      if (requests.isPending() && requests.settle()) showColumns();
    },
  };
}

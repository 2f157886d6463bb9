// A button and the list that it opens. What is chosen goes to Python as
// {kind: "choose", view, number, values}; the answer is the model's new values, and `_answered` =
// "view:number".

const NUMBER = new Intl.NumberFormat("en-US");
const ROOM = 240; // pixels; with less than that above and below, the list opens in the page's flow
let views = 0;

/** An element; text is set as text, whatever it holds. */
function h(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

const words = (value) => (value === null ? "(missing)" : String(value));

function render({ model, el }) {
  const uid = `idc-facet-${Date.now().toString(36)}-${++views}`;
  const label = model.get("_label");
  const stop = new AbortController();
  const on = (target, type, listener, options = {}) =>
    target.addEventListener(type, listener, { signal: stop.signal, ...options });

  // --- elements ----------------------------------------------------------------------------

  const root = h("div", "idc-root idc-facet");
  // Otherwise JupyterLab takes single keys as commands on cells: "a" would insert one.
  root.dataset.lmSuppressShortcuts = "true";
  const box = h("div", "idc-facet-box");
  const button = h("button", "idc-facet-button");
  button.type = "button";
  button.setAttribute("aria-haspopup", "listbox");
  button.setAttribute("aria-expanded", "false");
  const value = h("span", "idc-facet-value");
  const count = h("span", "idc-facet-count");
  const arrow = h("span", "idc-facet-arrow");
  button.append(h("span", "idc-facet-label", label), value, count, arrow);
  const clear = h("button", "idc-x idc-facet-clear", "×");
  clear.type = "button";
  clear.title = `Clear ${label}`;
  clear.setAttribute("aria-label", clear.title);
  box.append(button, clear);

  const popover = h("div", "idc-facet-popover");
  const search = h("input", "idc-facet-search");
  search.type = "text";
  search.autocomplete = "off";
  search.spellcheck = false;
  search.setAttribute("aria-label", `Search ${label}`);
  search.setAttribute("aria-controls", `${uid}-list`);
  const head = h("div", "idc-facet-head");
  head.setAttribute("aria-hidden", "true");
  const distinct = h("span");
  head.append(distinct, h("span", "idc-facet-number", "series"), h("span", "idc-facet-number", "patients"));
  const list = h("div", "idc-facet-list");
  list.id = `${uid}-list`;
  list.tabIndex = 0;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-multiselectable", "true");
  list.setAttribute("aria-label", label);
  button.setAttribute("aria-controls", list.id);
  const note = h("div", "idc-facet-note");
  note.setAttribute("role", "status");
  popover.append(search, head, list, note);
  root.append(box, popover);
  el.append(root);

  // --- what is chosen: shown at once, sent one request at a time -----------------------------

  let chosen = model.get("_chosen");
  let asked = null; // {id, values} of the request that was not answered yet
  let requests = 0;

  const has = (one) => chosen.includes(one);
  const overtaken = () =>
    asked.values.length !== chosen.length || !chosen.every((one) => asked.values.includes(one));

  function choose(values) {
    chosen = values;
    if (!asked || !isOpen()) ask();
    showChosen();
  }

  function ask() {
    asked = { id: `${uid}:${++requests}`, values: chosen };
    model.send({ kind: "choose", view: uid, number: requests, values: chosen });
  }

  function onModel() {
    if (asked && model.get("_answered") === asked.id) {
      const late = overtaken();
      asked = null;
      if (late) ask(); // only the latest of all clicks since then
    }
    if (asked) return; // counts of a choice that is no longer shown
    chosen = model.get("_chosen");
    showChosen();
    if (isOpen()) showRows();
  }

  const toggle = (one) => choose(has(one) ? chosen.filter((v) => v !== one) : [...chosen, one]);

  function showChosen() {
    value.textContent = chosen.length ? words(chosen[0]) : "";
    value.hidden = !chosen.length;
    count.textContent = chosen.length > 1 ? `+${chosen.length - 1}` : "";
    count.hidden = !count.textContent;
    clear.hidden = !chosen.length;
    arrow.hidden = chosen.length > 0;
    const all = chosen.map(words).join(", ");
    button.title = all ? `${label}: ${all}` : "";
    button.setAttribute("aria-label", all ? `${label}: ${all}` : label);
    root.classList.toggle("idc-facet-active", chosen.length > 0);
    root.classList.toggle("idc-facet-waiting", asked !== null);
    for (const row of rows) row.element.setAttribute("aria-selected", String(has(row.value)));
  }

  // --- rows ----------------------------------------------------------------------------------

  let rows = []; // {value, element} in the order shown
  let current = -1;
  let onTop = []; // what was chosen when the list was opened: rows must not jump under the mouse

  function showRows() {
    const keep = rows[current]?.value;
    const values = model.get("_values");
    const text = search.value.trim().toLowerCase();
    const matches = values.filter(([one]) => words(one).toLowerCase().includes(text));
    const first = matches.filter(([one]) => onTop.includes(one));
    const rest = matches.filter(([one]) => !onTop.includes(one));
    const scroll = list.scrollTop;
    rows = [...first, ...rest].map(([one, series, patients], at) => {
      const element = h("div", "idc-facet-row");
      element.id = `${uid}-${at}`;
      element.dataset.at = at;
      element.setAttribute("role", "option");
      element.setAttribute("aria-selected", String(has(one)));
      element.setAttribute(
        "aria-label",
        `${words(one)}, ${NUMBER.format(series)} series, ${NUMBER.format(patients)} patients`,
      );
      element.classList.toggle("idc-facet-zero", series === 0);
      const name = h("span", "idc-facet-name", words(one));
      name.classList.toggle("idc-facet-missing", one === null);
      name.title = words(one);
      element.append(
        h("span", "idc-facet-check"),
        name,
        h("span", "idc-facet-number", NUMBER.format(series)),
        h("span", "idc-facet-number", NUMBER.format(patients)),
      );
      return { value: one, element };
    });
    const elements = rows.map((row) => row.element);
    if (first.length && rest.length) {
      const rule = h("div", "idc-facet-rule");
      rule.setAttribute("role", "presentation");
      elements.splice(first.length, 0, rule);
    }
    list.replaceChildren(...elements);
    list.scrollTop = scroll;
    setCurrent(keep === undefined ? -1 : rows.findIndex((row) => row.value === keep));

    const total = model.get("_distinct");
    distinct.textContent = text
      ? `${NUMBER.format(rows.length)} of ${NUMBER.format(total)}`
      : `${NUMBER.format(total)} ${total === 1 ? "value" : "values"}`;
    const left = total - values.length;
    if (!rows.length) note.textContent = text ? `No value matches “${search.value.trim()}”` : "No values";
    else if (left > 0) note.textContent = `The ${NUMBER.format(values.length)} most frequent values; ${NUMBER.format(left)} more are not listed`;
    else note.textContent = "";
    note.hidden = !note.textContent;
    list.hidden = head.hidden = !rows.length;
  }

  function setCurrent(at) {
    rows[current]?.element.classList.remove("idc-facet-current");
    current = at;
    if (rows[at]) {
      rows[at].element.classList.add("idc-facet-current");
      rows[at].element.scrollIntoView({ block: "nearest" });
      list.setAttribute("aria-activedescendant", rows[at].element.id);
    } else list.removeAttribute("aria-activedescendant");
  }

  // --- opening and closing -------------------------------------------------------------------

  const isOpen = () => root.classList.contains("idc-facet-open");

  function open() {
    if (isOpen()) return;
    search.value = "";
    search.placeholder = "Search";
    onTop = [...chosen];
    current = -1;
    root.classList.add("idc-facet-open");
    button.setAttribute("aria-expanded", "true");
    // In the top layer nothing clips it, neither the output area nor a cell's containment.
    const inline = window.innerHeight < 2 * ROOM && window !== window.parent;
    root.classList.toggle("idc-facet-inline", inline);
    if (!inline && popover.showPopover) {
      popover.popover = "manual";
      popover.showPopover();
    }
    showRows();
    list.scrollTop = 0;
    place();
    search.focus({ preventScroll: true });
  }

  function close({ focus = false } = {}) {
    if (!isOpen()) return;
    if (popover.hasAttribute("popover")) {
      popover.hidePopover();
      popover.removeAttribute("popover");
    }
    root.classList.remove("idc-facet-open", "idc-facet-inline");
    button.setAttribute("aria-expanded", "false");
    if (focus) button.focus({ preventScroll: true });
    rows = [];
    list.replaceChildren();
    // Whoever runs a cell next means all that was ticked, even if the kernel is still busy.
    if (asked && overtaken()) ask();
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
    popover.style.maxHeight = `${Math.min(440, Math.max(120, up ? above : below))}px`;
    const left = Math.min(anchor.left, window.innerWidth - popover.offsetWidth - 8);
    popover.style.left = `${Math.max(8, left)}px`;
    popover.style.top = up ? "auto" : `${anchor.bottom + 4}px`;
    popover.style.bottom = up ? `${window.innerHeight - anchor.top + 4}px` : "auto";
  }

  on(button, "click", () => (isOpen() ? close() : open()));
  on(clear, "click", () => {
    choose([]);
    if (isOpen()) showRows();
    button.focus({ preventScroll: true });
  });
  on(search, "input", () => {
    current = -1;
    showRows();
    list.scrollTop = 0;
    place();
  });
  on(list, "mousedown", (event) => event.preventDefault()); // the search box keeps the focus
  on(list, "click", (event) => {
    const row = rows[event.target.closest(".idc-facet-row")?.dataset.at];
    if (row) toggle(row.value);
  });
  on(document, "pointerdown", (event) => {
    if (isOpen() && !event.composedPath().includes(root)) close();
  }, { capture: true });
  on(root, "focusout", (event) => {
    if (isOpen() && event.relatedTarget && !root.contains(event.relatedTarget)) close();
  });
  on(window, "scroll", (event) => {
    if (isOpen() && !popover.contains(event.target)) place();
  }, { capture: true, passive: true });
  on(window, "resize", place);

  // --- keyboard ------------------------------------------------------------------------------

  function move(to) {
    if (!rows.length) return;
    list.focus({ preventScroll: true });
    setCurrent(Math.max(0, Math.min(rows.length - 1, to)));
  }

  const moves = {
    ArrowDown: () => move(current + 1),
    ArrowUp: () => move(current - 1),
    PageDown: () => move(current + 10),
    PageUp: () => move(current - 10),
  };

  on(root, "keydown", (event) => {
    event.stopPropagation(); // the notebook has other plans with these keys
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const { key, target } = event;
    const done = () => event.preventDefault();
    if (!isOpen()) {
      if (target === button && key === "ArrowDown") { done(); open(); }
      return;
    }
    if (key === "Escape") { done(); close({ focus: true }); }
    else if (key in moves && target !== clear) {
      done();
      if (key === "ArrowUp" && current <= 0) { setCurrent(-1); search.focus(); }
      else moves[key]();
    } else if (target === search) {
      if (key === "Enter") {
        done();
        if (rows.length && search.value.trim()) toggle(rows[0].value);
      }
    } else if (target === list) {
      if (key === " " || key === "Enter") { done(); if (rows[current]) toggle(rows[current].value); }
      else if (key === "Home") { done(); move(0); }
      else if (key === "End") { done(); move(rows.length - 1); }
      else if (key === "Backspace" || key.length === 1) search.focus(); // typing searches
    }
  });

  // --- life ----------------------------------------------------------------------------------

  // A change of several traits arrives as several events: the page is drawn once for all.
  let drawing = false;
  const onChange = () => {
    if (drawing) return;
    drawing = true;
    queueMicrotask(() => { drawing = false; if (!stop.signal.aborted) onModel(); });
  };
  const names = ["_values", "_chosen", "_answered", "_distinct"];
  for (const name of names) model.on(`change:${name}`, onChange);
  showChosen();

  return () => {
    for (const name of names) model.off(`change:${name}`, onChange);
    stop.abort();
    close();
  };
}

export default { render };

// The dropdown of a column: a button, and the list of values with counts that it opens.
// To Python: {kind: "choose", view, number, values, exclude}; see `createRequests` for the answer.
// {kind: "notes"} asks for the trait `_notes`, when the list is first opened.

const HINT = "Point at a row, or move to it with the arrow keys, to read about it.";
const ONLY_HEIGHT_PX = 28;
const MAX_NAMED = 3; // how many excluded values a closed dropdown names

/**
 * @typedef {object} FacetTraits
 * @property {string} _label The text of the button.
 * @property {string} _column The name of the column: the DICOM keyword where there is one.
 * @property {string} _missing The name of the missing value.
 * @property {[value: Value, series: number, patients: number][]} _values The listed values.
 * @property {number} _distinct How many values there are; `_values` may hold fewer.
 * @property {Value[]} _chosen The values of the filter.
 * @property {boolean} _excludes Whether the filter is "all but `_chosen`".
 * @property {Order} _order The order of `_values`.
 * @property {boolean} _has_notes Whether the values have titles and descriptions.
 * @property {Record<string, [title: string, description: string]>} _notes
 * @property {string} _stale Why the counts are not up to date, or "".
 * @property {string} _answered The last answered request, as "view:number".
 */

/** @type {import("@anywidget/types").Render<FacetTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const view = uniqueId();
  const label = model.get("_label");
  const hasNotes = model.get("_has_notes");

  /** @param {Value} value */
  function nameOf(value) {
    if (value === null) return model.get("_missing");
    if (typeof value === "boolean") return value ? "yes" : "no";
    return String(value);
  }

  // --- elements ----------------------------------------------------------------------------

  const popover = createPopover({
    el,
    label,
    column: model.get("_column"),
    kind: "listbox",
    maxHeight: hasNotes ? 560 : 480,
    onOpen,
    onClose,
    onClear,
    onKey,
    signal: removed.signal,
  });
  const { root, opener, panel, isOpen, place } = popover;
  root.classList.add("idc-facet");
  root.classList.toggle("idc-facet-noted", hasNotes);
  const search = h("input", "idc-control idc-facet-search");
  search.type = "text";
  search.autocomplete = "off";
  search.spellcheck = false;
  search.placeholder = "Search";
  search.setAttribute("aria-label", `Search ${label}`);
  search.setAttribute("aria-controls", `${view}-list`);
  const tools = h("div", "idc-facet-tools");
  const allBut = button("idc-facet-switch", undefined, undefined, () => {
    choose(chosen, !excludes);
  });
  allBut.setAttribute("role", "switch");
  allBut.title = "Leave out the ticked values, and keep all others";
  allBut.append(h("span", "idc-facet-track"), "All but");
  const everyMatch = button("idc-link idc-facet-every", "", undefined, toggleMatches);
  everyMatch.title = "All values that match the search (Shift+Enter)";
  const order = createFacetOrder(model.get("_column"), model.get("_order"), () => {
    showRows();
    list.scrollTop = 0;
  });
  tools.append(allBut, everyMatch, order.element);
  const head = h("div", "idc-facet-head");
  head.setAttribute("aria-hidden", "true");
  const total = h("span");
  head.append(
    total,
    h("span", "idc-facet-number", "series"),
    h("span", "idc-facet-number", "patients"),
  );
  const list = h("div", "idc-facet-list");
  list.id = `${view}-list`;
  list.tabIndex = 0;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-multiselectable", "true");
  list.setAttribute("aria-label", label);
  opener.setAttribute("aria-controls", list.id);
  const note = h("div", "idc-popover-note");
  note.setAttribute("role", "status");
  // The button acts on one row, and is beside the list: an option may contain no button.
  const body = h("div", "idc-facet-body");
  const only = button("idc-facet-only", "Only", undefined, chooseOnly);
  only.hidden = true;
  body.append(list, only);
  const detail = h("div", "idc-facet-detail");
  detail.id = `${view}-detail`;
  detail.hidden = !hasNotes;
  const description = h("span");
  detail.append(description);
  panel.append(search, tools, head, body, detail, note);

  // --- the choice: shown at once, sent one request at a time ----------------------------------

  let chosen = model.get("_chosen");
  let excludes = model.get("_excludes");
  const kernel = watchKernel(model, el, root, removed.signal);
  const requests = createRequests(model, view, kernel, removed.signal);

  /**
   * @param {Value[]} values
   * @param {boolean} [exclude]
   */
  function choose(values, exclude = excludes) {
    const isFilter = values.length > 0 || chosen.length > 0; // else only the switch has moved
    chosen = values;
    excludes = exclude;
    if (isFilter) requests.send({ kind: "choose", values, exclude });
    if (!isOpen()) requests.flush();
    showChosen();
  }

  /** @param {Value} value */
  function toggle(value) {
    const others = chosen.filter((other) => other !== value);
    choose(others.length < chosen.length ? others : [...chosen, value]);
  }

  function showChosen() {
    const names = chosen.map(nameOf);
    const prefix = excludes && names.length ? "all but " : "";
    const named = names.slice(0, prefix ? MAX_NAMED : 1);
    popover.show({
      first: names.length ? prefix + named.join(", ") : undefined,
      more: names.length - named.length,
      all: prefix + names.join(", "),
      isPending: requests.isPending(),
    });
    root.classList.toggle("idc-facet-excluding", excludes);
    allBut.setAttribute("aria-checked", String(excludes));
    list.setAttribute("aria-label", excludes ? `${label}: all but` : label);
    showEveryMatch();
    for (const { value, element } of rows) {
      setAttribute(element, "aria-selected", String(chosen.includes(value)));
    }
  }

  function onModel() {
    if (!requests.settle()) return; // the counts belong to an earlier choice
    chosen = model.get("_chosen");
    if (chosen.length || !isOpen()) excludes = model.get("_excludes");
    showChosen();
    if (isOpen()) showRows();
  }

  // --- rows ----------------------------------------------------------------------------------

  const pool = createFacetRows({ view, nameOf, noteOf });
  /** @type {FacetRow[]} */
  let rows = []; // in the order shown
  let notes = model.get("_notes");
  const rule = h("div", "idc-facet-rule");
  rule.setAttribute("role", "presentation");
  let current = -1;
  /** @type {Value[]} */
  let onTop = []; // chosen when the list opened; fixed, so that no row moves under the mouse

  /** @param {Value} value */
  function noteOf(value) {
    const notes = model.get("_notes");
    return Object.hasOwn(notes, String(value)) ? notes[String(value)] : ["", ""];
  }

  /** Return the values with their counts, and those chosen here that Python does not list yet. */
  function listedValues() {
    const values = model.get("_values");
    const listed = new Set(values.map(([value]) => value));
    const unlisted = chosen.filter((value) => !listed.has(value));
    return [...values, ...unlisted.map((value) => /** @type {typeof values[0]} */ ([value, 0, 0]))];
  }

  function showRows() {
    const currentValue = rows[current]?.value;
    leaveCurrent();
    if (notes !== model.get("_notes")) pool.clear();
    notes = model.get("_notes");
    const values = listedValues();
    const text = search.value.trim().toLowerCase();
    const words = text.split(/\s+/);
    const matches = order.sort(values, nameOf).filter(([value]) => {
      const texts = `${nameOf(value)} ${noteOf(value)[0]}`.toLowerCase();
      return texts.includes(text) || words.every((word) => texts.includes(word));
    });
    const first = matches.filter(([value]) => onTop.includes(value));
    const rest = matches.filter(([value]) => !onTop.includes(value));
    rows = [...first, ...rest].map((counted, index) =>
      pool.rowOf(counted, index, chosen.includes(counted[0])),
    );
    const elements = rows.map((row) => row.element);
    if (first.length && rest.length) elements.splice(first.length, 0, rule);
    const isSame = elements.every((element, index) => list.children[index] === element);
    if (!isSame || list.children.length > elements.length) list.replaceChildren(...elements);
    setCurrent(
      currentValue === undefined ? -1 : rows.findIndex((row) => row.value === currentValue),
    );
    showNotes(values.length);
    showEveryMatch();
  }

  // --- all matches of the search, and one value alone ------------------------------------------

  /** Return whether all rows that the search has found are ticked. */
  const areAllTicked = () => rows.every((row) => chosen.includes(row.value));

  function showEveryMatch() {
    everyMatch.hidden = !search.value.trim() || rows.length < 2;
    const count = NUMBER.format(rows.length);
    setText(everyMatch, areAllTicked() ? `Deselect all ${count}` : `Select all ${count}`);
  }

  function toggleMatches() {
    if (!rows.length || !search.value.trim()) return;
    const matches = rows.map((row) => row.value);
    const others = chosen.filter((value) => !matches.includes(value));
    choose(areAllTicked() ? others : [...others, ...matches]);
  }

  /** @type {Value | undefined} */
  let onlyValue; // the value of the row that the button "Only" acts on
  let placing = 0;

  /** @param {number} index The row that gets the button "Only"; -1 for none. */
  function showOnly(index) {
    const row = rows[index];
    onlyValue = row?.value;
    only.hidden = !row;
    setText(description, (row && noteOf(row.value)[1]) || HINT);
    if (!row) return;
    only.title = `Untick all others, and show only ${nameOf(row.value)}`;
    only.setAttribute("aria-label", `Only ${nameOf(row.value)}`);
    placing ||= requestAnimationFrame(placeBeside);
  }

  /** Place "Only" on its row. The frame lays out the page anyway; in the middle, it would twice. */
  function placeBeside() {
    placing = 0;
    const row = rows.find(({ value }) => value === onlyValue);
    if (!row) return;
    const { offsetTop, offsetHeight } = row.element;
    only.style.top = `${offsetTop - list.scrollTop + (offsetHeight - ONLY_HEIGHT_PX) / 2}px`;
  }

  function chooseOnly() {
    if (onlyValue !== undefined) choose([onlyValue], false);
  }

  const placeOnly = () => showOnly(rows.findIndex((row) => row.value === onlyValue));

  /**
   * Show the number of values, and why the list is empty or does not have them all.
   *
   * @param {number} listed
   */
  function showNotes(listed) {
    const text = search.value.trim();
    const distinct = model.get("_distinct");
    const unlisted = distinct - listed;
    if (text) setText(total, `${NUMBER.format(rows.length)} of ${NUMBER.format(distinct)}`);
    else setText(total, `${NUMBER.format(distinct)} ${distinct === 1 ? "value" : "values"}`);
    let words = "";
    if (!rows.length) words = text ? `No value matches “${text}”` : "No values";
    else if (unlisted > 0) {
      words = `The ${NUMBER.format(listed)} most frequent values; ${NUMBER.format(unlisted)} more are not listed`;
    }
    setText(note, model.get("_stale") || words);
    note.hidden = !note.textContent;
    list.hidden = !rows.length;
    head.hidden = !rows.length;
  }

  function leaveCurrent() {
    const element = rows[current]?.element;
    element?.classList.remove("idc-facet-current");
    element?.removeAttribute("aria-describedby");
  }

  /** @param {number} index The row that the keyboard acts on; -1 for none. */
  function setCurrent(index) {
    leaveCurrent();
    current = index;
    const row = rows[index];
    if (row) {
      row.element.classList.add("idc-facet-current");
      row.element.scrollIntoView({ block: "nearest" });
      if (hasNotes) row.element.setAttribute("aria-describedby", detail.id);
      list.setAttribute("aria-activedescendant", row.element.id);
      showOnly(index);
    } else {
      list.removeAttribute("aria-activedescendant");
      placeOnly();
    }
  }

  // --- opening and closing -------------------------------------------------------------------

  function onOpen() {
    if (hasNotes && !Object.keys(model.get("_notes")).length) kernel.send({ kind: "notes" });
    search.value = "";
    onlyValue = undefined;
    onTop = [...chosen];
    current = -1;
    showRows();
    list.scrollTop = 0;
    return search;
  }

  function onClose() {
    if (!chosen.length) excludes = false;
    rows = [];
    pool.clear();
    list.replaceChildren();
    requests.flush();
  }

  function onClear() {
    choose([], false);
    if (isOpen()) showRows();
  }

  search.addEventListener("input", () => {
    current = -1;
    showRows();
    list.scrollTop = 0;
    place();
  });
  body.addEventListener("mousedown", (event) => event.preventDefault()); // keep the focus
  list.addEventListener("click", (event) => {
    const row = rows[indexOf(event)];
    if (row) toggle(row.value);
  });
  list.addEventListener("mousemove", (event) => {
    // When rows change under a mouse that rests, the browser sends events without a movement.
    const index = event.movementX || event.movementY ? indexOf(event) : -1;
    if (index >= 0 && rows[index].value !== onlyValue) showOnly(index);
  });
  body.addEventListener("mouseleave", () => showOnly(current));
  list.addEventListener("scroll", placeOnly, { passive: true });

  /** @param {MouseEvent} event */
  function indexOf(event) {
    const target = /** @type {Element} */ (event.target);
    const element = /** @type {HTMLElement | null} */ (target.closest(".idc-facet-row"));
    return Number(element?.dataset.index ?? -1);
  }

  // --- keyboard ------------------------------------------------------------------------------

  /** @param {number} index */
  function moveTo(index) {
    if (!rows.length) return;
    list.focus({ preventScroll: true });
    setCurrent(Math.max(0, Math.min(rows.length - 1, index)));
  }

  function toggleCurrent() {
    const row = rows[current];
    if (row) toggle(row.value);
  }

  /** @param {KeyboardEvent} event */
  function toggleMatch(event) {
    if (event.shiftKey) toggleMatches();
    else if (rows.length && search.value.trim()) toggle(rows[0].value);
  }

  function moveToOnly() {
    if (!only.hidden) only.focus({ preventScroll: true });
  }

  function moveUp() {
    if (current > 0) return moveTo(current - 1);
    setCurrent(-1);
    search.focus();
  }

  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const keysAnywhere = {
    ArrowDown: () => moveTo(current + 1),
    ArrowUp: moveUp,
    PageDown: () => moveTo(current + 10),
    PageUp: () => moveTo(current - 10),
  };
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const keysInSearch = { Enter: toggleMatch };
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const keysInOnly = { ArrowLeft: () => list.focus({ preventScroll: true }) };
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const keysInList = {
    ArrowRight: moveToOnly,
    " ": toggleCurrent,
    Enter: toggleCurrent,
    Home: () => moveTo(0),
    End: () => moveTo(rows.length - 1),
  };

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const { key, target } = event;
    const keysHere =
      target === search
        ? keysInSearch
        : target === list
          ? keysInList
          : target === only
            ? keysInOnly
            : {};
    const action = keysAnywhere[key] ?? keysHere[key];
    if (action) {
      event.preventDefault();
      action(event);
    } else if (target === list && (key === "Backspace" || key.length === 1)) {
      search.focus(); // so that typing searches
    }
  }

  // --- life ----------------------------------------------------------------------------------

  follow(
    model,
    ["_values", "_chosen", "_excludes", "_answered", "_distinct", "_stale", "_notes"],
    onModel,
    removed.signal,
  );
  showChosen();
  return () => {
    removed.abort();
    cancelAnimationFrame(placing);
  };
}

export default { render };

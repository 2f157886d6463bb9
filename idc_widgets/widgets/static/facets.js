// The dropdown of a column: a button, and the list of values with counts that it opens.
// To Python: {kind: "choose", view, number, values}; see `createRequests` for the answer.

/** @typedef {string | number | boolean | null} Value `null` is the missing value. */

/**
 * @typedef {object} FacetTraits
 * @property {string} _label The text of the button.
 * @property {string} _column The name of the column: the DICOM keyword where there is one.
 * @property {string} _missing The name of the missing value.
 * @property {[value: Value, series: number, patients: number][]} _values The listed values.
 * @property {number} _distinct How many values there are; `_values` may hold fewer.
 * @property {Value[]} _chosen The values of the filter.
 * @property {string} _stale Why the counts are not up to date, or "".
 * @property {string} _answered The last answered request, as "view:number".
 */

/** @type {import("@anywidget/types").Render<FacetTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const view = uniqueId();
  const label = model.get("_label");

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
    maxHeight: 440,
    onOpen,
    onClose,
    onClear,
    onKey,
    signal: removed.signal,
  });
  const { root, opener, panel, isOpen, place } = popover;
  root.classList.add("idc-facet");
  const search = h("input", "idc-control idc-facet-search");
  search.type = "text";
  search.autocomplete = "off";
  search.spellcheck = false;
  search.placeholder = "Search";
  search.setAttribute("aria-label", `Search ${label}`);
  search.setAttribute("aria-controls", `${view}-list`);
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
  panel.append(search, head, list, note);

  // --- the choice: shown at once, sent one request at a time ----------------------------------

  let chosen = model.get("_chosen");
  const kernel = watchKernel(model, el, root, removed.signal);
  const requests = createRequests(model, view, kernel, removed.signal);

  /** @param {Value[]} values */
  function choose(values) {
    chosen = values;
    requests.send({ kind: "choose", values });
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
    popover.show({
      first: names[0],
      more: names.length - 1,
      all: names.join(", "),
      isPending: requests.isPending(),
    });
    for (const { value, element } of rows) {
      element.setAttribute("aria-selected", String(chosen.includes(value)));
    }
  }

  function onModel() {
    if (!requests.settle()) return; // the counts belong to an earlier choice
    chosen = model.get("_chosen");
    showChosen();
    if (isOpen()) showRows();
  }

  // --- rows ----------------------------------------------------------------------------------

  /** @type {{ value: Value, element: HTMLElement }[]} */
  let rows = []; // in the order shown
  let current = -1;
  /** @type {Value[]} */
  let onTop = []; // chosen when the list opened; fixed, so that no row moves under the mouse

  /**
   * @param {[value: Value, series: number, patients: number]} counted
   * @param {number} index
   */
  function createRow([value, series, patients], index) {
    const text = nameOf(value);
    const [seriesText, patientsText] = [NUMBER.format(series), NUMBER.format(patients)];
    const element = h("div", "idc-facet-row");
    element.id = `${view}-${index}`;
    element.dataset.index = String(index);
    element.setAttribute("role", "option");
    element.setAttribute("aria-selected", String(chosen.includes(value)));
    element.setAttribute("aria-label", `${text}, ${seriesText} series, ${patientsText} patients`);
    element.classList.toggle("idc-facet-zero", series === 0);
    const name = h("span", "idc-facet-name", text);
    name.classList.toggle("idc-facet-missing", value === null);
    name.title = text;
    element.append(
      h("span", "idc-facet-check"),
      name,
      h("span", "idc-facet-number", seriesText),
      h("span", "idc-facet-number", patientsText),
    );
    return { value, element };
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
    const values = listedValues();
    const text = search.value.trim().toLowerCase();
    const matches = values.filter(([value]) => nameOf(value).toLowerCase().includes(text));
    const first = matches.filter(([value]) => onTop.includes(value));
    const rest = matches.filter(([value]) => !onTop.includes(value));
    rows = [...first, ...rest].map(createRow);
    const elements = rows.map((row) => row.element);
    if (first.length && rest.length) {
      const rule = h("div", "idc-facet-rule");
      rule.setAttribute("role", "presentation");
      elements.splice(first.length, 0, rule);
    }
    const scroll = list.scrollTop;
    list.replaceChildren(...elements);
    list.scrollTop = scroll;
    setCurrent(
      currentValue === undefined ? -1 : rows.findIndex((row) => row.value === currentValue),
    );
    showNotes(values.length);
  }

  /**
   * Show the number of values, and why the list is empty or does not have them all.
   *
   * @param {number} listed
   */
  function showNotes(listed) {
    const text = search.value.trim();
    const distinct = model.get("_distinct");
    const unlisted = distinct - listed;
    if (text) total.textContent = `${NUMBER.format(rows.length)} of ${NUMBER.format(distinct)}`;
    else total.textContent = `${NUMBER.format(distinct)} ${distinct === 1 ? "value" : "values"}`;
    if (!rows.length) note.textContent = text ? `No value matches “${text}”` : "No values";
    else if (unlisted > 0) {
      note.textContent = `The ${NUMBER.format(listed)} most frequent values; ${NUMBER.format(unlisted)} more are not listed`;
    } else note.textContent = "";
    note.textContent = model.get("_stale") || note.textContent;
    note.hidden = !note.textContent;
    list.hidden = !rows.length;
    head.hidden = !rows.length;
  }

  /** @param {number} index The row that the keyboard acts on; -1 for none. */
  function setCurrent(index) {
    rows[current]?.element.classList.remove("idc-facet-current");
    current = index;
    const row = rows[index];
    if (row) {
      row.element.classList.add("idc-facet-current");
      row.element.scrollIntoView({ block: "nearest" });
      list.setAttribute("aria-activedescendant", row.element.id);
    } else list.removeAttribute("aria-activedescendant");
  }

  // --- opening and closing -------------------------------------------------------------------

  function onOpen() {
    search.value = "";
    onTop = [...chosen];
    current = -1;
    showRows();
    list.scrollTop = 0;
    return search;
  }

  function onClose() {
    rows = [];
    list.replaceChildren();
    requests.flush();
  }

  function onClear() {
    choose([]);
    if (isOpen()) showRows();
  }

  search.addEventListener("input", () => {
    current = -1;
    showRows();
    list.scrollTop = 0;
    place();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // keep the focus
  list.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    const element = /** @type {HTMLElement | null} */ (target.closest(".idc-facet-row"));
    const row = rows[Number(element?.dataset.index)];
    if (row) toggle(row.value);
  });

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

  function toggleFirstMatch() {
    if (rows.length && search.value.trim()) toggle(rows[0].value);
  }

  function moveUp() {
    if (current > 0) return moveTo(current - 1);
    setCurrent(-1);
    search.focus();
  }

  /** @type {Record<string, () => void>} */
  const keysAnywhere = {
    ArrowDown: () => moveTo(current + 1),
    ArrowUp: moveUp,
    PageDown: () => moveTo(current + 10),
    PageUp: () => moveTo(current - 10),
  };
  /** @type {Record<string, () => void>} */
  const keysInSearch = { Enter: toggleFirstMatch };
  /** @type {Record<string, () => void>} */
  const keysInList = {
    " ": toggleCurrent,
    Enter: toggleCurrent,
    Home: () => moveTo(0),
    End: () => moveTo(rows.length - 1),
  };

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const { key, target } = event;
    const keysHere = target === search ? keysInSearch : target === list ? keysInList : {};
    const action = keysAnywhere[key] ?? keysHere[key];
    if (action) {
      event.preventDefault();
      action();
    } else if (target === list && (key === "Backspace" || key.length === 1)) {
      search.focus(); // so that typing searches
    }
  }

  // --- life ----------------------------------------------------------------------------------

  follow(
    model,
    ["_values", "_chosen", "_answered", "_distinct", "_stale"],
    onModel,
    removed.signal,
  );
  showChosen();
  return () => removed.abort();
}

export default { render };

// A button and the list that it opens. What is chosen goes to Python as
// {kind: "choose", view, number, values}; the answer is the model's new values, and `_answered` =
// "view:number".

function render({ model, el }) {
  const uid = newView();
  const label = model.get("_label");
  const words = (value) =>
    value === null
      ? model.get("_missing")
      : value === true
        ? "yes"
        : value === false
          ? "no"
          : String(value);

  // --- elements ----------------------------------------------------------------------------

  const filter = filterButton({
    el,
    label,
    kind: "listbox",
    room: 440,
    onOpen,
    onClose,
    onClear,
    onKey,
  });
  const { root, opener, popover, on, isOpen, place } = filter;
  const search = h("input", "idc-control idc-facet-search");
  search.type = "text";
  search.autocomplete = "off";
  search.spellcheck = false;
  search.setAttribute("aria-label", `Search ${label}`);
  search.setAttribute("aria-controls", `${uid}-list`);
  const head = h("div", "idc-facet-head");
  head.setAttribute("aria-hidden", "true");
  const distinct = h("span");
  head.append(
    distinct,
    h("span", "idc-facet-number", "series"),
    h("span", "idc-facet-number", "patients"),
  );
  const list = h("div", "idc-facet-list");
  list.id = `${uid}-list`;
  list.tabIndex = 0;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-multiselectable", "true");
  list.setAttribute("aria-label", label);
  opener.setAttribute("aria-controls", list.id);
  const note = h("div", "idc-facet-note");
  note.setAttribute("role", "status");
  popover.append(search, head, list, note);

  // --- what is chosen: shown at once, sent one request at a time -----------------------------

  let chosen = model.get("_chosen");
  const queue = requests(model, uid);
  const has = (one) => chosen.includes(one);

  function choose(values) {
    chosen = values;
    queue.ask({ kind: "choose", values });
    if (!isOpen()) queue.flush();
    showChosen();
  }

  function onModel() {
    if (!queue.settled()) return; // counts of a choice that is no longer shown
    chosen = model.get("_chosen");
    showChosen();
    if (isOpen()) showRows();
  }

  const toggle = (one) => choose(has(one) ? chosen.filter((v) => v !== one) : [...chosen, one]);

  function showChosen() {
    const named = chosen.map(words);
    filter.show({
      first: named[0],
      more: named.length - 1,
      all: named.join(", "),
      waiting: queue.waiting(),
    });
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
    if (!rows.length)
      note.textContent = text ? `No value matches “${search.value.trim()}”` : "No values";
    else if (left > 0)
      note.textContent = `The ${NUMBER.format(values.length)} most frequent values; ${NUMBER.format(left)} more are not listed`;
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

  function onOpen() {
    search.value = "";
    search.placeholder = "Search";
    onTop = [...chosen];
    current = -1;
    showRows();
    list.scrollTop = 0;
    return search;
  }

  function onClose() {
    rows = [];
    list.replaceChildren();
    queue.flush();
  }

  function onClear() {
    choose([]);
    if (isOpen()) showRows();
  }

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

  function onKey(event) {
    const { key, target } = event;
    const done = () => event.preventDefault();
    if (key in moves) {
      done();
      if (key === "ArrowUp" && current <= 0) {
        setCurrent(-1);
        search.focus();
      } else moves[key]();
    } else if (target === search) {
      if (key === "Enter") {
        done();
        if (rows.length && search.value.trim()) toggle(rows[0].value);
      }
    } else if (target === list) {
      if (key === " " || key === "Enter") {
        done();
        if (rows[current]) toggle(rows[current].value);
      } else if (key === "Home") {
        done();
        move(0);
      } else if (key === "End") {
        done();
        move(rows.length - 1);
      } else if (key === "Backspace" || key.length === 1) search.focus(); // typing searches
    }
  }

  // --- life ----------------------------------------------------------------------------------

  const forget = onChanges(model, ["_values", "_chosen", "_answered", "_distinct"], onModel);
  showChosen();

  return () => {
    forget();
    filter.remove();
  };
}

export default { render };

// The rows in the list of a dropdown, and their order.

/** @typedef {string | number | boolean | null} Value `null` is the missing value. */

/** @typedef {"count" | "name"} Order */

/**
 * Create the row of a value: an option with a title below the name, if there is one.
 *
 * @param {{ name: string, title: string, about: string }} texts
 */
function createFacetRow({ name, title, about }) {
  const element = h("div", "idc-facet-row");
  element.setAttribute("role", "option");
  const texts = h("span", "idc-facet-texts");
  texts.title = [name, title, about].filter(Boolean).join("\n");
  texts.append(h("span", "idc-facet-name", name));
  if (title) texts.append(" ", h("span", "idc-facet-title", title));
  // CSS draws the numbers. In the accessible name, each number is followed by what it counts.
  const seriesNumber = h("span", "idc-facet-number");
  const patientsNumber = h("span", "idc-facet-number");
  element.append(h("span", "idc-facet-check"), texts, seriesNumber, patientsNumber);

  return {
    element,

    /** @param {number} series @param {number} patients */
    count(series, patients) {
      const [seriesText, patientsText] = [NUMBER.format(series), NUMBER.format(patients)];
      const spoken = [name, title, `${seriesText} series`, `${patientsText} patients`];
      setAttribute(element, "aria-label", spoken.filter(Boolean).join(", "));
      element.classList.toggle("idc-facet-zero", series === 0);
      setAttribute(seriesNumber, "data-text", seriesText);
      setAttribute(patientsNumber, "data-text", patientsText);
    },
  };
}

/** @typedef {ReturnType<typeof createFacetRow> & { value: Value }} FacetRow */

/**
 * Create the rows of a list. A value keeps its row as long as the list is open: to change texts costs
 * a browser much less than to create elements.
 *
 * @param {object} options
 * @param {string} options.view The id of the dropdown.
 * @param {(value: Value) => string} options.nameOf
 * @param {(value: Value) => string[]} options.noteOf Returns the title and the description of a value.
 */
function createFacetRows({ view, nameOf, noteOf }) {
  /** @type {Map<Value, FacetRow>} */
  const known = new Map();

  /** @param {Value} value */
  function create(value) {
    const [title = "", about = ""] = noteOf(value);
    const row = { value, ...createFacetRow({ name: nameOf(value), title, about }) };
    row.element.classList.toggle("idc-facet-missing", value === null);
    known.set(value, row);
    return row;
  }

  return {
    /**
     * Return the row of a value.
     *
     * @param {[value: Value, series: number, patients: number]} counted
     * @param {number} index The place in the list.
     * @param {boolean} isChosen
     */
    rowOf([value, series, patients], index, isChosen) {
      const row = known.get(value) ?? create(value);
      row.count(series, patients);
      setAttribute(row.element, "id", `${view}-${index}`);
      setAttribute(row.element, "data-index", String(index));
      setAttribute(row.element, "aria-selected", String(isChosen));
      return row;
    },

    /** Forget all rows. */
    clear: () => known.clear(),
  };
}

/**
 * Create the button that changes the order of the rows. The browser remembers the order of a column.
 *
 * @param {string} column The name of the column.
 * @param {Order} given The order in which the kernel sends the values.
 * @param {() => void} onChange Called when a person changes the order.
 */
function createFacetOrder(column, given, onChange) {
  const memory = `idc_widgets.order.${column}`;
  const element = button("idc-link idc-facet-sort", "", undefined, toggle);
  let order = remembered();
  show();

  /** @returns {Order} */
  function remembered() {
    try {
      const stored = localStorage.getItem(memory);
      if (stored === "count" || stored === "name") return stored;
    } catch {
      // Some front ends show widgets in frames without storage.
    }
    return given;
  }

  function toggle() {
    order = order === "count" ? "name" : "count";
    try {
      localStorage.setItem(memory, order);
    } catch {
      // The order lasts as long as the page.
    }
    show();
    onChange();
  }

  function show() {
    element.textContent = `Sort: ${order}`;
    element.title = order === "count" ? "Sort by name" : "Sort by number of series";
  }

  /**
   * Return counted values in the order that was chosen.
   *
   * @template {[value: Value, series: number, patients: number]} Counted
   * @param {Counted[]} values
   * @param {(value: Value) => string} nameOf
   */
  function sort(values, nameOf) {
    if (order === given) return values;
    if (order === "count") return [...values].sort((one, other) => other[1] - one[1]);
    const byName = new Intl.Collator("en", { numeric: true }).compare;
    return [...values].sort(
      ([one], [other]) =>
        Number(one === null) - Number(other === null) || byName(nameOf(one), nameOf(other)),
    );
  }

  return { element, sort };
}

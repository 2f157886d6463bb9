// The rows in the list of a dropdown, and their order.

/** @typedef {string | number | boolean | null} Value `null` is the missing value. */

/** @typedef {"count" | "name"} Order */

/**
 * Create the row of a value: an option with a title below the name, if there is one.
 *
 * @param {{ name: string, title: string, about: string, series: number, patients: number }} texts
 */
function createFacetRow({ name, title, about, series, patients }) {
  const [seriesText, patientsText] = [NUMBER.format(series), NUMBER.format(patients)];
  const element = h("div", "idc-facet-row");
  element.setAttribute("role", "option");
  const spoken = [name, title, `${seriesText} series`, `${patientsText} patients`];
  element.setAttribute("aria-label", spoken.filter(Boolean).join(", "));
  element.classList.toggle("idc-facet-zero", series === 0);
  const texts = h("span", "idc-facet-texts");
  texts.title = [name, title, about].filter(Boolean).join("\n");
  texts.append(h("span", "idc-facet-name", name));
  if (title) texts.append(" ", h("span", "idc-facet-title", title));
  // CSS draws the numbers. In the accessible name, each number is followed by what it counts.
  const numbers = [seriesText, patientsText].map((text) => {
    const number = h("span", "idc-facet-number");
    number.dataset.text = text;
    return number;
  });
  element.append(h("span", "idc-facet-check"), texts, ...numbers);
  return element;
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

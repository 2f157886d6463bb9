// The counts of the selection, a chip for each filter and pick that can be removed, and the message
// area.
// To Python: {kind: "filter" | "pick" | "example", view, number, name}, {kind: "clear", view, number},
// {kind: "dismiss", view, number}; see `createRequests` for the answer.

/**
 * @typedef {object} SummaryTraits
 * @property {string[]} _parts "counts", "choices" or both.
 * @property {string} _lead The words before the chips of a sentence.
 * @property {[number: string, noun: string][]} _counts The size of the selection; [] for none.
 * @property {[name: string, nonCommercial: boolean][]} _licenses
 * @property {{ kind: "filter" | "pick", name: string, text: string, hint: string, before: string }[]} _chips
 * @property {{ name: string, count: string, hint: string }[]} _examples
 * @property {boolean} _clearable Whether "Clear all" would do anything.
 * @property {string} _problem Why nothing is selected, or "".
 * @property {string} _message The last error, or "".
 * @property {string} _note What is done in the background, or "".
 * @property {string} _answered The last answered requests.
 */

/**
 * Create the card of the start: how much the data have, and a button for each example cohort.
 *
 * When chips take its place, its room stays, so that nothing below it moves under the pointer.
 *
 * @param {(name: string) => void} onChoose
 */
function createStart(onChoose) {
  const root = h("div", "idc-start");
  const facts = h("div", "idc-start-facts");
  const examples = h("div", "idc-start-examples");
  examples.setAttribute("role", "group");
  examples.setAttribute("aria-label", "Example cohorts");
  root.append(facts, examples);
  root.hidden = true;
  root.inert = true;
  return {
    root,
    isShown: () => !root.inert,
    /** Return the button to focus. */
    first: () => root.querySelector("button"),

    /**
     * Show the card, or only keep its room.
     *
     * @param {Pick<SummaryTraits, "_lead" | "_counts" | "_examples"> & { isStart: boolean }} what
     */
    show({ _lead, _counts, _examples, isStart }) {
      root.hidden = !_examples.length;
      root.inert = !isStart || root.hidden;
      if (root.inert) return;
      facts.replaceChildren(h("span", "idc-choices-lead", `${_lead}: `));
      _counts.forEach(([number, noun], index) => {
        const fact = h("span");
        fact.append(h("b", "", number), ` ${noun}${index < _counts.length - 1 ? ", " : ""}`);
        facts.append(fact);
      });
      const names = _examples.map(({ name }) => name).join("\n");
      if (examples.dataset.names === names) return;
      examples.dataset.names = names;
      const buttons = _examples.map(({ name, count, hint }) => {
        const label = `${name} ${count}`; // the text on the button, and what the number counts
        const choose = button("idc-control idc-start-example", "", label, () => onChoose(name));
        choose.title = `${hint}, ${count}`;
        const number = h("span", "idc-start-count", count.split(" ")[0]);
        choose.append(h("span", "", name), " ", number);
        return choose;
      });
      examples.replaceChildren(h("span", "idc-choices-lead", "Examples:"), ...buttons);
    },
  };
}

/** @type {import("@anywidget/types").Render<SummaryTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const parts = model.get("_parts");
  const isSentence = !parts.includes("counts"); // else the line above the chips says what they are
  const start = createStart((name) => send({ kind: "example", name }));
  const root = createRoot(isSentence ? "idc-choices" : "idc-summary", (gone) =>
    start.root.contains(gone) ? clear : start.first(),
  );
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", isSentence ? "What is chosen" : "What is selected");
  const line = h("div", "idc-summary-line");
  line.setAttribute("role", "status");
  const items = h("div", "idc-summary-items");
  line.append(items);
  const chips = h("div", "idc-summary-chips");
  chips.setAttribute("role", "group");
  chips.setAttribute("aria-label", "Active filters and picks");
  const alert = h("div", "idc-summary-alert");
  alert.setAttribute("role", "alert");
  const clear = button("idc-link", "Clear all", "", () => send({ kind: "clear" }));
  const note = h("div", "idc-summary-note");
  note.setAttribute("role", "status");
  if (isSentence) root.append(start.root, chips);
  else if (parts.includes("choices")) root.append(line, chips, alert, note);
  else root.append(line, alert, note);
  el.append(root);

  // Each control has requests of its own, so that they do not become one.
  const kernel = watchKernel(model, el, root, removed.signal);
  const view = uniqueId();
  /** @type {Map<string, ReturnType<typeof createRequests>>} */
  const controls = new Map();

  /** @param {{ kind: "filter" | "pick" | "example" | "clear" | "dismiss", name?: string }} content */
  function send({ kind, name = "" }) {
    const control = `${kind} ${name}`;
    let requests = controls.get(control);
    if (!requests) {
      requests = createRequests(model, `${view}-${controls.size}`, kernel, removed.signal);
      controls.set(control, requests);
    }
    requests.send({ kind, name });
    showWaiting();
  }

  function showWaiting() {
    const isPending = [...controls.values()].some((requests) => requests.isPending());
    root.classList.toggle("idc-summary-waiting", isPending);
  }

  function onAnswer() {
    for (const requests of controls.values()) requests.settle();
    showWaiting();
  }

  function showLine() {
    const elements = model.get("_counts").map(([number, noun]) => {
      const item = h("span", "idc-summary-item");
      item.append(h("b", "", number), ` ${noun}`);
      return item;
    });
    const licenses = model.get("_licenses");
    if (licenses.length) {
      const item = h("span", "idc-summary-item idc-summary-licenses");
      licenses.forEach(([name, nonCommercial], index) => {
        if (index) item.append(", ");
        item.append(name);
        if (nonCommercial) item.append(" ", h("span", "idc-summary-nc", "(non-commercial)"));
      });
      item.title = item.textContent ?? "";
      elements.push(item);
    }
    const problem = model.get("_problem");
    if (problem) elements.push(h("span", "idc-summary-item idc-summary-problem", problem));
    items.replaceChildren(...elements);
    showClear();
  }

  function showChips() {
    /** @type {HTMLElement[]} */
    const elements = model.get("_chips").map(({ kind, name, text, hint, before }) => {
      const chip = h("span", "idc-chip");
      const label = h("span", "idc-chip-text", text);
      label.title = text;
      chip.append(label);
      if (hint) chip.append(h("span", "idc-chip-hint", hint));
      chip.append(button("idc-x", "", `Remove: ${text}`, () => send({ kind, name })));
      if (!isSentence || !before) return chip;
      const joined = h("span", "idc-choice");
      joined.append(h("span", "idc-choice-word", before), chip);
      return joined;
    });
    const lead = model.get("_lead"); // without chips and without a lead, no empty line is shown
    if (isSentence && lead) elements.unshift(h("span", "idc-choices-lead", lead));
    chips.replaceChildren(...elements);
    showClear();
  }

  /** Show the chips or the card. "Clear all" follows the chips or, without chips, the line. */
  function showClear() {
    if (!parts.includes("choices")) return;
    const isClearable = model.get("_clearable");
    const _counts = model.get("_counts").filter(([, noun]) => !/^files?$/.test(noun));
    clear.hidden = !isClearable;
    start.show({
      _lead: model.get("_lead"),
      _counts,
      _examples: model.get("_examples"),
      isStart: isSentence && !isClearable && _counts.length > 0,
    });
    chips.hidden = start.isShown() || !chips.querySelector(":scope > :not(.idc-link)");
    (chips.hidden ? items : chips).append(clear);
  }

  function showMessage() {
    const text = model.get("_message");
    const elements = text ? [createAlert(text, () => send({ kind: "dismiss" }))] : [];
    alert.replaceChildren(...elements);
  }

  function showNote() {
    note.textContent = model.get("_note");
  }

  const { signal } = removed;
  follow(model, ["_problem", "_counts", "_licenses"], showLine, signal);
  follow(model, ["_chips", "_lead"], showChips, signal);
  follow(model, ["_clearable", "_examples", "_counts"], showClear, signal);
  follow(model, ["_message"], showMessage, signal);
  follow(model, ["_note"], showNote, signal);
  follow(model, ["_answered"], onAnswer, signal);
  showLine();
  showChips();
  showMessage();
  showNote();
  return () => removed.abort();
}

export default { render };

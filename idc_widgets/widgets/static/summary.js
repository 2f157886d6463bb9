// The counts of the selection, a chip for each filter and pick that can be removed, and the message
// area.
// To Python: {kind: "filter" | "pick", view, number, name}, {kind: "clear", view, number},
// {kind: "dismiss", view, number}; see `createRequests` for the answer.

/**
 * @typedef {object} SummaryTraits
 * @property {string[]} _parts "counts", "choices" or both.
 * @property {string} _lead The words before the chips of a sentence.
 * @property {[number: string, noun: string][]} _counts The size of the selection; [] for none.
 * @property {[name: string, nonCommercial: boolean][]} _licenses
 * @property {{ kind: "filter" | "pick", name: string, text: string, hint: string, before: string }[]} _chips
 * @property {boolean} _clearable Whether "Clear all" would do anything.
 * @property {string} _problem Why nothing is selected, or "".
 * @property {string} _message The last error, or "".
 * @property {string} _note What is done in the background, or "".
 * @property {string} _answered The last answered requests.
 */

/** @type {import("@anywidget/types").Render<SummaryTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const parts = model.get("_parts");
  const isSentence = !parts.includes("counts"); // else the line above the chips says what they are
  const root = createRoot(isSentence ? "idc-choices" : "idc-summary");
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
  if (isSentence) root.append(chips);
  else if (parts.includes("choices")) root.append(line, chips, alert, note);
  else root.append(line, alert, note);
  el.append(root);

  // Each control has requests of its own, so that they do not become one.
  const kernel = watchKernel(model, el, root, removed.signal);
  const view = uniqueId();
  /** @type {Map<string, ReturnType<typeof createRequests>>} */
  const controls = new Map();

  /** @param {{ kind: "filter" | "pick" | "clear" | "dismiss", name?: string }} content */
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
      chip.append(button("idc-x", "×", `Remove: ${text}`, () => send({ kind, name })));
      if (!isSentence || !before) return chip;
      const joined = h("span", "idc-choice");
      joined.append(h("span", "idc-choice-word", before), chip);
      return joined;
    });
    if (isSentence) elements.unshift(h("span", "idc-choices-lead", model.get("_lead")));
    chips.replaceChildren(...elements);
    chips.hidden = !elements.length;
    showClear();
  }

  /** Put "Clear all" behind the chips or, without chips, at the end of the line. */
  function showClear() {
    if (!parts.includes("choices")) return;
    clear.hidden = !model.get("_clearable");
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
  follow(model, ["_clearable"], showClear, signal);
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

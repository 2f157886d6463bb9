// What is selected, chips that take filters and picks back, and the message area. A click goes to
// Python as {kind: "filter" | "pick" | "clear" | "dismiss", name}.

function render({ model, el }) {
  const root = h("div", "idc-root idc-summary");
  root.dataset.lmSuppressShortcuts = "true"; // single keys are commands to JupyterLab
  const line = h("div", "idc-summary-line");
  line.setAttribute("role", "status");
  const chips = h("div", "idc-summary-chips");
  chips.setAttribute("role", "group");
  chips.setAttribute("aria-label", "Active filters and picks");
  const alert = h("div", "idc-summary-alert");
  alert.setAttribute("role", "alert");
  const clear = button("idc-link", "Clear all", "", () => model.send({ kind: "clear" }));
  root.append(line, chips, alert);
  el.append(root);

  function showLine() {
    const problem = model.get("_problem");
    const items = model.get("_counts").map(([number, noun]) => {
      const item = h("span", "idc-summary-item");
      item.append(h("b", "", number), ` ${noun}`);
      return item;
    });
    const licenses = model.get("_licenses");
    if (licenses.length) {
      const item = h("span", "idc-summary-item idc-summary-licenses");
      licenses.forEach(([name, nonCommercial], at) => {
        if (at) item.append(", ");
        item.append(name);
        if (nonCommercial) item.append(" ", h("span", "idc-summary-nc", "(non-commercial)"));
      });
      items.push(item);
    }
    if (problem) items.push(h("span", "idc-summary-item idc-summary-problem", problem));
    const wrapped = h("div", "idc-summary-items");
    wrapped.append(...items);
    line.replaceChildren(wrapped);
    showClear();
  }

  function showChips() {
    const shown = model.get("_chips");
    const elements = shown.map(({ kind, name, text, hint }) => {
      const chip = h("span", "idc-chip");
      const words = h("span", "idc-chip-text", text);
      words.title = text;
      chip.append(words);
      if (hint) chip.append(h("span", "idc-chip-hint", hint));
      chip.append(button("idc-x", "×", `Remove: ${text}`, () => model.send({ kind, name })));
      return chip;
    });
    const at = [...chips.querySelectorAll("button")].indexOf(document.activeElement);
    chips.replaceChildren(...elements);
    chips.hidden = !elements.length;
    showClear();
    const buttons = chips.querySelectorAll("button");
    if (at >= 0) buttons[Math.min(at, buttons.length - 1)]?.focus(); // where its × was
  }

  /** "Clear all" ends the chips; without any it ends the line, and needs no row for itself. */
  function showClear() {
    clear.hidden = !model.get("_clearable");
    (chips.hidden ? line.firstElementChild : chips).append(clear);
  }

  function showMessage() {
    const text = model.get("_message");
    if (!text) return alert.replaceChildren();
    const area = h("div", "idc-alert");
    const dismiss = button("idc-x", "×", "Dismiss", () => model.send({ kind: "dismiss" }));
    area.append(h("span", "idc-alert-text", text), dismiss);
    alert.replaceChildren(area);
  }

  const shows = [
    [showLine, ["_problem", "_counts", "_licenses"]],
    [showChips, ["_chips"]],
    [showClear, ["_clearable"]],
    [showMessage, ["_message"]],
  ];
  for (const [show, names] of shows) {
    for (const name of names) model.on(`change:${name}`, show);
    show();
  }
  return () => {
    for (const [show, names] of shows) for (const name of names) model.off(`change:${name}`, show);
  };
}

export default { render };

// A button that shows and hides more, and how much of it is in use. A click goes to Python as
// {kind: "toggle"}.

function render({ model, el }) {
  const root = h("div", "idc-root idc-toggle");
  root.dataset.lmSuppressShortcuts = "true"; // single keys are commands to JupyterLab
  const toggle = button("idc-toggle-button");
  const text = h("span");
  const count = h("span", "idc-badge");
  toggle.append(text, count, h("span", "idc-arrow"));
  root.append(toggle);
  el.append(root);

  const show = () => {
    const active = model.get("_count");
    const expanded = model.get("_expanded");
    text.textContent = model.get("_text");
    count.textContent = String(active);
    count.hidden = !active;
    toggle.setAttribute("aria-expanded", String(expanded));
    toggle.setAttribute(
      "aria-label",
      active ? `${text.textContent}, ${active} active` : text.textContent,
    );
  };
  toggle.addEventListener("click", () => model.send({ kind: "toggle" }));
  root.addEventListener("keydown", (event) => event.stopPropagation());
  const forget = onChanges(model, ["_text", "_count", "_expanded"], show);
  show();
  return forget;
}

export default { render };

// A button that shows and hides more filters, and says how many of them are in use.
// To Python: {kind: "toggle"}.

/**
 * @typedef {object} ToggleTraits
 * @property {string} _text
 * @property {number} _count The number of filters in use.
 * @property {boolean} _expanded
 */

/** @type {import("@anywidget/types").Render<ToggleTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const root = createRoot("idc-toggle");
  const toggle = button("idc-toggle-button", "", "", () => model.send({ kind: "toggle" }));
  const text = h("span");
  const count = h("span", "idc-badge");
  toggle.append(text, count, h("span", "idc-arrow"));
  root.append(toggle);
  el.append(root);
  watchKernel(model, el, root, removed.signal);

  const show = () => {
    const name = model.get("_text");
    const active = model.get("_count");
    text.textContent = name;
    count.textContent = String(active);
    count.hidden = !active;
    toggle.setAttribute("aria-expanded", String(model.get("_expanded")));
    toggle.setAttribute("aria-label", active ? `${name}, ${active} active` : name);
  };
  follow(model, ["_text", "_count", "_expanded"], show, removed.signal);
  show();
  return () => removed.abort();
}

export default { render };

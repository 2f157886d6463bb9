// A button that shows and hides more filters, and says how many of them are in use.
// To Python: {kind: "expand", view, number, expanded}; see `createRequests` for the answer.

/**
 * @typedef {object} ToggleTraits
 * @property {string} _text
 * @property {number} _count The number of filters in use.
 * @property {boolean} _expanded
 * @property {string} _answered The last answered request, as "view:number".
 */

/** @type {import("@anywidget/types").Render<ToggleTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const root = createRoot("idc-toggle");
  const toggle = button("idc-toggle-button", "", "", onClick);
  const text = h("span");
  const count = h("span", "idc-badge");
  toggle.append(text, count, h("span", "idc-arrow"));
  root.append(toggle);
  el.append(root);
  const kernel = watchKernel(model, el, root, removed.signal);
  const requests = createRequests(model, uniqueId(), kernel, removed.signal);
  let isExpanded = model.get("_expanded"); // as clicked, until Python answers

  function onClick() {
    isExpanded = !isExpanded;
    requests.send({ kind: "expand", expanded: isExpanded });
    show();
  }

  const show = () => {
    const name = model.get("_text");
    const active = model.get("_count");
    text.textContent = name;
    count.textContent = String(active);
    count.hidden = !active;
    toggle.setAttribute("aria-expanded", String(isExpanded));
    toggle.setAttribute("aria-label", active ? `${name}, ${active} active` : name);
  };
  function onModel() {
    if (requests.settle()) isExpanded = model.get("_expanded");
    show();
  }
  follow(model, ["_text", "_count", "_expanded", "_answered"], onModel, removed.signal);
  show();
  return () => removed.abort();
}

export default { render };

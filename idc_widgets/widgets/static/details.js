// Everything about a row of a grid, in a region that is hidden while no row is shown.
// To Python: {kind: "close"}.

/**
 * @typedef {object} DetailsField A column.
 * @property {string} name The DICOM keyword, or the name in IDC.
 * @property {string} label
 * @property {string} kind
 * @property {string} description
 * @property {[text: string, series: number][]} values Without any, all are missing.
 * @property {number} more The number of other values.
 *
 * @typedef {object} DetailsSource A data set.
 * @property {string} kind
 * @property {string} id
 * @property {string} title
 * @property {string} description
 * @property {string} license
 * @property {boolean} non_commercial
 * @property {string} citation
 * @property {string} doi
 * @property {string} doi_url
 *
 * @typedef {object} DetailsContent
 * @property {string} title
 * @property {string} summary
 * @property {[label: string, value: string]} identifier
 * @property {string} code Python code for the row.
 * @property {[label: string, url: string][]} viewers
 * @property {number} more_viewers
 * @property {DetailsField[]} fields
 * @property {{ id: string, title: string, description: string, facts: [label: string, text: string][] }} collection
 * @property {DetailsSource[]} sources
 * @property {number} more_sources
 * @property {boolean} asked Whether a person asked for this row.
 * @property {string} problem Why another row cannot be shown, or "".
 *
 * @typedef {object} DetailsTraits
 * @property {DetailsContent | Record<string, never>} _content {} while nothing is shown.
 */

/**
 * Create a link to another site; without an address there, only its text.
 *
 * @param {string} className
 * @param {string} text
 * @param {string} url
 */
function createLink(className, text, url) {
  if (!url.startsWith("https://")) return h("span", "", text);
  const link = h("a", className, text);
  link.href = url;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

/**
 * Create paragraphs of a text in which empty lines separate them.
 *
 * @param {string} text
 */
function createParagraphs(text) {
  return text
    .split("\n\n")
    .filter(Boolean)
    .map((paragraph) => h("p", "idc-details-text", paragraph));
}

/** @type {import("@anywidget/types").Render<DetailsTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const { signal } = removed;
  const id = uniqueId();
  const root = createRoot("idc-details");
  root.setAttribute("role", "region");
  root.setAttribute("aria-labelledby", `${id}-title`);
  root.setAttribute("aria-describedby", `${id}-summary`);
  root.hidden = true;
  el.classList.add("idc-details-view");
  el.append(root);
  const kernel = watchKernel(model, el, root, signal);

  const title = h("h3", "idc-details-title");
  title.id = `${id}-title`;
  const summary = h("p", "idc-details-summary");
  summary.id = `${id}-summary`;
  const status = h("div", "idc-details-status");
  status.setAttribute("role", "status");
  const problem = h("div");
  problem.setAttribute("role", "alert");
  const explain = button("idc-link", "Explain columns", "", () => {
    const isOn = root.classList.toggle("idc-details-explained");
    explain.setAttribute("aria-pressed", String(isOn));
  });
  explain.setAttribute("aria-pressed", "false");
  const actions = h("div", "idc-details-actions");
  const head = h("div", "idc-details-head");
  const line = h("div", "idc-details-line");
  line.append(title, status, button("idc-x", "", "Close the details (Escape)", close));
  head.append(line, summary, actions, problem);
  // Arrow keys scroll it.
  const body = h("div", "idc-details-body");
  body.tabIndex = 0;
  body.setAttribute("role", "group");
  body.setAttribute("aria-label", "Columns, collection and data sets");
  root.append(head, body);

  /** @type {HTMLElement | null} */
  let opener = null; // what had the focus before the panel took it

  // --- elements ------------------------------------------------------------------------------

  /** Create a button that copies a text. @param {string} className @param {string} text @param {string} label @param {string} copied */
  function createCopyButton(className, text, label, copied) {
    const made = button(className, text, label, async () => {
      await copy(copied);
      made.focus({ preventScroll: true });
      status.textContent = "";
      status.textContent = `${label.replace(/^Copy (as )?/, "")} copied`;
    });
    return made;
  }

  /** @param {DetailsField} field */
  function createField({ name, label, kind, description, values, more }) {
    const term = h("dt", "", label);
    const keyword = h("code", "idc-details-keyword", name);
    term.append(" ", keyword);
    term.title = `${name}: ${description}`;
    const cell = h("dd", "");
    for (const [text, series] of values) {
      const value = h("div", "idc-details-value");
      const isDoi = name === "source_DOI";
      value.append(h("span", kind === "uid" || isDoi ? "idc-details-uid" : "", text));
      if (values.length + more > 1) value.append(h("span", "idc-details-count", ofSeries(series)));
      if (kind === "uid") {
        value.append(createCopyButton("idc-link idc-details-copy", "Copy", `Copy ${label}`, text));
      }
      cell.append(value);
    }
    if (!values.length && !more) {
      const missing = h("span", "idc-details-missing", "–");
      missing.setAttribute("role", "img");
      missing.setAttribute("aria-label", "missing");
      cell.append(missing);
    }
    const others = values.length ? `and ${NUMBER.format(more)} more` : "a value for each series";
    if (more) cell.append(h("div", "idc-details-count", others));
    cell.append(h("div", "idc-details-description", description));
    const row = h("div", "idc-details-field");
    row.append(term, cell);
    return row;
  }

  /** @param {string} label @param {(Node | string)[]} content */
  function createFact(label, ...content) {
    const row = h("div", "idc-details-field");
    const cell = h("dd", "");
    cell.append(...content);
    row.append(h("dt", "", label), cell);
    return row;
  }

  /** @param {string} kind @param {string} name @param {string} identifier */
  function createSectionHead(kind, name, identifier) {
    const heading = h("h4", "idc-details-heading", kind);
    const line = h("p", "idc-details-name", name || identifier);
    return name && identifier
      ? [heading, line, h("code", "idc-details-keyword", identifier)]
      : [heading, line];
  }

  /** @param {DetailsContent["collection"]} collection */
  function createCollection({ id: identifier, title: name, description, facts }) {
    const list = h("dl", "idc-details-list");
    list.append(...facts.map(([label, text]) => createFact(label, text)));
    return [
      ...createSectionHead("Collection", name, identifier),
      ...createParagraphs(description),
      list,
    ];
  }

  /** @param {DetailsSource} source */
  function createSource(source) {
    const list = h("dl", "idc-details-list");
    if (source.license) {
      const mark = h("b", "", " (non-commercial)");
      list.append(createFact("License", source.license, ...(source.non_commercial ? [mark] : [])));
    }
    if (source.doi)
      list.append(createFact("DOI", createLink("idc-link", source.doi, source.doi_url)));
    if (source.citation) {
      const { citation } = source;
      const copying = createCopyButton(
        "idc-link idc-details-copy",
        "Copy",
        "Copy Citation",
        citation,
      );
      list.append(createFact("Citation", h("span", "", citation), copying));
    }
    return [
      ...createSectionHead(source.kind, source.title, source.id),
      ...createParagraphs(source.description),
      list,
    ];
  }

  // --- what Python says ------------------------------------------------------------------------

  function show() {
    const content = /** @type {DetailsContent} */ (model.get("_content"));
    if (!content.fields) {
      if (!root.hidden) hide();
      return;
    }
    const hadFocus = root.contains(activeElementNear(root));
    title.textContent = content.title;
    summary.textContent = content.summary;
    status.textContent = "";
    problem.replaceChildren(...(content.problem ? [createAlert(content.problem)] : []));
    const [label, value] = content.identifier;
    actions.replaceChildren(
      ...content.viewers.map(([text, url]) => createLink("idc-link", text, url)),
      ...(content.more_viewers ? [`and ${NUMBER.format(content.more_viewers)} more studies`] : []),
      createCopyButton("idc-link", `Copy ${label}`, `Copy ${label}`, value),
      createCopyButton("idc-link", "Copy as Python code", "Copy as Python code", content.code),
      explain,
    );
    const list = h("dl", "idc-details-list idc-details-columns");
    list.append(...content.fields.map(createField));
    const more = content.more_sources;
    body.replaceChildren(
      list,
      ...createCollection(content.collection),
      ...content.sources.flatMap(createSource),
      ...(more ? [h("p", "", `and ${NUMBER.format(more)} more data sets`)] : []),
    );
    body.scrollTop = 0;
    const isOpening = root.hidden;
    setHidden(false);
    if (content.asked && !hadFocus) onPage(takeFocus);
    else if (isOpening) root.scrollIntoView({ block: "nearest" });
    else if (hadFocus && !root.contains(activeElementNear(root))) focusBody();
  }

  function focusBody() {
    body.focus({ preventScroll: true });
  }

  /**
   * Call back as soon as the panel is on the page. A new panel is drawn before that.
   *
   * @param {() => void} callback
   */
  function onPage(callback) {
    if (root.isConnected) return callback();
    const appearing = new ResizeObserver(() => {
      if (!root.isConnected) return;
      appearing.disconnect();
      callback();
    });
    appearing.observe(root);
    signal.addEventListener("abort", () => appearing.disconnect());
  }

  /** Take the focus from the grid or the notebook cell that asked, but not from another place. */
  function takeFocus() {
    const active = activeElementNear(root);
    const asker = active?.closest(".idc-root");
    const isOurs = asker && asker.closest(".idc-browser") === root.closest(".idc-browser");
    root.scrollIntoView({ block: "nearest" });
    if (!isOurs) return;
    opener = /** @type {HTMLElement} */ (active);
    focusBody();
  }

  function hide() {
    const hadFocus = root.contains(activeElementNear(root));
    const back = opener?.isConnected ? opener : null;
    if (hadFocus) (back ?? el.closest(".idc-browser")?.querySelector("[role=grid]"))?.focus();
    opener = null;
    setHidden(true);
  }

  /** Show or hide the panel; while it is shown, it has the place beside the series. @param {boolean} isHidden */
  function setHidden(isHidden) {
    root.hidden = isHidden;
    el.classList.toggle("idc-part-beside", !isHidden);
  }

  function close() {
    hide();
    kernel.send({ kind: "close" });
  }

  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    close();
  });
  follow(model, ["_content"], show, signal);
  show();
  return () => removed.abort();
}

/** @param {number} count */
const ofSeries = (count) => `${NUMBER.format(count)} series`;

export default { render };

// Clicks in the grids of ipydatagrid. By itself, ipydatagrid reports only the numbers of the
// selected rows, not which rows it showed, and merges its reports while the kernel is busy. If new
// rows arrive before the kernel gets a click, the click would be lost, or pick another row.
//
// Here, each click is a message of its own, with the generation of the rows that the page shows: a
// number that increases whenever the rows of the grid change.
// To Python: {type: "click", page, number, generation, kind, ...}, with kind "pick", {selections,
// before}; "sort", {column}; or "menu", {transforms}, for the menu of a header.
// From Python: {event_type: "answer", page, number}.
// ipydatagrid's own messages use the keys "type" and "event_type", so these do, too.

/**
 * @typedef {{ r1: number, r2: number, c1: number, c2: number }} Cells A rectangle of cells.
 *
 * @typedef {object} Selected ipydatagrid's selection.
 * @property {unknown} dataModel The rows that it belongs to.
 * @property {boolean} isEmpty
 * @property {() => Iterable<Cells>} selections
 * @property {() => void} clear
 * @property {(args: object) => void} select
 * @property {{ connect: (handler: (sender: Selected) => void) => void }} changed
 */

// An answer that takes longer than this may be lost, so nothing waits for it any more.
const ANSWER_MS = 5000;

/** @type {WeakMap<object, { addView: (view: any) => void }>} */
const clickReporters = new WeakMap();

/**
 * Report the clicks on a grid of this page. Return an object to add page views of the grid, or null
 * if this version of ipydatagrid is unknown; then ipydatagrid reports clicks itself.
 *
 * @param {any} model The grid's model, which all its page views share.
 */
function reportClicks(model) {
  const known = clickReporters.get(model);
  if (known) return known;
  const isKnownKind =
    typeof model.synchingWithKernel === "boolean" &&
    typeof model._buffered_state_diff === "object" &&
    typeof model.selectionModel?.changed?.connect === "function" &&
    model.selectionModel.dataModel === model.data_model;
  if (!isKnownKind) return null;

  const page = uniqueId();
  // The page shows the rows of one generation until the first rows of the next arrive.
  let generation = model.get("generation");
  /** @type {HTMLElement[]} */
  const nodes = [];
  let sent = 0;
  let answered = 0;
  let sentAt = 0;
  /** @type {object & { generation: number, before: Cells[] } | null} */
  let held = null; // a pick that waits for the answer to the previous click
  /** @type {Cells[]} */
  let selections = model.get("selections"); // the selection that this page shows
  /** @type {Cells[] | null} */
  let fromKernel = null; // the kernel's selection, to be shown when all clicks are answered
  /** @type {string | null} */
  let header = null; // the title of the header that is being clicked
  let isReceiving = false; // whether the model is being set to values from the kernel

  const isPending = () => answered < sent && Date.now() - sentAt < ANSWER_MS;

  /** @param {object} click */
  function send(click) {
    sent += 1;
    sentAt = Date.now();
    model.send({ type: "click", page, number: sent, ...click });
  }

  function flush() {
    const pick = held;
    held = null;
    if (pick) send(pick);
  }

  // --- the selection -------------------------------------------------------------------------

  // The selection and the order of the model follow the page, but are not sent as a part of its
  // state: ipydatagrid would also send what it has just received, and an old order that arrives
  // late looks like another click. What the kernel sends before it has seen all clicks is outdated.
  const { set } = model;
  /** @param {any} key @param {any} value @param {any} options */
  model.set = function (key, value, options) {
    let state = key;
    if (key === "_transforms" && !isReceiving) {
      flush();
      send({ kind: "menu", generation, transforms: value });
    }
    if (typeof state === "object" && state && "selections" in state) {
      if (isPending() || held) {
        const { selections: outdated, ...rest } = state;
        fromKernel = outdated;
        state = rest;
      } else selections = state.selections;
    }
    const wasReceiving = isReceiving;
    isReceiving ||= typeof state === "object";
    try {
      return set.call(this, state, value, options);
    } finally {
      isReceiving = wasReceiving;
      delete this._buffered_state_diff?.selections;
      delete this._buffered_state_diff?._transforms;
    }
  };

  /** @param {Cells[]} rectangles */
  function show(rectangles) {
    const { selectionModel } = model;
    model.synchingWithKernel = true;
    try {
      selectionModel?.clear();
      for (const part of rectangles) {
        selectionModel?.select({
          ...part,
          cursorRow: part.r1,
          cursorColumn: part.c1,
          clear: "none",
        });
      }
      set.call(model, "selections", rectangles);
      delete model._buffered_state_diff?.selections;
    } finally {
      model.synchingWithKernel = false;
    }
    selections = rectangles;
  }

  /** @param {Selected} sender */
  function onChanged(sender) {
    if (model.synchingWithKernel) return;
    const isEmptied = !(window.event instanceof UIEvent) && sender.isEmpty;
    if (isReceiving || isEmptied || sender !== model.selectionModel) {
      selections = []; // nobody has clicked: new rows have replaced the selected ones
      return;
    }
    const before = selections;
    const now = Array.from(sender.selections(), ({ r1, r2, c1, c2 }) => ({
      r1: Math.min(r1, r2),
      r2: Math.max(r1, r2),
      c1: Math.min(c1, c2),
      c2: Math.max(c1, c2),
    }));
    const rowCount = model.get("_row_count");
    if (header !== null && now.some(({ r1, r2 }) => r1 === 0 && r2 >= rowCount - 1)) {
      // A click on a header selects all rows, but people intend to sort.
      const column = header;
      header = null;
      show(before);
      flush();
      send({ kind: "sort", generation, column });
      return;
    }
    if (JSON.stringify(now) === JSON.stringify(before)) return;
    selections = now;
    if (held && held.generation !== generation) flush();
    const pick = { kind: "pick", generation, selections: now, before: held?.before ?? before };
    if (isPending()) {
      if (!held) setTimeout(flush, ANSWER_MS);
      held = pick;
    } else send(pick);
  }

  // ipydatagrid triggers this before it connects its own handler.
  model.on("selection-model-changed", () => model.selectionModel?.changed.connect(onChanged));
  model.selectionModel.changed.connect(onChanged);
  model.on("msg:custom", (/** @type {any} */ content) => {
    if (content.event_type === "data-reply" && content.generation !== generation) {
      flush();
      generation = content.generation;
    }
    if (content.event_type !== "answer" || content.page !== page) return;
    answered = Math.max(answered, content.number);
    if (answered < sent) return;
    if (held) flush();
    else if (fromKernel) {
      const rectangles = fromKernel;
      fromKernel = null;
      show(rectangles);
    }
  });

  // --- the order of clicks -------------------------------------------------------------------

  // Send a held pick before a click elsewhere on the page, so that the kernel gets both in order.
  /** @param {Event} event */
  const onOther = (event) => {
    const { target } = event;
    if (held && !nodes.some((node) => target instanceof Node && node.contains(target))) flush();
  };
  for (const type of ["pointerdown", "click", "keydown"]) {
    window.addEventListener(type, onOther, { capture: true });
  }
  window.addEventListener("pagehide", flush);
  const stop = () => {
    for (const type of ["pointerdown", "click", "keydown"]) {
      window.removeEventListener(type, onOther, { capture: true });
    }
    window.removeEventListener("pagehide", flush);
  };
  model.on("destroy", stop);

  const reporter = {
    /** @param {any} view */
    addView(view) {
      const id = uniqueId();
      if (view.grid.node) nodes.push(view.grid.node);
      view.grid.cellClicked?.connect((/** @type {unknown} */ _, /** @type {any} */ cell) => {
        // If a click selects cells, it does so in the same event. (Resizing a column selects none.)
        header = cell.region === "column-header" ? String(cell.column) : null;
        setTimeout(() => {
          header = null;
        });
      });
      if (typeof view.grid._requestData === "function") {
        /** @param {number} r1 @param {number} r2 @param {number} c1 @param {number} c2 */
        view.grid._requestData = (r1, r2, c1, c2) => {
          const requested = model.get("generation");
          model.send({
            ...{ type: "data-request", r1, r2, c1, c2 },
            ...{ page, view: id, generation: requested },
          });
        };
      }
    },
  };
  clickReporters.set(model, reporter);
  return reporter;
}

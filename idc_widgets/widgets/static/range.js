// A button, and the histogram that it opens. People choose a range by dragging, by keyboard, or by
// typing its ends. To Python: {kind: "bins", view, number, first, last} or
// {kind: "range", view, number, low, high}, see `createRequests` for the answer; and
// {kind: "count"}, which requests the histogram of the current `_version`, again and again until it
// arrives.

/** @typedef {[series: number, text: string, low: string, high: string]} Bin */

/**
 * @typedef {object} RangeTraits
 * @property {string} _label The text of the button.
 * @property {string} _column The name of the column: the DICOM keyword where there is one.
 * @property {{ unit: string, example: string }} _hints The unit beside the inputs, and the example
 *   in them; may be "".
 * @property {{ words: string, low: string, high: string, span: [first: number, last: number] | [] }}
 *   _filter `words` is "" without a filter; `span` is empty if the filter is not a range.
 * @property {{ version?: number, bars?: Bin[], axis?: string[], missing?: number }} _histogram
 *   The last histogram; `missing` counts series without a value.
 * @property {number} _version Increases when the histogram goes out of date.
 * @property {string} _problem Why the last range was refused, or "".
 * @property {string} _answered The last answered request, as "view:number".
 */

const KEY_PAUSE_MS = 150; // keys pressed faster than this are sent as one range

/** @type {import("@anywidget/types").Render<RangeTraits>} */
function render({ model, el }) {
  const removed = new AbortController();
  const label = model.get("_label");
  const { unit, example } = model.get("_hints");

  // --- elements ----------------------------------------------------------------------------

  const popover = createPopover({
    el,
    label,
    column: model.get("_column"),
    kind: "dialog",
    maxHeight: 360,
    onOpen,
    onClose,
    onClear,
    onKey,
    signal: removed.signal,
  });
  const { root, panel, isOpen } = popover;
  root.classList.add("idc-range");
  panel.setAttribute("role", "dialog");
  panel.setAttribute("aria-label", label);

  /** @param {"from" | "to"} end */
  function createHandle(end) {
    const handle = h("div", `idc-range-handle idc-range-${end}`);
    handle.tabIndex = 0;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", `${label} ${end}`);
    return handle;
  }

  /** @param {"from" | "to"} end */
  function createInput(end) {
    const input = h("input", "idc-control idc-range-input");
    input.type = "text";
    input.autocomplete = "off";
    input.spellcheck = false;
    input.placeholder = example || { from: "min", to: "max" }[end];
    input.setAttribute("aria-label", `${label} ${end}${unit && `, ${unit}`}`);
    return input;
  }

  const chart = h("div", "idc-range-chart");
  const bars = h("div", "idc-range-bars");
  bars.setAttribute("role", "img");
  const lowHandle = createHandle("from");
  const highHandle = createHandle("to");
  chart.append(bars, lowHandle, highHandle);
  const axis = h("div", "idc-range-axis");
  axis.setAttribute("aria-hidden", "true");
  const form = h("div", "idc-range-form");
  const lowInput = createInput("from");
  const highInput = createInput("to");
  form.append(
    lowInput,
    h("span", "idc-range-dash", "–"),
    highInput,
    h("span", "idc-range-unit", unit),
    button("idc-control idc-range-apply", "Apply", "", sendInputs),
  );
  const alert = h("div", "idc-range-alert");
  alert.setAttribute("role", "alert");
  const note = h("div", "idc-popover-note");
  note.setAttribute("role", "status");
  panel.append(chart, axis, form, alert, note);

  // --- the histogram -------------------------------------------------------------------------

  let requestedVersion = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let countTimer;
  /** @type {number | null} */
  let hovered = null; // the bin under the mouse

  const bins = () => model.get("_histogram").bars ?? [];
  const lastBin = () => bins().length - 1;
  const seriesInBins = () => bins().reduce((sum, [series]) => sum + series, 0);
  const isUpToDate = () => model.get("_histogram").version === model.get("_version");

  function requestHistogram() {
    const version = model.get("_version");
    if (!isOpen() || isUpToDate() || requestedVersion === version) return;
    requestedVersion = version;
    sendCount(RESEND_MS);
  }

  /** Request the histogram, and after a pause again if no answer comes. @param {number} pause */
  function sendCount(pause) {
    kernel.send({ kind: "count" });
    clearTimeout(countTimer);
    countTimer = setTimeout(() => {
      if (isOpen() && !isUpToDate()) sendCount(Math.min(2 * pause, MAX_RESEND_MS));
    }, pause);
  }

  function showBars() {
    const most = Math.max(1, ...bins().map(([series]) => series));
    bars.replaceChildren(
      ...bins().map(([series]) => {
        const bar = h("div", "idc-range-bar");
        // On a square-root scale, a bin with 1 % of the series of the highest bin is still visible.
        bar.style.height = series ? `max(2px, ${100 * Math.sqrt(series / most)}%)` : "0";
        return bar;
      }),
    );
    const { axis: ends = [] } = model.get("_histogram");
    axis.replaceChildren(...ends.map((end) => h("span", "", end)));
    const count = bins().length;
    bars.setAttribute("aria-label", `${NUMBER.format(seriesInBins())} series in ${count} bins`);
    chart.hidden = !count && isUpToDate();
    axis.hidden = chart.hidden;
    lowHandle.hidden = !count;
    highHandle.hidden = !count;
    panel.classList.toggle("idc-range-counting", !isUpToDate());
    showNote();
    showSpan();
  }

  /** Describe the bin under the mouse or, without one, the series that no bin shows. */
  function showNote() {
    const { missing } = model.get("_histogram");
    const bin = hovered === null ? undefined : bins()[hovered];
    const parts = [];
    if (!bins().length) parts.push(isUpToDate() ? "No series has a value" : "Counting …");
    else if (bin) parts.push(`${bin[1]}: ${NUMBER.format(bin[0])} series`);
    else {
      if (!seriesInBins()) parts.push("No series under the other filters");
      if (missing) parts.push(`${NUMBER.format(missing)} series without a value`);
      if (!parts.length) parts.push("All series have a value");
    }
    note.textContent = parts.join("; ");
  }

  // --- the choice: shown at once, sent one request at a time ----------------------------------

  const kernel = watchKernel(model, el, root, removed.signal);
  const requests = createRequests(model, uniqueId(), kernel, removed.signal);
  /** @type {[first: number, last: number] | null} */
  let span = null; // bins chosen by mouse or keyboard, until Python answers
  /** @type {string | null} */
  let requestedWords = null; // the requested filter in words, until Python answers
  let isEdited = false; // whether the inputs have text that has not been applied
  let sentInputs = ""; // the text of the inputs when they were last sent
  /** @type {number | null} */
  let keyTimer = null;

  /** @returns {[first: number, last: number]} */
  function shownSpan() {
    if (span) return span;
    const [first = 0, last = lastBin()] = model.get("_filter").span;
    return [first, last];
  }

  /**
   * @param {{ kind: "bins", first: number, last: number }
   *   | { kind: "range", low: string, high: string }} content
   * @param {string | null} [words]
   */
  function choose(content, words = null) {
    requestedWords = words;
    requests.send(content);
    if (!isOpen()) requests.flush();
    showFilter();
  }

  /**
   * Show bins as chosen. `sendSpan` sends them, at the end of a drag or after a pause between keys.
   *
   * @param {number} start
   * @param {number} end
   */
  function setSpan(start, end) {
    span = [Math.max(0, Math.min(start, end)), Math.min(lastBin(), Math.max(start, end))];
    isEdited = false;
    complain("");
    showSpan();
    showInputs();
  }

  function stopKeyTimer() {
    if (keyTimer !== null) clearTimeout(keyTimer);
    keyTimer = null;
  }

  function sendSpan() {
    stopKeyTimer();
    if (!span) return;
    const [first, last] = span;
    const low = bins()[first]?.[2];
    const high = bins()[last]?.[3];
    let words = "";
    if (low && high) words = `${low} – ${high}`;
    else if (low) words = `≥ ${low}`;
    else if (high) words = `≤ ${high}`;
    choose({ kind: "bins", first, last }, words && `${words} ${unit}`.trim());
  }

  const textOfInputs = () => JSON.stringify([lowInput.value, highInput.value]);

  function sendInputs() {
    stopKeyTimer();
    span = null;
    isEdited = true;
    sentInputs = textOfInputs();
    choose({ kind: "range", low: lowInput.value, high: highInput.value });
  }

  /**
   * @param {HTMLElement} handle
   * @param {number} bin
   * @param {number} edge The edge between bins that the handle stands on.
   * @param {string} words
   */
  function placeHandle(handle, bin, edge, words) {
    const count = lastBin() + 1;
    handle.style.left = `${(100 * edge) / Math.max(1, count)}%`;
    handle.setAttribute("aria-valuemin", "0");
    handle.setAttribute("aria-valuemax", String(Math.max(0, count - 1)));
    handle.setAttribute("aria-valuenow", String(bin));
    handle.setAttribute("aria-valuetext", `${words} ${unit}`.trim());
  }

  function showSpan() {
    const [first, last] = shownSpan();
    [...bars.children].forEach((bar, index) => {
      bar.classList.toggle("idc-range-out", index < first || index > last);
      bar.classList.toggle("idc-range-hovered", index === hovered);
    });
    placeHandle(lowHandle, first, first, bins()[first]?.[2] || "the lowest");
    placeHandle(highHandle, last, last + 1, bins()[last]?.[3] || "the highest");
  }

  function showInputs() {
    if (isEdited) return; // keep what is being typed
    const { low, high } = model.get("_filter");
    lowInput.value = span ? (bins()[span[0]]?.[2] ?? "") : low;
    highInput.value = span ? (bins()[span[1]]?.[3] ?? "") : high;
  }

  function showFilter() {
    const words = requestedWords ?? model.get("_filter").words;
    popover.show({ first: words || undefined, all: words, isPending: requests.isPending() });
  }

  /** @param {string} text Why a range was refused; "" removes the message. */
  function complain(text) {
    alert.replaceChildren(...(text ? [createAlert(text)] : []));
    for (const input of [lowInput, highInput]) {
      input.setAttribute("aria-invalid", String(Boolean(text)));
    }
  }

  function onModel() {
    const wasPending = requests.isPending();
    if (requests.settle()) {
      const problem = model.get("_problem");
      requestedWords = null;
      if (wasPending) complain(problem);
      // A refused text stays, so that people can correct it. Text that was typed later stays, too.
      if (wasPending && !problem && textOfInputs() === sentInputs) isEdited = false;
      if (dragStart === null && keyTimer === null) span = null;
      showFilter();
    }
    if (isOpen()) {
      requestHistogram();
      showBars();
      showInputs();
    }
  }

  // --- opening and closing -------------------------------------------------------------------

  function onOpen() {
    isEdited = false;
    hovered = null;
    span = null;
    requestedVersion = 0;
    complain("");
    requestHistogram();
    showBars();
    showInputs();
    return lowInput;
  }

  function onClose() {
    if (keyTimer !== null) sendSpan();
    requests.flush();
    span = null;
    dragStart = null;
  }

  function onClear() {
    stopKeyTimer();
    span = null;
    isEdited = false;
    complain("");
    choose({ kind: "range", low: "", high: "" }, "");
  }

  // --- mouse -----------------------------------------------------------------------------------

  /** @type {number | null} */
  let dragStart = null; // the bin at the fixed end of the range, during a drag

  /** @param {PointerEvent} event */
  function binAt(event) {
    const box = bars.getBoundingClientRect();
    const bin = Math.floor(((event.clientX - box.left) / box.width) * (lastBin() + 1));
    return Math.max(0, Math.min(lastBin(), bin));
  }

  chart.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || lastBin() < 0) return;
    event.preventDefault(); // select no text, and keep the focus
    chart.setPointerCapture(event.pointerId);
    const [first, last] = shownSpan();
    // A handle moves its end of the range. A drag that begins elsewhere makes a new range.
    if (event.target === lowHandle) {
      dragStart = last;
      lowHandle.focus({ preventScroll: true });
    } else if (event.target === highHandle) {
      dragStart = first;
      highHandle.focus({ preventScroll: true });
    } else {
      dragStart = binAt(event);
      setSpan(dragStart, dragStart);
    }
  });
  chart.addEventListener("pointermove", (event) => {
    if (lastBin() < 0) return;
    hovered = binAt(event);
    if (dragStart !== null) setSpan(dragStart, hovered);
    else showSpan();
    showNote();
  });
  chart.addEventListener("pointerup", () => {
    if (dragStart === null) return;
    dragStart = null;
    sendSpan();
  });
  chart.addEventListener("pointercancel", () => {
    dragStart = null;
    span = null;
    showBars();
    showInputs();
  });
  chart.addEventListener("pointerleave", () => {
    hovered = null;
    showBars();
  });

  // --- keyboard ------------------------------------------------------------------------------

  for (const input of [lowInput, highInput]) {
    input.addEventListener("input", () => {
      isEdited = true;
    });
  }

  /** @type {Record<string, number>} */
  const steps = {
    ArrowLeft: -1,
    ArrowDown: -1,
    ArrowRight: 1,
    ArrowUp: 1,
    PageDown: -5,
    PageUp: 5,
    Home: -Infinity,
    End: Infinity,
  };

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const { key, target } = event;
    if ((target === lowInput || target === highInput) && key === "Enter") {
      event.preventDefault();
      sendInputs();
    } else if ((target === lowHandle || target === highHandle) && key in steps && lastBin() >= 0) {
      event.preventDefault();
      const [first, last] = shownSpan();
      if (target === lowHandle) setSpan(Math.max(0, Math.min(last, first + steps[key])), last);
      else setSpan(first, Math.max(first, Math.min(lastBin(), last + steps[key])));
      stopKeyTimer();
      keyTimer = setTimeout(sendSpan, KEY_PAUSE_MS);
    }
  }

  // --- life ----------------------------------------------------------------------------------

  follow(
    model,
    ["_filter", "_histogram", "_version", "_problem", "_answered"],
    onModel,
    removed.signal,
  );
  showFilter();
  return () => removed.abort();
}

export default { render };

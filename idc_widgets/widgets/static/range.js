// A button and the histogram that it opens, of which a part can be chosen by dragging, by keyboard,
// or typed. It goes to Python as {kind: "bins", view, number, first, last} or {kind: "range", view,
// number, low, high}; the answer is the model's new values, and `_answered` = "view:number".
// {kind: "count"} asks for a histogram of the `_version` of now.

const PAUSE = 150; // ms between keys that belong together

function render({ model, el }) {
  const view = newView();
  const label = model.get("_label");
  const { unit, example } = model.get("_hints");

  // --- elements ----------------------------------------------------------------------------

  const filter = filterButton({
    el,
    label,
    kind: "dialog",
    room: 360,
    onOpen,
    onClose,
    onClear,
    onKey,
  });
  const { root, popover, on, isOpen } = filter;
  root.classList.add("idc-range");
  popover.setAttribute("role", "dialog");
  popover.setAttribute("aria-label", label);

  const chart = h("div", "idc-range-chart");
  const bars = h("div", "idc-range-bars");
  bars.setAttribute("role", "img");
  const [low, high] = ["from", "to"].map((end) => {
    const handle = h("div", `idc-range-handle idc-range-${end}`);
    handle.tabIndex = 0;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", `${label} ${end}`);
    return handle;
  });
  chart.append(bars, low, high);
  const axis = h("div", "idc-range-axis");
  axis.setAttribute("aria-hidden", "true");
  const form = h("div", "idc-range-form");
  const [from, to] = ["from", "to"].map((end) => {
    const input = h("input", "idc-control idc-range-input");
    input.type = "text";
    input.autocomplete = "off";
    input.spellcheck = false;
    input.placeholder = example || { from: "min", to: "max" }[end];
    input.setAttribute("aria-label", `${label} ${end}${unit && `, ${unit}`}`);
    return input;
  });
  const apply = button("idc-control idc-range-apply", "Apply");
  form.append(from, h("span", "idc-range-dash", "–"), to, h("span", "idc-range-unit", unit), apply);
  const alert = h("div", "idc-range-alert");
  alert.setAttribute("role", "alert");
  const note = h("div", "idc-facet-note");
  note.setAttribute("role", "status");
  popover.append(chart, axis, form, alert, note);

  // --- the histogram -------------------------------------------------------------------------

  let asked = 0; // the version that was asked for last
  const isFresh = () => model.get("_histogram").version === model.get("_version");
  const counted = () => model.get("_histogram").bars ?? [];

  function ask() {
    if (!isOpen() || isFresh() || asked === model.get("_version")) return;
    asked = model.get("_version");
    model.send({ kind: "count" });
  }

  function showBars() {
    const { axis: ends = [] } = model.get("_histogram");
    const all = counted();
    const most = Math.max(1, ...all.map(([series]) => series));
    bars.replaceChildren(
      ...all.map(([series]) => {
        const bar = h("div", "idc-range-bar");
        // By the square root: what is a hundredth of the highest can still be seen.
        bar.style.height = series ? `max(2px, ${100 * Math.sqrt(series / most)}%)` : "0";
        return bar;
      }),
    );
    axis.replaceChildren(...ends.map((end) => h("span", "", end)));
    bars.setAttribute("aria-label", `${NUMBER.format(total())} series in ${all.length} bins`);
    chart.hidden = axis.hidden = !all.length && isFresh();
    low.hidden = high.hidden = !all.length;
    popover.classList.toggle("idc-range-counting", !isFresh());
    showNote();
    showSpan();
  }

  const total = () => counted().reduce((sum, [series]) => sum + series, 0);

  /** What is under the mouse or, with nothing there, what the histogram does not show. */
  function showNote() {
    const { missing } = model.get("_histogram");
    const words = [];
    const one = hovered === null ? null : counted()[hovered];
    if (!counted().length) words.push(isFresh() ? "No series has a value" : "Counting …");
    else if (one) words.push(`${one[1]}: ${NUMBER.format(one[0])} series`);
    else {
      if (!total()) words.push("No series under the other filters");
      if (missing) words.push(`${NUMBER.format(missing)} series without a value`);
      if (!words.length) words.push("All series have a value");
    }
    note.textContent = words.join("; ");
  }

  // --- what is chosen: shown at once, sent one request at a time -----------------------------

  const queue = requests(model, view);
  let span = null; // [first, last] bin while they are dragged, or were not answered yet
  let hovered = null;
  let meant = null; // the filter that was asked for, in words, until it is answered
  let edited = false; // whether inputs hold what was not applied yet
  let sent = ""; // what they held when it was sent
  let pause = null;

  const last = () => counted().length - 1;
  const shownSpan = () => {
    const given = model.get("_filter").span;
    return span ?? (given.length ? given : [0, last()]);
  };

  function choose(content, words = null) {
    meant = words;
    queue.ask(content);
    if (!isOpen()) queue.flush();
    showFilter();
  }

  /** Shows bins as chosen; they are sent at the end of a drag or of a run of keys. */
  function setSpan(first, end) {
    span = [Math.max(0, Math.min(first, end)), Math.min(last(), Math.max(first, end))];
    edited = false;
    complain("");
    showSpan();
    showInputs();
  }

  function forgetSpan() {
    clearTimeout(pause);
    span = pause = null;
  }

  function sendSpan() {
    clearTimeout(pause);
    pause = null;
    if (!span) return;
    const [first, end] = [counted()[span[0]]?.[2], counted()[span[1]]?.[3]];
    const words = first && end ? `${first} – ${end}` : first ? `≥ ${first}` : end ? `≤ ${end}` : "";
    choose({ kind: "bins", first: span[0], last: span[1] }, words && `${words} ${unit}`.trim());
  }

  const typed = () => JSON.stringify([from.value, to.value]);

  function sendRange() {
    forgetSpan();
    edited = true;
    sent = typed();
    choose({ kind: "range", low: from.value, high: to.value });
  }

  function showSpan() {
    const [first, end] = shownSpan();
    const count = last() + 1;
    [...bars.children].forEach((bar, at) => {
      bar.classList.toggle("idc-range-out", at < first || at > end);
      bar.classList.toggle("idc-range-hovered", at === hovered);
    });
    const all = counted();
    for (const [handle, at, edge, words] of [
      [low, first, first, all[first]?.[2] || "the lowest"],
      [high, end, end + 1, all[end]?.[3] || "the highest"],
    ]) {
      handle.style.left = `${(100 * edge) / Math.max(1, count)}%`;
      handle.setAttribute("aria-valuemin", "0");
      handle.setAttribute("aria-valuemax", String(Math.max(0, count - 1)));
      handle.setAttribute("aria-valuenow", String(at));
      handle.setAttribute("aria-valuetext", `${words} ${unit}`.trim());
    }
  }

  function showInputs() {
    if (edited) return; // nobody's typing is overwritten
    const all = counted();
    const chosen = model.get("_filter");
    from.value = span ? (all[span[0]]?.[2] ?? "") : chosen.low;
    to.value = span ? (all[span[1]]?.[3] ?? "") : chosen.high;
  }

  function showFilter() {
    const words = meant ?? model.get("_filter").words;
    filter.show({ first: words || undefined, all: words, waiting: queue.waiting() });
  }

  function complain(text) {
    alert.replaceChildren();
    if (text) {
      const area = h("div", "idc-alert");
      area.append(h("span", "idc-alert-text", text));
      alert.append(area);
    }
    for (const input of [from, to]) input.setAttribute("aria-invalid", String(Boolean(text)));
  }

  function onModel() {
    const waited = queue.waiting();
    if (queue.settled()) {
      const problem = model.get("_problem");
      meant = null;
      if (waited) complain(problem);
      // What is wrong stays, to be mended; what was typed since then as well.
      if (waited && !problem && typed() === sent) edited = false;
      if (dragging === null && pause === null) span = null;
      showFilter();
    }
    if (isOpen()) {
      ask();
      showBars();
      showInputs();
    }
  }

  // --- opening and closing -------------------------------------------------------------------

  function onOpen() {
    edited = false;
    hovered = span = null;
    asked = 0;
    complain("");
    ask();
    showBars();
    showInputs();
    return from;
  }

  function onClose() {
    if (pause !== null) sendSpan();
    queue.flush();
    span = null;
    dragging = null;
  }

  function onClear() {
    forgetSpan();
    edited = false;
    complain("");
    choose({ kind: "range", low: "", high: "" }, "");
  }

  // --- mouse -----------------------------------------------------------------------------------

  let dragging = null; // the bin that stays while the other end follows the mouse

  function binAt(event) {
    const box = bars.getBoundingClientRect();
    const at = Math.floor(((event.clientX - box.left) / box.width) * (last() + 1));
    return Math.max(0, Math.min(last(), at));
  }

  on(chart, "pointerdown", (event) => {
    if (event.button !== 0 || last() < 0) return;
    event.preventDefault(); // no text is selected, and the focus stays
    chart.setPointerCapture(event.pointerId);
    const [first, end] = shownSpan();
    // A handle moves its own end; elsewhere a new range begins.
    if (event.target === low) dragging = end;
    else if (event.target === high) dragging = first;
    else dragging = binAt(event);
    if (event.target === low || event.target === high) event.target.focus({ preventScroll: true });
    else setSpan(dragging, dragging);
  });
  on(chart, "pointermove", (event) => {
    if (last() < 0) return;
    hovered = binAt(event);
    if (dragging !== null) setSpan(dragging, hovered);
    else showSpan();
    showNote();
  });
  on(chart, "pointerup", () => {
    if (dragging === null) return;
    dragging = null;
    sendSpan();
  });
  on(chart, "pointercancel", () => {
    dragging = span = null;
    showBars();
    showInputs();
  });
  on(chart, "pointerleave", () => {
    hovered = null;
    showBars();
  });

  // --- keyboard ------------------------------------------------------------------------------

  for (const input of [from, to])
    on(input, "input", () => {
      edited = true;
    });
  on(apply, "click", sendRange);

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

  function onKey(event) {
    const { key, target } = event;
    if ((target === from || target === to) && key === "Enter") {
      event.preventDefault();
      sendRange();
    } else if ((target === low || target === high) && key in steps && last() >= 0) {
      event.preventDefault();
      const [first, end] = shownSpan();
      const limit = (at, least, most) => Math.max(least, Math.min(most, at + steps[key]));
      if (target === low) setSpan(limit(first, 0, end), end);
      else setSpan(first, limit(end, first, last()));
      clearTimeout(pause);
      pause = setTimeout(sendSpan, PAUSE);
    }
  }

  // --- life ----------------------------------------------------------------------------------

  const names = ["_filter", "_histogram", "_version", "_problem", "_answered"];
  const forget = onChanges(model, names, onModel);
  showFilter();

  return () => {
    forget();
    clearTimeout(pause);
    filter.remove();
  };
}

export default { render };

// The distribution of what a grid shows, as bars under the headers. A click on the bar of a value
// chooses the value, as the dropdown does; a drag over bins chooses a range. Tab does not stop at
// the bars: Alt+ArrowDown on a header goes to a list of its bars, which only screen readers see.
//
// To Python: {kind: "bars", generation}, after the rows are on the screen, and only while the
// distributions are shown; and {kind: "choose", view, number, "filter:<column>": values or [first
// bin, last bin], shows}, see `createRequests`.

const AFTER_ROWS_MS = 120; // a pause after new rows: they are drawn, and newer ones may come
const SAID_MS = 5000; // if new rows come within this time, their announcement names the filter

/**
 * @typedef {object} GridBars
 * @property {number} [number] Increases with each message.
 * @property {number} [generation] Of the rows.
 * @property {string} [problem] Why there are no distributions, or "".
 * @property {Record<string, Distribution>} [columns]
 */

/**
 * Create the distributions of a grid.
 *
 * @param {object} options
 * @param {Model<any>} options.model
 * @param {ReturnType<typeof watchKernel>} options.kernel
 * @param {ReturnType<typeof createGridParts>} options.parts
 * @param {string} options.id
 * @param {() => void} options.onSize Called when the height of the header changes.
 * @param {(text: string) => void} options.say
 * @param {AbortSignal} options.signal Aborted when the page view is removed.
 */
function createBars({ model, kernel, parts, id, onSize, say, signal }) {
  /** @type {GridColumn[]} */
  let columns = [];
  /** @type {Map<string, ReturnType<typeof createBarPicture>>} */
  let pictures = new Map();
  /** @type {Record<string, Distribution>} */
  let counted = {};
  /** @type {Map<string, BarValue[]>} */
  const mine = new Map(); // choices of this page that are not counted yet
  let [generation, rows, number] = [-1, 0, -1];
  let isUnfolded = false;
  let isStale = true; // newer rows have come since the last distributions
  let words = ""; // the last filter, as a text; "" after the announcement of the rows
  let wordsAt = 0;
  let listed = ""; // the name of the column whose bars are in `list`
  let [at, anchor] = [0, 0]; // the current bar, and where a range begins
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const { root, line } = parts;
  const requests = createRequests(model, `${id}-bars`, kernel, signal);
  const leave = () => parts.sheet.focus({ preventScroll: true });

  const line2 = h("div", "idc-grid-row idc-grid-bars");
  line2.setAttribute("aria-hidden", "true");
  line2.hidden = true;
  parts.headGroup.append(line2);
  const fold = button("idc-link idc-grid-fold");
  fold.append(h("span", "idc-grid-fold-icon"));
  fold.addEventListener("click", () => {
    isUnfolded = !isUnfolded;
    requests.send({ kind: "choose", shows: isUnfolded });
    show();
    say(isUnfolded ? "Distributions shown" : "Distributions hidden");
  });
  line.append(fold);
  const list = h("div", "idc-grid-live");
  list.setAttribute("role", "listbox");
  list.tabIndex = -1;
  list.hidden = true;
  root.append(list);

  const isShown = () => isUnfolded && columns.some(({ bars }) => bars);

  /** @param {string} name */
  const labelOf = (name) => columns.find((column) => column.name === name)?.label ?? name;
  /** @param {string} name */
  const isBins = (name) => columns.find((column) => column.name === name)?.bars === "bins";
  /** @param {string} name */
  const chosenOf = (name) => mine.get(name) ?? counted[name]?.chosen ?? [];

  /** @param {string} name @param {number} index */
  function isChosen(name, index) {
    const chosen = chosenOf(name);
    const value = counted[name]?.bars[index]?.[3] ?? null;
    if (!isBins(name)) return chosen.includes(value);
    return chosen.length > 0 && Number(chosen[0]) <= index && index <= Number(chosen[1]);
  }

  /** @param {string} name @param {number} index */
  function textOf(name, index) {
    const [bar, distribution] = [counted[name]?.bars[index], counted[name]];
    return bar && distribution ? barText(bar, distribution, rows) : "";
  }

  /** Return the text below the bars while none of them is current. @param {string} name */
  function usualText(name) {
    const distribution = counted[name];
    if (!distribution) return "";
    const { bars, others, total, edges, edge_unit } = distribution;
    if (isBins(name)) {
      const filled = bars.flatMap(([, shown], index) => (shown > 0 ? [index] : []));
      if (!filled.length) return "";
      const [low, high] = [edges[Math.min(...filled)], edges[Math.max(...filled) + 1]];
      return `${low} – ${high} ${edge_unit}`.trim();
    }
    const most = bars.reduce((best, bar) => (bar[1] > best[1] ? bar : best), bars[0] ?? [""]);
    const [text, shown = 0] = most;
    if (!shown) return "";
    const count = bars.length + others;
    return count === 1 ? text : `${text} ${percent(shown, total ?? rows)}`;
  }

  // --- drawing -------------------------------------------------------------------------------

  function show() {
    const isOpen = isShown();
    fold.hidden = !columns.some(({ bars }) => bars);
    const label = isOpen ? "Hide distributions" : "Show distributions";
    fold.title = label;
    fold.setAttribute("aria-label", `${label} of ${model.get("_title").toLowerCase()}`);
    fold.setAttribute("aria-expanded", String(isOpen));
    if (root.classList.contains("idc-grid-with-bars") !== isOpen) {
      root.classList.toggle("idc-grid-with-bars", isOpen);
      line2.hidden = !isOpen;
      if (!isOpen) forget();
      onSize();
    }
    if (isOpen && isStale) requestSoon(AFTER_ROWS_MS);
  }

  /** Forget what was counted: when the distributions are shown again, other rows may be shown. */
  function forget() {
    clearTimeout(timer);
    isStale = true;
    counted = {};
    draw();
  }

  /** Request distributions, again and again until they come. @param {number} pause */
  function requestSoon(pause) {
    clearTimeout(timer);
    if (generation < 0 || rows === 0) return;
    timer = setTimeout(() => {
      // After a frame, the rows are on the screen.
      requestAnimationFrame(() =>
        setTimeout(() => {
          if (root.isConnected && isShown() && isStale) kernel.send({ kind: "bars", generation });
        }),
      );
      requestSoon(Math.min(Math.max(2 * pause, RESEND_MS), MAX_RESEND_MS));
    }, pause);
  }

  function draw() {
    for (const [name, picture] of pictures) {
      picture.draw(counted[name]?.bars ?? [], usualText(name));
      picture.mark((index) => isChosen(name, index));
    }
    if (!list.hidden) drawList();
  }

  function drawList() {
    const distribution = counted[listed];
    const picture = pictures.get(listed);
    if (!distribution || !picture || !distribution.bars.length) return leave();
    at = Math.min(at, distribution.bars.length - 1);
    anchor = Math.min(anchor, distribution.bars.length - 1);
    const [first, last] = [Math.min(at, anchor), Math.max(at, anchor)];
    list.setAttribute("aria-label", `Distribution of ${labelOf(listed)}`);
    list.setAttribute("aria-multiselectable", "true");
    const options = distribution.bars.map((_, index) => {
      const option = h("div");
      option.id = `${id}-bar-${index}`;
      option.setAttribute("role", "option");
      const isPart = first !== last && first <= index && index <= last;
      option.setAttribute("aria-selected", String(isPart || isChosen(listed, index)));
      option.setAttribute("aria-label", `${labelOf(listed)}: ${textOf(listed, index)}`);
      return option;
    });
    list.replaceChildren(...options);
    list.setAttribute("aria-activedescendant", `${id}-bar-${at}`);
    picture.point(first, last, textOf(listed, at));
  }

  // --- choosing ------------------------------------------------------------------------------

  /** @param {string} name @param {BarValue[]} choice @param {string} text */
  function filter(name, choice, text) {
    mine.set(name, choice);
    requests.send({ kind: "choose", [`filter:${name}`]: choice });
    pictures.get(name)?.mark((index) => isChosen(name, index));
    if (!list.hidden) drawList();
    words = text;
    wordsAt = performance.now();
    say(text);
  }

  /** Choose a value as its dropdown does. @param {string} name @param {number} index */
  function toggle(name, index) {
    const bar = counted[name]?.bars[index];
    if (!bar) return;
    const others = chosenOf(name).filter((value) => value !== bar[3]);
    const isOn = !isChosen(name, index);
    const text = `${labelOf(name)}: ${bar[0]}`;
    const said = isOn ? `Filtered: ${text}` : `Filter removed: ${text}`;
    filter(name, isOn ? [...others, bar[3]] : others, said);
  }

  /**
   * Choose bins. If this is a single bin, and it is already chosen, remove the filter instead.
   *
   * @param {string} name
   * @param {number} from
   * @param {number} to
   */
  function chooseBins(name, from, to) {
    const bars = counted[name]?.bars;
    const [first, last] = [Math.min(from, to), Math.max(from, to)];
    if (!bars?.[first] || !bars[last]) return;
    const label = labelOf(name);
    const isOff = first === last && isChosen(name, first);
    if (isOff) filter(name, [], `Filter removed: ${label}`);
    else filter(name, [first, last], `Filtered: ${label} ${rangeOfBins(bars, first, last)}`);
  }

  /** @param {string} name @param {ReturnType<typeof createBarPicture>} picture */
  function listenTo(name, picture) {
    const { cell, barAt, point } = picture;
    let from = -1; // where a drag began
    /** @param {number} bar */
    const showBar = (bar) => {
      if (from < 0 || bar < 0) return point(bar, bar, textOf(name, bar));
      const [first, last] = [Math.min(from, bar), Math.max(from, bar)];
      const bars = counted[name]?.bars ?? [];
      const sum = bars.slice(first, last + 1).reduce((total, [, , count]) => total + count, 0);
      const text = `${rangeOfBins(bars, first, last)}: ${NUMBER.format(sum)}`;
      point(first, last, first === last ? textOf(name, bar) : text);
    };
    cell.addEventListener("pointerdown", (event) => {
      event.stopPropagation(); // the grid would take it for a click on a row
      if (event.button !== 0 || barAt(event.clientX) < 0) return;
      from = isBins(name) ? barAt(event.clientX) : -1;
      if (from >= 0) cell.setPointerCapture(event.pointerId);
    });
    cell.addEventListener("pointermove", ({ clientX }) => showBar(barAt(clientX, from >= 0)));
    cell.addEventListener("pointerleave", () => {
      if (from < 0) point(-1, -1, "");
    });
    cell.addEventListener("pointerup", ({ clientX }) => {
      if (from < 0) return;
      const bar = barAt(clientX, true);
      chooseBins(name, from, bar);
      from = -1;
      showBar(bar);
    });
    cell.addEventListener("pointercancel", () => {
      from = -1;
      point(-1, -1, "");
    });
    cell.addEventListener("click", (event) => {
      event.stopPropagation();
      const bar = barAt(event.clientX);
      if (isBins(name) || bar < 0) return;
      toggle(name, bar);
      showBar(bar);
    });
  }

  // --- keys ----------------------------------------------------------------------------------

  list.addEventListener("focusout", () => {
    list.hidden = true;
    pictures.get(listed)?.point(-1, -1, "");
  });
  list.addEventListener("keydown", (event) => {
    const { key, shiftKey, altKey, ctrlKey, metaKey } = event;
    const last = (counted[listed]?.bars.length ?? 1) - 1;
    /** @type {Record<string, number>} */
    const places = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last };
    const place = places[key];
    if (ctrlKey || metaKey) return;
    if (key === "Escape" || (altKey && key === "ArrowUp")) leave();
    else if (altKey) return;
    else if (place !== undefined) {
      at = Math.max(0, Math.min(last, place));
      if (!shiftKey || !isBins(listed)) anchor = at;
      drawList();
    } else if (key === "Enter" || key === " ") {
      if (isBins(listed)) chooseBins(listed, anchor, at);
      else toggle(listed, at);
      anchor = at;
      drawList();
    } else return;
    event.preventDefault();
  });

  // --- what Python says ------------------------------------------------------------------------

  function take() {
    const bars = model.get("_bars");
    if (bars.number === number || bars.generation !== generation) return;
    number = bars.number ?? -1;
    isStale = false;
    clearTimeout(timer);
    if (!requests.isPending()) mine.clear();
    if (!bars.problem) counted = bars.columns ?? {};
    root.classList.toggle("idc-grid-old-bars", Boolean(bars.problem));
    line2.title = bars.problem ?? "";
    draw();
  }

  /** If all choices have been carried out, show what Python has. */
  function settle() {
    if (!requests.settle()) return;
    takeShown();
    if (!mine.size || !isShown()) return;
    isStale = true; // if a choice was refused, no new rows come
    requestSoon(AFTER_ROWS_MS);
  }

  function takeShown() {
    if (requests.isPending()) return;
    isUnfolded = model.get("_shows_bars");
    show();
  }

  follow(model, ["_bars"], take, signal);
  follow(model, ["_answered"], settle, signal);
  follow(model, ["_shows_bars"], takeShown, signal);
  signal.addEventListener("abort", () => clearTimeout(timer));
  takeShown();
  return {
    /** Go to the bars of a column, if it has some. @param {number} column From 0. @param {Event} event */
    enter(column, event) {
      event.preventDefault(); // the browser would scroll
      const { name } = columns[column] ?? { name: "" };
      if (!isShown()) return say("Distributions are hidden");
      if (!counted[name]?.bars.length) return say("No distribution here");
      listed = name;
      const chosen = counted[name].bars.findIndex((_, index) => isChosen(name, index));
      at = Math.max(0, chosen);
      anchor = at;
      list.hidden = false;
      drawList();
      list.focus({ preventScroll: true });
    },

    /** @param {GridColumn[]} described @param {HTMLElement[]} headers The boxes of the header. */
    setColumns(described, headers) {
      columns = described;
      pictures = new Map();
      const cells = columns.map(({ name, bars }, index) => {
        if (!bars) return h("div");
        headers[index + 1]?.setAttribute("aria-keyshortcuts", "Alt+ArrowDown");
        const picture = createBarPicture(bars === "bins");
        pictures.set(name, picture);
        listenTo(name, picture);
        return picture.cell;
      });
      const [first, last] = [h("div", "idc-grid-check"), h("div", "idc-grid-more")];
      line2.replaceChildren(first, ...cells, last);
      draw();
      show();
    },

    /** Note that other rows are shown. @param {number} newGeneration @param {number} count */
    setRows(newGeneration, count) {
      if (newGeneration !== generation) isStale = true;
      generation = newGeneration;
      rows = count;
      show();
      take();
    },

    /** Return the filter that was just chosen here as the first sentence about new rows, or "". */
    takeWords() {
      const text = words && performance.now() - wordsAt < SAID_MS ? `${words}. ` : "";
      words = "";
      return text;
    },
  };
}

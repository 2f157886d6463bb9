// The search box. What is typed or pasted goes to Python as {kind: "search", view, number, text,
// uids}, of which one may be missing and "" takes the filter back; the answer is the model's new
// values, and `_answered` = "view:number".

const PAUSE = 200; // ms without a key after which what was typed is sent
const MOST = 8e6; // characters: more would not get through to the kernel

/** The pieces of a text that are set apart, as Python sees them. */
const pieces = (text) => text.split(/[\s,;"'()[\]{}]+/).filter(Boolean);

/** Several lines, several UIDs, or one that is long enough to be whole. */
function isList(text) {
  const trimmed = text.trim();
  if (/[\r\n]/.test(trimmed)) return true;
  const all = pieces(trimmed);
  return (
    all.length > 0 &&
    all.every((one) => one.length > 12 && /^[\d.]+$/.test(one) && one.includes("."))
  );
}

function render({ model, el }) {
  const stop = new AbortController();
  const on = (target, type, listener) =>
    target.addEventListener(type, listener, { signal: stop.signal });

  // --- elements ----------------------------------------------------------------------------

  const root = h("div", "idc-root idc-search");
  root.dataset.lmSuppressShortcuts = "true"; // single keys are commands to JupyterLab
  const box = h("div", "idc-control idc-search-box");
  const lens = h("span", "idc-search-lens");
  lens.setAttribute("aria-hidden", "true");
  const list = h("span", "idc-search-list");
  const input = h("input", "idc-search-input");
  input.type = "text";
  input.autocomplete = "off";
  input.spellcheck = false;
  input.setAttribute("aria-label", "Search descriptions, IDs and collections, or paste UIDs");
  const clear = button("idc-x idc-search-clear", "×", "Clear search", () => {
    apply("");
    input.focus();
  });
  box.append(lens, list, input, clear);
  const found = h("div", "idc-search-found");
  const words = h("span", "idc-search-words");
  words.setAttribute("role", "status");
  const copier = button("idc-link", "copy unknown", "", async () => {
    await copy(model.get("_uids").unknown);
    copier.textContent = "copied";
    copier.focus();
  });
  const remove = button("idc-x", "×", "Remove the UIDs", () => {
    ask({ uids: "" });
    input.focus();
  });
  found.append(words, copier, remove);
  const alert = h("div", "idc-search-alert");
  alert.setAttribute("role", "alert");
  root.append(box, found, alert);
  el.append(root);

  // --- what is searched: one request at a time, the last text wins -----------------------------

  const queue = requests(model, newView());
  let timer = null;
  let lookup = null; // the list of UIDs that is being looked up: {words, typed, left}

  function ask(content) {
    queue.ask({ kind: "search", ...content });
    show();
  }

  function stopTimer() {
    clearTimeout(timer);
    timer = null;
  }

  function send() {
    stopTimer();
    ask({ text: input.value });
  }

  /** Takes a text as typed and sends it at once. */
  function apply(text) {
    input.value = text;
    complain("");
    send();
  }

  /** Looks UIDs up; typed, they stand in the box, and are no search for words. */
  function find(text, typed) {
    if (text.length > MOST) return complain("Too much text: expected 100,000 UIDs at most");
    complain("");
    if (typed) {
      stopTimer();
      input.value = "";
    }
    const count = new Set(pieces(text)).size;
    const words = `${NUMBER.format(count)} ${count === 1 ? "UID" : "UIDs"} …`;
    lookup = { words, typed: typed ? text : "", left: input.value };
    ask(typed ? { uids: text, text: "" } : { uids: text });
  }

  on(input, "input", () => {
    stopTimer();
    // One letter is in nearly everything: it is only searched when asked for.
    if (input.value.trim().length !== 1) timer = setTimeout(send, PAUSE);
    complain("");
    show();
  });
  on(input, "blur", () => (timer === null ? show() : send()));
  on(input, "paste", (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!isList(text)) return;
    event.preventDefault(); // the box would make one line of it, and a page of 100,000 is slow
    find(text, false);
  });
  on(root, "keydown", (event) => {
    event.stopPropagation(); // the notebook has other plans with these keys
    if (event.isComposing || event.target !== input) return;
    if (event.key === "Enter") {
      event.preventDefault();
      if (isList(input.value)) find(input.value, true);
      else send();
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (input.value || !model.get("_uids").count) apply("");
      else ask({ uids: "" });
    }
  });
  on(box, "click", (event) => {
    if (event.target !== clear) input.focus();
  });

  // --- what is shown -------------------------------------------------------------------------

  function complain(text) {
    alert.replaceChildren();
    if (!text) return;
    const area = h("div", "idc-alert");
    area.append(
      h("span", "idc-alert-text", text),
      button("idc-x", "×", "Dismiss", () => {
        complain("");
        input.focus();
      }),
    );
    alert.append(area);
  }

  function show() {
    const waiting = queue.waiting();
    const { count, found: said, unknown } = model.get("_uids");
    // Nobody's typing is overwritten; only a filter that was changed elsewhere shows up here.
    if (!waiting && timer === null && root.getRootNode().activeElement !== input) {
      input.value = model.get("_text");
    }
    list.textContent = lookup?.words ?? count ?? "";
    list.hidden = !list.textContent;
    input.placeholder = list.hidden ? "Search descriptions, IDs, collections; or paste UIDs" : "";
    clear.hidden = !input.value;
    found.hidden = !count;
    words.textContent = said || (count ? `Only series of ${count}` : "");
    copier.hidden = !unknown;
    root.classList.toggle("idc-search-waiting", waiting);
    root.classList.toggle("idc-search-active", Boolean(model.get("_text") || count));
  }

  function onModel() {
    if (queue.settled()) {
      const problem = model.get("_problem");
      complain(problem);
      // What were no UIDs comes back into the box: to be mended, or as words.
      if (lookup && input.value === lookup.left) {
        input.value = problem ? lookup.typed || lookup.left : model.get("_text");
      }
      lookup = null;
    }
    show();
  }

  const forget = [
    onChanges(model, ["_text", "_uids", "_problem", "_answered"], onModel),
    onChanges(model, ["_uids"], () => {
      copier.textContent = "copy unknown";
    }),
  ];
  show();

  return () => {
    for (const one of forget) one();
    clearTimeout(timer);
    stop.abort();
  };
}

export default { render };

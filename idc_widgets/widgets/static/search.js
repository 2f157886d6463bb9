// The search box. To Python: {kind: "search", view, number, text, uids}. Either `text` or `uids`
// may be missing, and "" removes the filter; see `createRequests` for the answer.

/**
 * @typedef {object} SearchTraits
 * @property {string} _text The words of the filter, as typed.
 * @property {{ count?: string, found?: string, unknown?: string }} _uids The UIDs of the filter:
 *   their number and the result of their look-up, in words; the unknown UIDs, one per line.
 * @property {string} _problem Why the last list of UIDs was refused, or "".
 * @property {string} _answered The last answered request, as "view:number".
 */

const TYPING_PAUSE_MS = 200; // after this time without a key, the text is sent
const MAX_CHARACTERS = 8e6; // a longer message does not reach the kernel

/**
 * Split a text into UIDs, at the same characters as Python does.
 *
 * @param {string} text
 */
const split = (text) => text.split(/[\s,;"'()[\]{}]+/).filter(Boolean);

/**
 * Return whether a text is a list of UIDs: several lines, several UIDs, or one UID that is long
 * enough to be complete.
 *
 * @param {string} text
 */
function isList(text) {
  const trimmed = text.trim();
  if (/[\r\n]/.test(trimmed)) return true;
  const words = split(trimmed);
  const isUid = /^(?=.{13})[\d.]*\.[\d.]*$/; // at least 13 characters: digits and dots
  return words.length > 0 && words.every((word) => isUid.test(word));
}

/** @type {import("@anywidget/types").Render<SearchTraits>} */
function render({ model, el }) {
  const removed = new AbortController();

  // --- elements ----------------------------------------------------------------------------

  const root = createRoot("idc-search");
  const box = h("div", "idc-control idc-search-box");
  const lens = h("span", "idc-search-lens");
  lens.setAttribute("aria-hidden", "true");
  const badge = h("span", "idc-search-list");
  const input = h("input", "idc-search-input");
  input.type = "text";
  input.autocomplete = "off";
  input.spellcheck = false;
  input.setAttribute("aria-label", "Search descriptions, IDs and collections, or paste UIDs");
  const clear = button("idc-x", "", "Clear search", () => {
    apply("");
    input.focus();
  });
  box.append(lens, badge, input, clear);
  const result = h("div", "idc-search-found");
  const summary = h("span", "idc-search-words");
  summary.setAttribute("role", "status");
  const copyUnknown = button("idc-link", "copy unknown", "", async () => {
    await copy(model.get("_uids").unknown ?? "");
    copyUnknown.textContent = "copied";
    copyUnknown.focus();
  });
  const remove = button("idc-x", "", "Remove the UIDs", () => {
    request({ uids: "" });
    input.focus();
  });
  result.append(summary, copyUnknown, remove);
  const alert = h("div", "idc-search-alert");
  alert.setAttribute("role", "alert");
  root.append(box, result, alert);
  el.append(root);

  // --- requests: one at a time, the last text wins ----------------------------------------------

  const kernel = watchKernel(model, el, root, removed.signal);
  const requests = createRequests(model, uniqueId(), kernel, removed.signal);
  /** @type {number | null} */
  let typingTimer = null;
  // The list of UIDs that Python is looking up. `words` is what the badge shows, such as "3 UIDs";
  // `typed` is the text of the list if it was typed, else ""; `left` is the text that stays in the box.
  /** @type {{ words: string, typed: string, left: string } | null} */
  let lookup = null;

  /** @param {{ text?: string, uids?: string }} content */
  function request(content) {
    requests.send({ kind: "search", ...content });
    show();
  }

  function stopTypingTimer() {
    if (typingTimer !== null) clearTimeout(typingTimer);
    typingTimer = null;
  }

  function sendText() {
    stopTypingTimer();
    request({ text: input.value });
  }

  /**
   * Put a text into the box and send it at once.
   *
   * @param {string} text
   */
  function apply(text) {
    input.value = text;
    complain("");
    sendText();
  }

  /** Return whether there is anything to clear. */
  function isActive() {
    const { count } = model.get("_uids");
    return Boolean(input.value || typingTimer !== null || model.get("_text") || count);
  }

  /**
   * Look up a list of UIDs.
   *
   * @param {string} text
   * @param {boolean} isTyped Whether the text is in the search box, which is then emptied.
   */
  function lookUp(text, isTyped) {
    if (text.length > MAX_CHARACTERS) {
      complain("Too much text: expected 100,000 UIDs at most");
      return;
    }
    complain("");
    if (isTyped) {
      stopTypingTimer();
      input.value = "";
    }
    const count = new Set(split(text)).size;
    const words = `${NUMBER.format(count)} ${count === 1 ? "UID" : "UIDs"} …`;
    lookup = { words, typed: isTyped ? text : "", left: input.value };
    request(isTyped ? { uids: text, text: "" } : { uids: text });
  }

  input.addEventListener("input", () => {
    stopTypingTimer();
    // Nearly everything matches a single letter, so search for it only on Enter or on leaving.
    if (input.value.trim().length !== 1) typingTimer = setTimeout(sendText, TYPING_PAUSE_MS);
    complain("");
    show();
  });
  input.addEventListener("blur", () => (typingTimer === null ? show() : sendText()));
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!isList(text)) return;
    event.preventDefault(); // the box would join the lines, and is slow with 100,000 of them
    lookUp(text, false);
  });
  root.addEventListener("keydown", (event) => {
    if (event.isComposing || event.target !== input) return;
    if (event.key === "Enter") {
      event.preventDefault();
      if (isList(input.value)) lookUp(input.value, true);
      else sendText();
    } else if (event.key === "Escape" && isActive()) {
      event.preventDefault();
      if (input.value || !model.get("_uids").count) apply("");
      else request({ uids: "" });
    }
  });
  box.addEventListener("click", (event) => {
    if (event.target !== clear) input.focus();
  });

  // --- display -------------------------------------------------------------------------------

  /** @param {string} text Why a list was refused; "" removes the message. */
  function complain(text) {
    const dismiss = () => {
      complain("");
      input.focus();
    };
    alert.replaceChildren(...(text ? [createAlert(text, dismiss)] : []));
  }

  function show() {
    const isPending = requests.isPending();
    const { count, found, unknown } = model.get("_uids");
    // Keep what is being typed: show the model's text only if it was changed elsewhere.
    if (!isPending && typingTimer === null && activeElementNear(root) !== input) {
      input.value = model.get("_text");
    }
    badge.textContent = lookup?.words ?? count ?? "";
    badge.hidden = !badge.textContent;
    input.placeholder = badge.hidden ? "Search descriptions, IDs, collections; or paste UIDs" : "";
    clear.hidden = !input.value;
    result.hidden = !count;
    summary.textContent = found || (count ? `Only series of ${count}` : "");
    copyUnknown.hidden = !unknown;
    root.classList.toggle("idc-search-waiting", isPending);
    root.classList.toggle("idc-search-active", Boolean(model.get("_text") || count));
  }

  function onModel() {
    if (requests.settle()) {
      const problem = model.get("_problem");
      complain(problem);
      // A refused list returns to the box, to be corrected or searched as words.
      if (lookup && input.value === lookup.left) {
        input.value = problem ? lookup.typed || lookup.left : model.get("_text");
      }
      lookup = null;
    }
    show();
  }

  function onUids() {
    copyUnknown.textContent = "copy unknown";
  }

  // --- life ----------------------------------------------------------------------------------

  follow(model, ["_text", "_uids", "_problem", "_answered"], onModel, removed.signal);
  follow(model, ["_uids"], onUids, removed.signal);
  removed.signal.addEventListener("abort", stopTypingTimer);
  show();
  return () => removed.abort();
}

export default { render };

// Functions that all widgets use. A widget has one module, and there is no bundler, so `script()`
// in assets.py joins files as text: first this one, then those that the widget lists, and last the
// file with `render`.
//
// To the type checker, a file without `export` is a script, whose names all files can use; a file
// with `export default` is a module with names of its own. It cannot check that `script()` lists
// every file that a module uses; test_assets.py does.

/**
 * @template {Record<string, any>} Traits
 * @typedef {import("@anywidget/types").AnyModel<Traits>} Model
 */

const NUMBER = new Intl.NumberFormat("en-US");

/**
 * Create an element. Its text is never parsed as HTML.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function h(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/**
 * Create a button.
 *
 * @param {string} className
 * @param {string} [text]
 * @param {string} [label] Tooltip and accessible name, for a text that does not explain the button.
 * @param {() => void} [onClick]
 */
function button(className, text, label, onClick) {
  const element = h("button", className, text);
  element.type = "button";
  if (label) {
    element.title = label;
    element.setAttribute("aria-label", label);
  }
  if (onClick) element.addEventListener("click", onClick);
  return element;
}

/**
 * Create the root element of a widget.
 *
 * @param {string} className
 */
function createRoot(className) {
  const root = h("div", `idc-root ${className}`);
  // JupyterLab takes single keys as commands: without this, typing "a" would insert a cell.
  root.dataset.lmSuppressShortcuts = "true";
  return root;
}

/**
 * Create an alert: a message, and a button that dismisses it if `onDismiss` is given.
 *
 * @param {string} text
 * @param {() => void} [onDismiss]
 */
function createAlert(text, onDismiss) {
  const element = h("div", "idc-alert");
  element.append(h("span", "idc-alert-text", text));
  if (onDismiss) element.append(button("idc-x", "×", "Dismiss", onDismiss));
  return element;
}

/**
 * Copy a text to the clipboard.
 *
 * @param {string} text
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Only pages served over https have `navigator.clipboard`.
    const area = h("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** Return an id that no other element or page view has. */
function uniqueId() {
  // Plain http hosts other than localhost are not a secure context and lack `randomUUID`.
  if (typeof crypto.randomUUID === "function") return `idc-${crypto.randomUUID()}`;
  const words = crypto.getRandomValues(new Uint32Array(4));
  return `idc-${Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("-")}`;
}

/**
 * Call `callback` at each event of a model, until the signal is aborted.
 *
 * @param {Model<any>} model
 * @param {string} event
 * @param {(...args: any[]) => void} callback
 * @param {AbortSignal} signal Aborted when the page view is removed.
 */
function listen(model, event, callback, signal) {
  model.on(event, callback);
  signal.addEventListener("abort", () => model.off(event, callback));
}

/**
 * Call `draw` after any of these traits changes, until the signal is aborted. If several traits
 * change together, each has its own event, but `draw` is called once.
 *
 * @template {Record<string, any>} Traits
 * @param {Model<Traits>} model
 * @param {(keyof Traits & string)[]} names
 * @param {() => void} draw
 * @param {AbortSignal} signal Aborted when the page view is removed.
 */
function follow(model, names, draw, signal) {
  let scheduled = false;
  const schedule = () => {
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(() => {
      scheduled = false;
      if (!signal.aborted) draw();
    });
  };
  for (const name of names) listen(model, `change:${name}`, schedule, signal);
}

/**
 * Send the requests of a page view to Python, one at a time. Requests that are made before the
 * answer are merged into one, in which the latest value of each key wins. Python answers by setting
 * the trait `_answered` to "view:number".
 *
 * @param {Model<any>} model
 * @param {string} view The id of the page view.
 */
function createRequests(model, view) {
  /** @type {string | null} */
  let pending = null; // the request that has not been answered yet, as "view:number"
  /** @type {{ kind: string } | null} */
  let next = null;
  let number = 0;

  /** @param {{ kind: string }} content */
  const sendNow = (content) => {
    pending = `${view}:${++number}`;
    model.send({ ...content, view, number });
  };
  return {
    isPending: () => pending !== null,

    /** @param {{ kind: string, [key: string]: unknown }} content */
    send(content) {
      if (pending) next = { ...next, ...content };
      else sendNow(content);
    },

    /** Look for an answer. Return whether the model shows the last request. */
    settle() {
      if (pending && model.get("_answered") === pending) {
        pending = null;
        if (next) sendNow(next);
        next = null;
      }
      return pending === null;
    },

    /** Send a waiting request at once, so that the next cell sees it even if the kernel is busy. */
    flush() {
      if (next) sendNow(next);
      next = null;
    },
  };
}

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

/** Set the text of an element, unless it has it. @param {Element} element @param {string} text */
function setText(element, text) {
  const node = element.firstChild;
  if (!(node instanceof Text)) element.textContent = text;
  else if (node.data !== text) node.data = text;
}

/** Set an attribute, unless it has the value. @param {Element} element @param {string} name @param {string} value */
function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/**
 * Show on a button how many rows of a grid are picked.
 *
 * @param {HTMLElement} element
 * @param {number} count
 * @param {string} title The title of the grid.
 */
function showPicked(element, count, title) {
  const text = `${NUMBER.format(count)} picked`;
  const rows = title.toLowerCase();
  const sign = h("span", "", " ×");
  sign.setAttribute("aria-hidden", "true");
  element.replaceChildren(text, sign);
  element.title = `Unpick all ${rows}`;
  // A person who controls the page by voice says the text on the button.
  element.setAttribute("aria-label", `${text}, unpick all ${rows}`);
}

/**
 * Create the root element of a widget, which keeps the keys and the focus.
 *
 * @param {string} className
 * @param {(gone: HTMLElement) => HTMLElement | null} [nextFocus] As for `keepFocus`.
 */
function createRoot(className, nextFocus) {
  const root = h("div", `idc-root ${className}`);
  keepKeys(root);
  keepFocus(root, nextFocus);
  return root;
}

/**
 * Hide the keys that are pressed in an element from the notebook. There, single letters are commands:
 * "x" would cut the cell.
 *
 * The browser gets all keys, so that Ctrl+C copies and Ctrl+F searches in the page. Ctrl+S alone
 * goes on to the notebook, which people expect to save from anywhere.
 *
 * @param {HTMLElement} element
 */
function keepKeys(element) {
  // JupyterLab handles a key after the element, so `stopPropagation` is enough. Jupyter Notebook 7
  // handles a key before the element, but ignores it if the target itself has this attribute.
  element.addEventListener("focusin", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    target.dataset.lmSuppressShortcuts = "true";
  });
  element.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
      event.preventDefault(); // the browser would save the page
      element.parentElement?.dispatchEvent(new KeyboardEvent(event.type, event));
    }
  });
}

/**
 * Move the focus on when the element that has it disappears or is disabled. Without a focus in the
 * widget, the next key would be a command to the notebook.
 *
 * @param {HTMLElement} root Gets the focus if nothing in it can have the focus.
 * @param {(gone: HTMLElement) => HTMLElement | null} [next] Gets the element that disappeared, and
 *   returns the element to focus instead. Without `next`, or if that element cannot have the focus,
 *   the focus moves to the element that is now in the same place.
 */
function keepFocus(root, next) {
  /** @type {HTMLElement | null} */
  let focused = null; // the element with the focus, or one that had it and disappeared
  let place = 0; // the index of `focused` among the elements that can have the focus

  root.addEventListener("focusin", (event) => {
    focused = /** @type {HTMLElement} */ (event.target);
    place = focusable(root).indexOf(focused);
  });
  // In the capture phase, this runs before all other listeners, which may change the page.
  root.addEventListener(
    "blur",
    (event) => {
      const to = /** @type {HTMLElement | null} */ (event.relatedTarget);
      // The focus moves to another element, which may be in another shadow tree, as in marimo. If
      // the page changes before the focus arrives there, `onChange` must not bring it back.
      if (to) focused = root.contains(to) ? to : null;
      // If the element has disappeared, `onChange` has moved the focus before this runs.
      setTimeout(() => {
        if (!root.contains(activeElementNear(root))) focused = null;
      });
    },
    { capture: true },
  );
  root.addEventListener("blur", () => root.removeAttribute("tabindex"));

  function onChange() {
    if (!focused || !root.isConnected) return;
    const active = activeElementNear(root);
    const isElsewhere = active && active !== document.body && active !== focused;
    if (isElsewhere || (active === focused && canHaveFocus(focused))) return;
    const elements = focusable(root);
    /** @param {HTMLElement | null | undefined} element */
    const isThere = (element) => element && elements.includes(element);
    const target = [
      focused, // an element that is moved loses the focus
      next?.(focused),
      elements[Math.min(Math.max(place, 0), elements.length - 1)],
    ].find(isThere);
    if (!target) root.tabIndex = -1;
    (target ?? root).focus({ preventScroll: true });
  }
  new MutationObserver(onChange).observe(root, {
    subtree: true,
    childList: true,
    attributeFilter: ["hidden", "disabled", "inert"],
  });
}

/**
 * Return the focused element of the document, or of the shadow tree that an element is in.
 *
 * @param {Element} element
 */
function activeElementNear(element) {
  return /** @type {Document | ShadowRoot} */ (element.getRootNode()).activeElement;
}

/** @param {Element} element */
const canHaveFocus = (element) =>
  element.isConnected && !element.closest("[hidden], :disabled, [inert]");

/**
 * Return the elements that Tab stops at, in order.
 *
 * @param {HTMLElement} root
 */
function focusable(root) {
  /** @type {NodeListOf<HTMLElement>} */
  const candidates = root.querySelectorAll("button, input, summary, [tabindex]");
  return [...candidates].filter(
    (element) =>
      element.tabIndex >= 0 && canHaveFocus(element) && element.getClientRects().length > 0,
  );
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
  if (onDismiss) element.append(button("idc-x", "", "Dismiss", onDismiss));
  return element;
}

/**
 * Copy a text to the clipboard. Return whether it is there.
 *
 * @param {string} text
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Only pages served over https have `navigator.clipboard`.
    const { activeElement } = document;
    const area = h("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const isCopied = document.execCommand("copy");
    area.remove();
    if (activeElement instanceof HTMLElement) activeElement.focus({ preventScroll: true });
    return isCopied;
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

// What people are told about the kernel, in one sentence. Without an answer for SILENT_MS, the
// kernel may be busy, and choices are still taken; they wait for it.
const NO_KERNEL = "No kernel is connected to this widget: run the cell again.";
const SILENT =
  "The kernel does not answer; it may be busy. The last choice is sent again until it answers.";
const SILENT_MS = 10000;

/**
 * Tell people when the kernel has ended or does not answer. While there is no kernel, nothing in
 * the widget can be used. All widgets of a browser share one sentence.
 *
 * @param {Model<any>} model
 * @param {HTMLElement} el The element of the view, where JupyterLab marks widgets without a kernel.
 * @param {HTMLElement} root What is disabled.
 * @param {AbortSignal} signal Aborted when the view is removed.
 * @param {(isGone: boolean) => void} [onGone] Called at each change.
 */
function watchKernel(model, el, root, signal, onGone) {
  let isGone = false;
  /** @type {HTMLElement | null} */
  let said = null; // what this widget says about the kernel
  /** @type {HTMLElement | null} */
  let disabled = null; // what had the focus when the kernel ended
  keepMessages(model);

  /** @param {string} text "" takes back what this widget has said. */
  function say(text) {
    const before = said?.parentElement;
    said?.remove();
    said = null;
    if (before && !before.childElementCount) before.remove();
    if (!text) return null;
    const place = root.closest(".idc-browser") ?? el;
    /** @type {HTMLElement | null} */
    let host = place.querySelector(":scope > .idc-kernel");
    if (!host) {
      host = h("div", "idc-root idc-kernel");
      host.setAttribute("role", "status");
      host.tabIndex = -1;
      keepKeys(host);
      place.append(host);
    }
    said = h("span", "", text);
    host.append(said); // the style sheet shows only the first
    return host;
  }

  // Called when the view gets a size, so when it is put on the page.
  const appearing = new ResizeObserver(() => {
    if (!root.isConnected) return;
    appearing.disconnect();
    if (isGone) say(NO_KERNEL);
  });

  /** @param {boolean} value */
  function setGone(value) {
    if (isGone === value) return;
    isGone = value;
    const active = /** @type {HTMLElement | null} */ (activeElementNear(root));
    const wasOnSentence = active?.matches(".idc-kernel");
    root.inert = value;
    appearing.disconnect();
    // Before the view is on the page, it is not known which browser it belongs to.
    if (value && !root.isConnected) appearing.observe(root);
    const host = say(value && root.isConnected ? NO_KERNEL : "");
    onGone?.(value);
    if (value) {
      disabled = root.contains(active) ? active : null;
      // In an inert element, the focus would be lost, and the next key be a command to the notebook.
      if (disabled) host?.focus({ preventScroll: true });
    } else if (disabled && wasOnSentence) disabled.focus({ preventScroll: true });
  }

  // anywidget calls this with the view as `this`, and the model of the view knows whether there is a
  // kernel. Other front ends call it only when the kernel has ended.
  listen(
    model,
    "comm_live_update",
    /** @this {any} */
    function () {
      setGone(!this?.model?.comm_live);
    },
    signal,
  );
  signal.addEventListener("abort", () => {
    appearing.disconnect();
    say("");
  });
  setGone(el.classList.contains("jupyter-widgets-disconnected"));
  return {
    /** Say that the kernel does not answer, or that it does again. @param {boolean} isSilent */
    showSilence(isSilent) {
      if (!isGone) say(isSilent ? SILENT : "");
    },

    /**
     * Send a message to Python, unless the front end has already lost the kernel.
     *
     * @param {object} content
     */
    send(content) {
      if (isGone) return false;
      try {
        model.send(content);
        return true;
      } catch (error) {
        console.warn("idc_widgets: cannot send a message to the kernel:", error);
        setGone(true);
        return false;
      }
    },

    /** Take in that the kernel has answered. */
    hear() {
      setGone(false);
      say("");
    },
  };
}

/**
 * Keep receiving messages where anywidget has given a model up.
 *
 * On a busy page, the module of a widget can need more than two seconds to load. anywidget then shows
 * the widget, but drops all messages from Python, the earlier ones, too.
 *
 * @param {Model<any>} model
 */
async function keepMessages(model) {
  const real = modelBehind(model);
  const handle = real && Object.getPrototypeOf(Object.getPrototypeOf(real))._handle_comm_msg;
  if (!handle || !real.comm) return;
  try {
    await real._handle_comm_msg({ content: { data: { method: "" } } }); // does nothing
  } catch (error) {
    console.warn("idc_widgets: the module has loaded late:", error);
    real.comm.on_msg(handle.bind(real));
    // The classic Notebook passes no message on after one that could not be handled.
    const comms = real.comm.kernel?.comm_manager?.comms;
    if (comms) comms[real.comm.comm_id] = Promise.resolve(real.comm);
    real.comm.send({ method: "request_state" }, {}, {}, []);
  }
}

/**
 * Return the model of ipywidgets, of which anywidget shows only a part; null if there is none.
 *
 * @param {Model<any>} model
 */
function modelBehind(model) {
  const probe = "_idc_probe";
  /** @type {any} */
  let real = null;
  /** @param {any} source */
  const take = (source) => {
    real = source; // the first argument of every event of a trait
  };
  model.on(`change:${probe}`, take);
  model.set(probe, uniqueId());
  model.off(`change:${probe}`, take);
  if (real?._buffered_state_diff) delete real._buffered_state_diff[probe]; // do not send it
  return real;
}

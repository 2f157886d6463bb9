// Requests: what a click sends to Python. They are carried out in the order in which they were made
// on the page, and sent again until Python answers.

// After this time without an answer, a request is sent again. The time doubles after each try, so that
// a busy kernel does not find hundreds of requests.
const RESEND_MS = 5000;
const MAX_RESEND_MS = 60000;

/**
 * @typedef {{ kind: string, [key: string]: any }} PageRequest
 */

/**
 * What all widgets of a page with the same kernel share.
 *
 * @typedef {object} PageOrder
 * @property {string} page
 * @property {number} last The number of the last request.
 * @property {Set<number>} open The requests that have no answer yet.
 * @property {Set<() => void>} flushes Each sends what waits in one control.
 */

/**
 * Return what a widget shares with the other widgets of the page that have the same kernel.
 *
 * @param {Model<any>} model
 * @returns {PageOrder}
 */
function orderOf(model) {
  // Each widget has a module of its own, so modules can share only what is in `globalThis`.
  const host = /** @type {any} */ (globalThis);
  const key = Symbol.for("idc_widgets.order");
  host[key] ??= new WeakMap();
  const kernel = model.widget_manager ?? host;
  if (!host[key].has(kernel)) {
    host[key].set(kernel, { page: uniqueId(), last: 0, open: new Set(), flushes: new Set() });
  }
  return host[key].get(kernel);
}

/**
 * Send the requests of one control to Python, one at a time. A request contains the whole choice.
 * So requests that are made before the answer are merged into one, in which the latest value of
 * each key wins. Python answers by adding "view:number" to the words of the trait `_answered`.
 *
 * A request without an answer is sent again with the same number, which Python carries out once:
 * the request or the answer may be lost.
 *
 * All controls of a page number their requests together. A kernel may take messages in several
 * threads, and so in another order than they were sent. So each request has the number of the one
 * before it (`after`; 0 if all are answered). Python keeps a request until the one before it arrives.
 *
 * @param {Model<any>} model
 * @param {string} view The id of the control in this page view.
 * @param {ReturnType<typeof watchKernel>} kernel
 * @param {AbortSignal} signal Aborted when the view is removed.
 */
function createRequests(model, view, kernel, signal) {
  const order = orderOf(model);
  /** @type {PageRequest | null} */
  let pending = null; // the request that has not been answered yet
  /** @type {PageRequest | null} */
  let next = null;
  let number = 0;
  let silentSince = 0; // when the first request was sent that has no answer
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {PageRequest} content */
  function sendNow(content) {
    if (!pending) silentSince = Date.now();
    const after = Math.max(0, ...order.open);
    order.open.delete(number);
    order.last += 1;
    number = order.last;
    order.open.add(number);
    // A request that is overtaken may have been lost: the later one contains it.
    pending = { ...pending, ...content };
    send({ ...pending, view, page: order.page, number, after }, RESEND_MS);
  }

  /** @param {object} message @param {number} pause Until the request is sent again. */
  function send(message, pause) {
    clearTimeout(timer);
    // The requests of other widgets do not wait for a kernel that has ended.
    if (!kernel.send(message)) order.open.delete(number);
    timer = setTimeout(() => {
      if (Date.now() - silentSince >= SILENT_MS) kernel.showSilence(true);
      send(message, Math.min(2 * pause, MAX_RESEND_MS));
    }, pause);
  }

  /** Send a waiting request at once, so that a busy kernel handles it before what comes next. */
  function flush() {
    const waiting = next;
    next = null;
    if (waiting) sendNow(waiting);
  }

  order.flushes.add(flush);
  window.addEventListener("pagehide", flush, { signal });
  signal.addEventListener("abort", () => {
    flush();
    order.flushes.delete(flush);
    order.open.delete(number);
    clearTimeout(timer);
  });
  return {
    isPending: () => pending !== null,
    isWaiting: () => next !== null,
    /** Return the requests that Python has not answered, the latest last. */
    unanswered: () => [pending, next].filter((content) => content !== null),
    flush,

    /** @param {PageRequest} content */
    send(content) {
      for (const flushOther of order.flushes) if (flushOther !== flush) flushOther();
      if (pending) next = { ...next, ...content };
      else sendNow(content);
    },

    /** Look for an answer. Return whether the model shows the answer to the last request. */
    settle() {
      if (pending && model.get("_answered").split(" ").includes(`${view}:${number}`)) {
        clearTimeout(timer);
        order.open.delete(number);
        pending = null;
        kernel.hear();
        flush();
      }
      return pending === null;
    },
  };
}

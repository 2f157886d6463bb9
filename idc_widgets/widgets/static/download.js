// The Download button, its folder, and the progress of the download.
//
// To Python: {kind: "start", view, number, folder, sure}, {kind: "folder", view, number, folder}, and
// {kind, view, number} with the kinds "cancel", "pause", "resume" and "retry"; see `createRequests`
// for the answers. Also {kind: "paths"} and, while a download is active, {kind: "poll", number}.
// From Python: {kind: "paths", text} to "paths", and {kind: "status", status} to "poll".

/**
 * @typedef {object} Status
 * @property {number} number Increases with each status.
 * @property {string} state
 * @property {boolean} active
 * @property {string} title
 * @property {string} detail
 * @property {number} percent
 * @property {string} folder
 * @property {number} files How many files have paths that can be copied.
 * @property {boolean} can_retry
 * @property {[name: string, place: string, complete: boolean, outcome: string][]} rows One row per
 *   series, after the end of the job.
 * @property {number} more How many series have no row.
 * @property {string[]} log
 * @property {number[]} rates MB/s, one per second of the last minute.
 */

/**
 * @typedef {object} DownloadTraits
 * @property {{ text: string, hint: string, enabled: boolean }} _offer What the button offers.
 * @property {{ given: string, resolved: string }} _folder
 * @property {Status | {}} _status Empty before the first job.
 * @property {string} _message Why no download could be started, or "".
 * @property {string} _question The preview of a large download to confirm, or "".
 * @property {string} _answered The last answered clicks.
 */

const COPY_FOLDER = "Copy folder path";
const COPY_PATHS = "Copy file paths";
/** @type {Record<string, string>} */
const RETRY_TEXTS = { cancelled: "Resume", failed: "Try again" };
const POLL_MS = 500;
const POLL_TIMEOUT_MS = 5000; // after this time without a reply, poll again
const COPIED_MS = 1500; // how long a button says "Copied"

/**
 * Create an element for a path. If space is short, the middle is cut, because the ends say most.
 *
 * @param {string} path
 */
function createElided(path) {
  const element = h("span", "idc-elided");
  const cut = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"), 0);
  element.append(
    h("span", "idc-elided-head", path.slice(0, cut)),
    h("span", "idc-elided-tail", path.slice(cut)),
  );
  element.title = path;
  return element;
}

/**
 * Shorten every UID of a path to its two ends.
 *
 * @param {string} path
 */
const shortenUids = (path) =>
  path.replace(/[^/]{30,}/g, (part) => `${part.slice(0, 12)}…${part.slice(-6)}`);

/** @type {import("@anywidget/types").Render<DownloadTraits>} */
function render({ model, el }) {
  const removed = new AbortController();

  // --- elements ----------------------------------------------------------------------------

  const root = createRoot("idc-download", () => {
    if (status.active) return cancel;
    return canHaveFocus(retry) ? retry : start;
  });
  const bar = h("div", "idc-download-bar");
  const start = button("idc-download-start");
  const cancel = button("idc-control idc-download-cancel", "Cancel");
  const pause = button("idc-control idc-download-cancel", "Pause");
  const destination = h("label", "idc-download-where");
  const folder = h("input", "idc-control idc-download-folder");
  folder.type = "text";
  folder.spellcheck = false;
  folder.setAttribute("aria-label", "Download folder");
  const resolved = h("span", "idc-download-resolved");
  destination.append(h("span", "", "to"), folder);
  const hint = h("span", "idc-download-hint");
  bar.append(start, cancel, pause, hint, destination, resolved);

  const alert = h("div", "idc-download-alert");
  alert.setAttribute("role", "alert");

  const job = h("div", "idc-download-job");
  job.hidden = true;
  const track = h("div", "idc-download-track");
  track.setAttribute("role", "progressbar");
  track.setAttribute("aria-label", "Download");
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuemax", "100");
  const fill = h("div", "idc-download-fill");
  track.append(fill);
  const line = h("div", "idc-download-line");
  const title = h("span", "idc-download-title");
  title.setAttribute("aria-live", "polite"); // screen readers read the state, but not the progress
  const detail = h("span", "idc-download-detail");
  const sparkline = createSparkline();
  line.append(title, detail, sparkline.svg);
  const actions = h("div", "idc-download-actions");
  const retry = button("idc-control", "", "", () => requests.retry.send({ kind: "retry" }));
  const copyFolder = button("idc-link", COPY_FOLDER, "", () =>
    copyAndConfirm(copyFolder, COPY_FOLDER, status.folder ?? ""),
  );
  const copyPaths = button("idc-link", COPY_PATHS, "", () => kernel.send({ kind: "paths" }));
  actions.append(retry, copyFolder, copyPaths);
  const list = h("ul", "idc-download-list");
  list.setAttribute("aria-label", "Series");
  list.tabIndex = 0;
  const log = h("details", "idc-download-log");
  const logText = h("pre");
  log.append(h("summary", "", "Log"), logText);
  job.append(line, track, actions, list, log);
  root.append(bar, alert, job);
  el.append(root);

  // --- display -------------------------------------------------------------------------------

  /** @type {Partial<Status>} */
  let status = {};
  let isStarting = false;
  let isDisconnected = false; // from the kernel
  /**
   * Buttons that were pressed, and the state of the job at that moment.
   *
   * @type {Map<HTMLButtonElement, string | undefined>}
   */
  const pressed = new Map();

  // --- requests: one control per button, because a click replaces no click on another button -----

  const { signal } = removed;
  const view = uniqueId();
  const kernel = watchKernel(model, el, root, signal, onGone);
  /** @param {string} name */
  const requestsOf = (name) => createRequests(model, `${view}-${name}`, kernel, signal);
  const requests = {
    start: requestsOf("start"),
    retry: requestsOf("retry"),
    cancel: requestsOf("cancel"),
    pause: requestsOf("pause"),
    folder: requestsOf("folder"),
  };

  /**
   * Copy a text; the button confirms it for a moment.
   *
   * @param {HTMLButtonElement} link
   * @param {string} name The usual text of the button.
   * @param {string} text
   */
  async function copyAndConfirm(link, name, text) {
    await copy(text);
    link.textContent = "Copied";
    link.focus();
    setTimeout(() => {
      link.textContent = name;
    }, COPIED_MS);
  }

  function showOffer() {
    const offer = model.get("_offer");
    const isDisabled = !offer.enabled || isDisconnected;
    start.textContent = isStarting ? "Starting…" : offer.text;
    start.disabled = isDisabled;
    start.setAttribute("aria-disabled", String(isStarting || isDisabled)); // so it keeps the focus
    hint.textContent = offer.hint;
    hint.hidden = !hint.textContent || Boolean(status.active);
  }

  function showFolder() {
    const paths = model.get("_folder");
    if (activeElementNear(root) !== folder) folder.value = paths.given;
    resolved.replaceChildren(createElided(paths.resolved));
    resolved.hidden = paths.resolved === paths.given;
    folder.title = paths.resolved;
  }

  function showMessage() {
    const message = model.get("_message");
    const question = model.get("_question");
    alert.replaceChildren();
    if (message) alert.append(createAlert(message));
    if (question) alert.append(createQuestion(question));
  }

  /**
   * Describe a large download, with buttons to start or to decline it.
   *
   * @param {string} question
   */
  function createQuestion(question) {
    const element = h("div", "idc-alert idc-download-question");
    const answers = h("div", "idc-download-actions");
    answers.append(
      button("idc-control", "Download anyway", "", () => begin(true)),
      button("idc-link", "Not now", "", () => {
        model.set("_question", "");
        model.save_changes();
      }),
    );
    element.append(
      h("b", "", "Start this large download?"),
      h("span", "idc-alert-text", question),
      answers,
    );
    return element;
  }

  /** @param {boolean} sure Whether to start however large the download is. */
  function begin(sure) {
    if (isStarting) return;
    isStarting = true;
    requests.start.send({ kind: "start", folder: folder.value, sure });
    showOffer();
  }

  /** @param {Status | {} | null} news */
  function showStatus(news) {
    if (!news || !("number" in news) || news.number <= (status.number ?? 0)) return;
    status = news;
    job.hidden = false;
    root.dataset.state = news.state;
    if (title.textContent !== news.title) title.textContent = news.title;
    detail.textContent = news.detail;
    fill.style.width = `${news.percent}%`;
    track.hidden = !news.active && !news.percent;
    track.setAttribute("aria-valuenow", String(news.percent));
    track.setAttribute("aria-valuetext", `${news.title}, ${news.detail}`);
    sparkline.svg.style.display = news.active && news.rates.length > 1 ? "" : "none";
    if (news.active) sparkline.show(news.rates);
    actions.hidden = news.active;
    retry.hidden = !news.can_retry;
    retry.textContent = RETRY_TEXTS[news.state] ?? "Retry failed";
    copyPaths.hidden = !news.files;
    copyFolder.hidden = track.hidden; // the folder may not exist
    copyFolder.textContent = COPY_FOLDER;
    copyPaths.textContent = COPY_PATHS;
    showRows(news.rows, news.more);
    showLog(news.log.join("\n"));
    showActive(news.active);
  }

  /** @param {string} text */
  function showLog(text) {
    if (logText.textContent !== text) {
      const isAtEnd = logText.scrollTop + logText.clientHeight >= logText.scrollHeight - 4;
      logText.textContent = text;
      if (isAtEnd) logText.scrollTop = logText.scrollHeight;
    }
    log.hidden = !text;
  }

  /** @param {boolean} active Whether a job runs. */
  function showActive(active) {
    start.hidden = active;
    cancel.hidden = !active;
    pause.hidden = !active || status.state === "verifying";
    // A pressed button shows its progress text until the state of the job changes.
    if (pressed.get(pause) !== status.state) pressed.delete(pause);
    if (!active) pressed.delete(cancel);
    const isPaused = status.state === "paused";
    showPressed(pause, isPaused ? "Resume" : "Pause", isPaused ? "Resuming…" : "Pausing…");
    showPressed(cancel, "Cancel", "Cancelling…");
    hint.hidden = active || !hint.textContent;
    folder.disabled = active;
  }

  /**
   * @param {HTMLButtonElement} element
   * @param {string} name
   * @param {string} progressText The text after the button was pressed.
   */
  function showPressed(element, name, progressText) {
    element.setAttribute("aria-disabled", String(pressed.has(element))); // keeps the focus
    element.textContent = pressed.has(element) ? progressText : name;
  }

  /**
   * @param {Status["rows"]} rows
   * @param {number} more
   */
  function showRows(rows, more) {
    const items = rows.map(([name, place, complete, outcome]) => {
      const item = h("li", complete ? "idc-download-ok" : "idc-download-not");
      const mark = h("span", "idc-download-mark");
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", complete ? "complete" : "not complete");
      const series = createElided(shortenUids(name));
      series.classList.add("idc-download-name");
      series.title = place;
      const result = h("span", "idc-download-outcome", outcome);
      result.title = outcome;
      item.append(mark, series, result);
      return item;
    });
    if (more) items.push(h("li", "idc-download-more", `and ${NUMBER.format(more)} more series`));
    list.replaceChildren(...items);
    list.hidden = !items.length;
  }

  // --- actions -------------------------------------------------------------------------------

  /**
   * Send a message when a button is pressed, once per state of the job. Ignore the second click of
   * a double click, because it was meant for the button that was here before.
   *
   * @param {HTMLButtonElement} element
   * @param {ReturnType<typeof createRequests>} control
   * @param {() => string} kind
   */
  function sendOnce(element, control, kind) {
    element.addEventListener("click", (event) => {
      if (pressed.has(element) || event.detail > 1) return;
      pressed.set(element, status.state);
      control.send({ kind: kind() });
      showActive(true);
    });
  }

  start.addEventListener("click", (event) => {
    if (event.detail < 2) begin(false);
  });
  sendOnce(cancel, requests.cancel, () => "cancel");
  sendOnce(pause, requests.pause, () => (status.state === "paused" ? "resume" : "pause"));
  folder.addEventListener("change", () =>
    requests.folder.send({ kind: "folder", folder: folder.value }),
  );
  root.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === folder) {
      event.preventDefault(); // else Enter would also press Download, which gets the focus
      start.focus();
    }
  });

  // --- news ----------------------------------------------------------------------------------

  // Some front ends ignore messages that the kernel sends from a thread, but not replies. So poll.
  /** @type {number | null} */
  let polledAt = null; // when the last poll was sent; null if it was answered
  const timer = setInterval(() => {
    const isWaiting = polledAt !== null && Date.now() - polledAt < POLL_TIMEOUT_MS;
    if (!status.active || isWaiting) return;
    polledAt = Date.now();
    kernel.send({ kind: "poll", number: status.number });
  }, POLL_MS);

  /** @param {{ kind: string, status: Status | null, text: string } | undefined} message */
  function onMessage(message) {
    if (message?.kind === "status") {
      polledAt = null;
      showStatus(message.status);
    } else if (message?.kind === "paths") {
      copyAndConfirm(copyPaths, COPY_PATHS, message.text);
    }
  }

  /**
   * Show that the kernel has ended or was restarted: the last status is no longer true.
   *
   * @param {boolean} isGone
   */
  function onGone(isGone) {
    isDisconnected = isGone;
    showOffer();
    if (!isGone || !status.active) return;
    showStatus({
      .../** @type {Status} */ (status),
      number: (status.number ?? 0) + 0.5,
      active: false,
      state: "cancelled",
      title: "Disconnected",
      detail: "Download then resumes where this one stopped.",
      can_retry: false,
    });
  }

  const onStatus = () => showStatus(model.get("_status"));

  function onAnswer() {
    for (const control of Object.values(requests)) control.settle();
    isStarting = requests.start.isPending();
    showOffer();
  }

  follow(model, ["_offer"], showOffer, signal);
  follow(model, ["_folder"], showFolder, signal);
  follow(model, ["_message", "_question"], showMessage, signal);
  follow(model, ["_status"], onStatus, signal);
  follow(model, ["_answered"], onAnswer, signal);
  listen(model, "msg:custom", onMessage, signal);
  signal.addEventListener("abort", () => clearInterval(timer));
  showActive(false);
  showOffer();
  showFolder();
  showMessage();
  onStatus();
  return () => removed.abort();
}

export default { render };

// The Download button, its folder, and how the download is doing. Python gets {kind: "start",
// folder, sure}, {kind: "folder", folder}, {kind: "cancel" | "pause" | "go on" | "retry" | "paths"}, and {kind: "poll", number} while a
// download is active. The answer to "paths" is {kind: "paths", text}.

const COPY_FOLDER = "Copy folder path";
const COPY_PATHS = "Copy file paths";
const POLL = 500; // ms
const SPARK = [96, 16]; // px: width and height of the line that shows the speed of the last minute
const GIVE_UP = 5000; // ms; then an answer to a poll is no longer expected, and asked for again

/** A path whose last part is never cut: what matters of it is at both ends. */
function elided(path) {
  const element = h("span", "idc-elided");
  const cut = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"), 0);
  element.append(
    h("span", "idc-elided-head", path.slice(0, cut)),
    h("span", "idc-elided-tail", path.slice(cut)),
  );
  element.title = path;
  return element;
}

/** A path in which every UID is shortened to its two ends. */
const brief = (path) => path.replace(/[^/]{30,}/g, (part) => `${part.slice(0, 12)}…${part.slice(-6)}`);

/** Numbers as a line, the latest at the right end, the greatest at the top. */
function sparkline() {
  const [width, height] = SPARK;
  const make = (name, values) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    return element;
  };
  const svg = make("svg", { class: "idc-download-spark", width, height, "aria-hidden": "true" });
  const line = make("polyline", { fill: "none", "stroke-width": 1.5 });
  svg.append(line);
  return {
    svg,
    show(values, most) {
      const top = Math.max(...values, 1e-9);
      const points = values.map((value, at) => [
        width - ((values.length - 1 - at) * width) / (most - 1),
        height - 1 - (value / top) * (height - 2),
      ]);
      line.setAttribute("points", points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
    },
  };
}

function render({ model, el }) {
  const root = h("div", "idc-root idc-download");
  root.dataset.lmSuppressShortcuts = "true"; // single keys are commands to JupyterLab

  const bar = h("div", "idc-download-bar");
  const start = button("idc-download-start");
  const cancel = button("idc-control idc-download-cancel", "Cancel");
  const pause = button("idc-control idc-download-cancel", "Pause", "", () => {
    pause.disabled = true; // until it has been heard
    model.send({ kind: status.state === "paused" ? "go on" : "pause" });
  });
  const where = h("label", "idc-download-where");
  const folder = h("input", "idc-control idc-download-folder");
  folder.type = "text";
  folder.spellcheck = false;
  folder.setAttribute("aria-label", "Download folder");
  const resolved = h("span", "idc-download-resolved");
  where.append(h("span", "", "to"), folder);
  const reason = h("span", "idc-download-hint");
  bar.append(start, cancel, pause, reason, where, resolved);

  const alert = h("div", "idc-download-alert");
  alert.setAttribute("role", "alert");

  const job = h("div", "idc-download-job");
  const track = h("div", "idc-download-track");
  track.setAttribute("role", "progressbar");
  track.setAttribute("aria-label", "Download");
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuemax", "100");
  const fill = h("div", "idc-download-fill");
  track.append(fill);
  const line = h("div", "idc-download-line");
  const title = h("span", "idc-download-title");
  title.setAttribute("aria-live", "polite"); // the state is read out, not every step of it
  const detail = h("span", "idc-download-detail");
  const spark = sparkline();
  line.append(title, detail, spark.svg);
  const actions = h("div", "idc-download-actions");
  const retry = button("idc-control", "", "", () => model.send({ kind: "retry" }));
  const copyFolder = button("idc-link", "", "", () => said(copyFolder, COPY_FOLDER, folderOfJob));
  const copyPaths = button("idc-link", "", "", () => model.send({ kind: "paths" }));
  actions.append(retry, copyFolder, copyPaths);
  const list = h("ul", "idc-download-list");
  list.setAttribute("aria-label", "Series");
  list.tabIndex = 0;
  const log = h("details", "idc-download-log");
  const lines = h("pre");
  log.append(h("summary", "", "Log"), lines);
  job.append(line, track, actions, list, log);
  root.append(bar, alert, job);
  el.append(root);

  let status = {};
  let starting = false;
  const folderOfJob = () => status.folder;

  /** Copies a text; the button says so for a moment. */
  async function said(pressed, name, text) {
    await copy(text());
    pressed.textContent = "Copied";
    pressed.focus();
    setTimeout(() => { pressed.textContent = name; }, 1500);
  }

  function showOffer() {
    const { text, hint, enabled } = model.get("_offer");
    start.textContent = starting ? "Starting…" : text;
    start.disabled = !enabled;
    start.setAttribute("aria-disabled", String(starting || !enabled)); // disabled loses the focus
    reason.textContent = hint;
    reason.hidden = !hint || status.active;
  }

  function showFolder() {
    const { given, resolved: whole } = model.get("_folder");
    if (document.activeElement !== folder) folder.value = given;
    resolved.replaceChildren(elided(whole));
    resolved.hidden = whole === given;
    folder.title = whole;
  }

  function showMessage() {
    const text = model.get("_message");
    alert.replaceChildren();
    if (text) {
      const area = h("div", "idc-alert");
      area.append(h("span", "idc-alert-text", text));
      alert.append(area);
    }
    const question = model.get("_question");
    if (question) alert.append(asked(question));
  }

  /** What a large download would do, and two answers. */
  function asked(question) {
    const area = h("div", "idc-alert idc-download-question");
    const text = h("span", "idc-alert-text", question);
    const yes = button("idc-control", "Download anyway", "", () => begin(true));
    const no = button("idc-link", "Not now", "", () => { area.remove(); start.focus(); });
    area.append(text, yes, no);
    return area;
  }

  function begin(sure) {
    if (starting) return;
    starting = true;
    showOffer();
    model.send({ kind: "start", folder: folder.value, sure });
  }

  function showStatus(news) {
    if (!news?.number || news.number <= (status.number ?? 0)) return;
    status = news;
    const { active, percent, rows } = status;
    job.hidden = false;
    root.dataset.state = status.state;
    if (title.textContent !== status.title) title.textContent = status.title;
    detail.textContent = status.detail;
    fill.style.width = `${percent}%`;
    track.setAttribute("aria-valuenow", String(percent));
    track.setAttribute("aria-valuetext", `${status.title}, ${status.detail}`);
    spark.svg.style.display = active && status.rates.length > 1 ? "" : "none";
    if (active) spark.show(status.rates, status.most_rates);
    actions.hidden = active;
    retry.hidden = !status.can_retry;
    retry.textContent = status.state === "cancelled" ? "Go on" : "Retry failed";
    copyPaths.hidden = !status.files;
    copyFolder.textContent = COPY_FOLDER;
    copyPaths.textContent = COPY_PATHS;
    showRows(rows, status.more);
    const text = status.log.join("\n");
    if (lines.textContent !== text) {
      const atEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 4;
      lines.textContent = text;
      if (atEnd) lines.scrollTop = lines.scrollHeight;
    }
    log.hidden = !text;
    showActive(active);
  }

  function showActive(active) {
    const focused = document.activeElement;
    start.hidden = active;
    cancel.hidden = !active;
    pause.hidden = !active || status.state === "verifying";
    pause.disabled = false;
    pause.textContent = status.state === "paused" ? "Go on" : "Pause";
    reason.hidden = active || !reason.textContent;
    if (!active) {
      cancel.setAttribute("aria-disabled", "false");
      cancel.textContent = "Cancel";
    }
    folder.disabled = active;
    // The button that had the focus is gone: the other one takes its place.
    if (active && focused === start) cancel.focus();
    if (!active && focused === cancel) start.focus();
  }

  function showRows(rows, more) {
    const items = rows.map(([name, place, complete, outcome]) => {
      const item = h("li", complete ? "idc-download-ok" : "idc-download-not");
      const mark = h("span", "idc-download-mark", complete ? "✓" : "✕");
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", complete ? "complete" : "not complete");
      const series = h("span", "idc-download-name", brief(name));
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

  // --- what a person does ---------------------------------------------------------------------

  start.addEventListener("click", () => begin(false));
  cancel.addEventListener("click", () => {
    if (cancel.getAttribute("aria-disabled") === "true") return;
    cancel.setAttribute("aria-disabled", "true");
    cancel.textContent = "Cancelling…";
    model.send({ kind: "cancel" });
  });
  folder.addEventListener("change", () => model.send({ kind: "folder", folder: folder.value }));
  root.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the notebook has other plans with these keys
    if (event.key === "Enter" && event.target === folder) folder.blur();
  });

  // --- news ------------------------------------------------------------------------------------

  // Some front ends do not show what a kernel sends from a thread, only what it answers.
  let polled = null; // when the poll was sent that was not answered yet
  const timer = setInterval(() => {
    const waiting = polled !== null && Date.now() - polled < GIVE_UP;
    if (!status.active || waiting) return;
    polled = Date.now();
    model.send({ kind: "poll", number: status.number });
  }, POLL);

  function onMessage(message) {
    if (message?.kind === "status") {
      polled = null;
      showStatus(message.status);
    } else if (message?.kind === "answer") {
      starting = false;
      showOffer();
    } else if (message?.kind === "paths") {
      said(copyPaths, COPY_PATHS, () => message.text);
    }
  }

  const shows = {
    _question: showMessage,
    _offer: showOffer,
    _folder: showFolder,
    _message: showMessage,
    _status: () => showStatus(model.get("_status")),
  };
  job.hidden = true;
  showActive(false);
  for (const [name, show] of Object.entries(shows)) {
    model.on(`change:${name}`, show);
    show();
  }
  model.on("msg:custom", onMessage);

  return () => {
    clearInterval(timer);
    for (const [name, show] of Object.entries(shows)) model.off(`change:${name}`, show);
    model.off("msg:custom", onMessage);
  };
}

export default { render };

// The Download button, its folder, and how the download is doing. Python gets {kind: "start",
// folder, sure}, {kind: "folder", folder}, {kind: "cancel" | "pause" | "go on" | "retry" | "paths"},
// and {kind: "poll", number} while a download is active. The answer to "paths" is {kind: "paths",
// text}.

const COPY_FOLDER = "Copy folder path";
const COPY_PATHS = "Copy file paths";
const RETRY = { cancelled: "Go on", failed: "Try again" };
const POLL = 500; // ms
const SPARK = [96, 16]; // px: width and height of the line that shows the speed of the last minute
const SPARK_LEAST = 15; // s: what the width stands for at first, so that there is something to see
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
const brief = (path) =>
  path.replace(/[^/]{30,}/g, (part) => `${part.slice(0, 12)}…${part.slice(-6)}`);

/** Numbers as a line, the latest at the right end, the greatest at the top. */
function sparkline() {
  const [width, height] = SPARK;
  const make = (name, values) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    return element;
  };
  const svg = make("svg", { class: "idc-download-spark", width, height, "aria-hidden": "true" });
  const hint = make("title", {});
  const area = make("polygon", { class: "idc-download-area" });
  const line = make("polyline", { fill: "none", "stroke-width": 1.5 });
  svg.append(hint, area, line);
  return {
    svg,
    show(values) {
      const top = Math.max(...values, 1e-9);
      const span = Math.max(SPARK_LEAST, values.length);
      const left = (at) => (width - ((values.length - 1 - at) * width) / (span - 1)).toFixed(1);
      const above = (value) => (height - 1 - (value / top) * (height - 2)).toFixed(1);
      const points = values.map((value, at) => `${left(at)},${above(value)}`).join(" ");
      hint.textContent = `Speed of the last minute, at most ${top.toFixed(1)} MB/s`;
      line.setAttribute("points", points);
      area.setAttribute("points", `${left(0)},${height} ${points} ${width},${height}`);
    },
  };
}

function render({ model, el }) {
  const root = h("div", "idc-root idc-download");
  root.dataset.lmSuppressShortcuts = "true"; // single keys are commands to JupyterLab

  const bar = h("div", "idc-download-bar");
  const start = button("idc-download-start");
  const cancel = button("idc-control idc-download-cancel", "Cancel");
  const pause = button("idc-control idc-download-cancel", "Pause");
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
  let gone = false; // the kernel
  const pressed = new Map(); // button → the state in which it was pressed
  const say = (one, name, doing) => {
    one.setAttribute("aria-disabled", String(pressed.has(one))); // disabled, it loses the focus
    one.textContent = pressed.has(one) ? doing : name;
  };
  const folderOfJob = () => status.folder;

  /** Copies a text; the button says so for a moment. */
  async function said(link, name, text) {
    await copy(text());
    link.textContent = "Copied";
    link.focus();
    setTimeout(() => {
      link.textContent = name;
    }, 1500);
  }

  function showOffer() {
    const { text, hint: why, enabled } = model.get("_offer");
    const hint = gone ? "The kernel has ended: run the cell again." : why;
    start.textContent = starting ? "Starting…" : text;
    start.disabled = !enabled || gone;
    start.setAttribute("aria-disabled", String(starting || start.disabled)); // keeps the focus
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
    const answers = h("div", "idc-download-actions");
    answers.append(
      button("idc-control", "Download anyway", "", () => begin(true)),
      button("idc-link", "Not now", "", () => {
        start.focus();
        model.set("_question", "");
        model.save_changes();
      }),
    );
    area.append(
      h("b", "", "Start this large download?"),
      h("span", "idc-alert-text", question),
      answers,
    );
    return area;
  }

  function begin(sure) {
    if (starting) return;
    starting = true;
    start.focus(); // the question goes, and may have it
    showOffer();
    model.send({ kind: "start", folder: folder.value, sure });
  }

  function showStatus(news) {
    if (!news?.number || news.number <= (status.number ?? 0)) return;
    const focused = root.contains(document.activeElement) ? document.activeElement : null;
    status = news;
    const { active, percent, rows } = status;
    job.hidden = false;
    root.dataset.state = status.state;
    if (title.textContent !== status.title) title.textContent = status.title;
    detail.textContent = status.detail;
    fill.style.width = `${percent}%`;
    track.hidden = !active && !percent;
    track.setAttribute("aria-valuenow", String(percent));
    track.setAttribute("aria-valuetext", `${status.title}, ${status.detail}`);
    spark.svg.style.display = active && status.rates.length > 1 ? "" : "none";
    if (active) spark.show(status.rates);
    actions.hidden = active;
    retry.hidden = !status.can_retry;
    retry.textContent = RETRY[status.state] ?? "Retry failed";
    copyPaths.hidden = !status.files;
    copyFolder.hidden = track.hidden; // it may not be there
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
    showActive(active, focused);
  }

  function showActive(active, focused) {
    start.hidden = active;
    cancel.hidden = !active;
    pause.hidden = !active || status.state === "verifying";
    // A button that was pressed says so until it has been heard.
    if (pressed.get(pause) !== status.state) pressed.delete(pause);
    if (!active) pressed.delete(cancel);
    const resting = status.state === "paused";
    say(pause, resting ? "Go on" : "Pause", resting ? "Going on…" : "Pausing…");
    say(cancel, "Cancel", "Cancelling…");
    reason.hidden = active || !reason.textContent;
    folder.disabled = active;
    // Without the focus, single keys would be commands to the notebook: when what had it is gone,
    // its successor takes it.
    if (!focused?.closest("[hidden], :disabled")) return;
    if (active) cancel.focus();
    else (retry.hidden ? start : retry).focus();
  }

  /** The kernel has ended or was restarted: what it said last is no longer true. */
  function onDisconnected() {
    gone = true;
    showOffer();
    if (!status.active) return;
    showStatus({
      ...status,
      number: status.number + 0.5,
      active: false,
      state: "cancelled",
      title: "Disconnected",
      detail: "Download then goes on where this one stopped.",
      can_retry: false,
    });
  }

  function showRows(rows, more) {
    const items = rows.map(([name, place, complete, outcome]) => {
      const item = h("li", complete ? "idc-download-ok" : "idc-download-not");
      const mark = h("span", "idc-download-mark", complete ? "✓" : "✕");
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", complete ? "complete" : "not complete");
      const series = elided(brief(name));
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

  // --- what a person does ---------------------------------------------------------------------

  // The second click of two was meant for the button that was here before.
  start.addEventListener("click", (event) => {
    if (event.detail < 2) begin(false);
  });
  for (const [one, kind] of [
    [cancel, () => "cancel"],
    [pause, () => (status.state === "paused" ? "go on" : "pause")],
  ]) {
    one.addEventListener("click", (event) => {
      if (pressed.has(one) || event.detail > 1) return;
      pressed.set(one, status.state);
      model.send({ kind: kind() });
      showActive(true);
    });
  }
  folder.addEventListener("change", () => model.send({ kind: "folder", folder: folder.value }));
  root.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the notebook has other plans with these keys
    if (event.key === "Enter" && event.target === folder) {
      event.preventDefault(); // or it would press the button that it leads to
      start.focus();
    }
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
  model.on("comm_live_update", onDisconnected);

  return () => {
    clearInterval(timer);
    for (const [name, show] of Object.entries(shows)) model.off(`change:${name}`, show);
    model.off("msg:custom", onMessage);
    model.off("comm_live_update", onDisconnected);
  };
}

export default { render };

// Put before the script of every widget, see look.py.

const NUMBER = new Intl.NumberFormat("en-US");

/** An element; text is set as text, whatever it holds. */
function h(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** A button; its label is what it is called where its text does not say so. */
function button(className, text, label, onclick) {
  const element = h("button", className, text);
  element.type = "button";
  if (label) {
    element.title = label;
    element.setAttribute("aria-label", label);
  }
  if (onclick) element.addEventListener("click", onclick);
  return element;
}

/** Puts a text on the clipboard. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages that do not come over https have no clipboard, but this.
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

/** Calls `draw` once for all traits that change together: each arrives as an event of its own. */
function onChanges(model, names, draw) {
  let waiting = false;
  let stopped = false;
  const changed = () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      if (!stopped) draw();
    });
  };
  for (const name of names) model.on(`change:${name}`, changed);
  return () => {
    stopped = true;
    for (const name of names) model.off(`change:${name}`, changed);
  };
}

/**
 * Requests to Python, one at a time: what is wanted meanwhile is merged, the latest of each key
 * wins, and is sent after the answer, which is the trait `_answered` = "view:number".
 */
function requests(model, view) {
  let asked = null;
  let wanted = null;
  let number = 0;
  const send = (content) => {
    asked = `${view}:${++number}`;
    model.send({ ...content, view, number });
  };
  return {
    waiting: () => asked !== null,
    ask(content) {
      if (asked) wanted = { ...wanted, ...content };
      else send(content);
    },
    /** Takes the answer in; true if the model now shows what was asked for last. */
    settled() {
      if (asked && model.get("_answered") === asked) {
        asked = null;
        if (wanted) send(wanted);
        wanted = null;
      }
      return asked === null;
    },
    /** Sends at once what waits: whoever runs a cell next means it, however busy the kernel is. */
    flush() {
      if (wanted) send(wanted);
      wanted = null;
    },
  };
}

let views = 0;
const newView = () => `idc-${Date.now().toString(36)}-${++views}`;

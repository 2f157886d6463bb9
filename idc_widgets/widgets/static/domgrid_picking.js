// Picks rows, and shows how many are picked.

/** @param {GridView} view @param {HowToPick} how @param {number} row @param {PickBase} base */
function pickRows(view, how, row, base) {
  const { picks, count } = view;
  const chosen = pickedRanges(how, base.ranges, { anchor: view.anchor, row, count });
  if (how === "only" || how === "toggle") view.anchor = row;
  if (!picks.choose(chosen, base)) return;
  view.drawn = { generation: base.generation, ranges: chosen };
  showPicks(view);
  sayPicks(view);
}

/** @param {GridView} view */
function pickAllOrNone(view) {
  pickRows(view, view.drawn.ranges.length ? "none" : "all", 0, view.drawn);
}

/** @param {GridView} view */
function unpickAll(view) {
  view.picks.clear();
  view.drawn = { ...view.drawn, ranges: [] };
  showPicks(view);
  sayPicks(view);
}

/** @param {GridView} view */
function sayPicks({ picks, parts }) {
  const number = countRows(picks.ranges());
  parts.say(number ? `${NUMBER.format(number)} picked` : "Nothing picked");
}

/** @param {GridView} view */
function showPicks(view) {
  const { root, picked, sheet } = view.parts;
  const number = countRows(view.picks.ranges());
  const hadFocus = activeElementNear(root) === picked;
  picked.hidden = number === 0;
  showPicked(picked, number, view.model.get("_title"));
  if (hadFocus && number === 0) sheet.focus({ preventScroll: true });
  view.header.setPicked(number, view.count);
  drawLater(view);
}

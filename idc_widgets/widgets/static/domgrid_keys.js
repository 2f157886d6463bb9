// The keyboard of a grid. It is one tab stop: the arrows move the current cell, which
// `aria-activedescendant` names. The row above the first is the header.

/**
 * @typedef {object} KeyActions What keys do.
 * @property {() => CellPosition} current
 * @property {() => { rows: number, columns: number, page: number }} size
 * @property {(row: number, column: number) => void} moveTo Move the current cell, and bring it in sight.
 * @property {(how: "only" | "toggle" | "range" | "all") => void} pick
 * @property {(column: number) => void} sort
 * @property {(column: number, direction: number) => void} resize
 * @property {() => void} copy
 * @property {() => void} openMenu Open the menu of the current row.
 * @property {() => void} showDetails Show everything about the current row.
 */

/**
 * Return what handles the keys that are pressed in a grid.
 *
 * @param {KeyActions} actions
 */
function createGridKeys({
  current,
  size,
  moveTo,
  pick,
  sort,
  resize,
  copy,
  openMenu,
  showDetails,
}) {
  /** Return where a key moves the current cell; null if it does not. @param {KeyboardEvent} event @returns {CellPosition | null} */
  function target({ key, ctrlKey, metaKey }) {
    const { row, column } = current();
    const { rows, columns, page } = size();
    const isWhole = ctrlKey || metaKey; // all of the grid instead of the row
    switch (key) {
      case "ArrowDown":
        return { row: Math.min(rows - 1, row + 1), column };
      case "ArrowUp":
        return { row: Math.max(-1, row - 1), column };
      case "ArrowRight":
        return { row, column: Math.min(columns - 1, column + 1) };
      case "ArrowLeft":
        return { row, column: Math.max(0, column - 1) };
      case "PageDown":
        return { row: Math.min(rows - 1, Math.max(0, row) + page), column };
      case "PageUp":
        return { row: Math.max(0, row - page), column };
      case "Home":
        return { row: isWhole ? 0 : row, column: 0 };
      case "End":
        return { row: isWhole ? rows - 1 : row, column: columns - 1 };
      default:
        return null;
    }
  }

  /** Handle a key with Ctrl or Cmd. Return whether it is one of ours. @param {KeyboardEvent} event */
  function command(event) {
    if (event.shiftKey || event.altKey) return false;
    const letter = latinLetter(event);
    if (letter === "a") pick("all");
    else if (letter === "c") copy();
    else return false;
    return true;
  }

  /** Handle a key that does not move. Return whether it is one of ours. @param {KeyboardEvent} event */
  function act({ key, shiftKey }) {
    const { row, column } = current();
    const isMenuKey = key === "ContextMenu" || (key === "F10" && shiftKey);
    const isButton = column === size().columns - 1 && (key === " " || key === "Enter");
    if (row >= 0 && (isMenuKey || isButton)) openMenu();
    else if (key !== " " && key !== "Enter") return false;
    else if (row >= 0) pick(shiftKey ? "range" : key === " " ? "toggle" : "only");
    else if (column > 0) sort(column);
    else pick("all");
    return true;
  }

  /** @param {KeyboardEvent} event */
  return (event) => {
    if (event.isComposing) return;
    if (event.altKey) {
      if (event.key !== "Enter" || current().row < 0) return;
      event.preventDefault();
      showDetails();
      return;
    }
    const { key, shiftKey } = event;
    const before = current();
    const isSideways = key === "ArrowLeft" || key === "ArrowRight";
    const next = target(event);
    if (before.row < 0 && shiftKey && isSideways) {
      resize(before.column, key === "ArrowLeft" ? -1 : 1);
    } else if (next) {
      moveTo(next.row, next.column);
      if (shiftKey && next.row >= 0 && next.row !== before.row) pick("range");
    } else if (!(event.ctrlKey || event.metaKey ? command(event) : act(event))) return;
    event.preventDefault();
  };
}

/**
 * Return the small Latin letter of a key, also with Caps Lock, and on a keyboard of another alphabet.
 *
 * @param {KeyboardEvent} event
 */
function latinLetter({ key, code }) {
  return (/^[ -~]$/.test(key) ? key : code.replace(/^Key/, "")).toLowerCase();
}

"""Closes the widgets that a notebook cell showed before, when the cell runs again.

ipywidgets keeps every widget that was not closed, and a notebook only replaces its output. So each
run of a cell with ``IDCBrowser()`` would leave a browser in memory, which nobody can see.

A cell *uses* the widgets that it made (`note_made`) or showed (`note_shown`). When a cell has run
again, the uses of its earlier run end. A widget without uses is closed, unless a variable of the
user leads to it or it is in a box that is open.

JupyterLab, Jupyter Notebook 7 and VS Code send the id of a cell with its code. Elsewhere, as in
Colab, two cells with the same code cannot be told apart, so nothing is closed.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from IPython import get_ipython
from IPython.core.interactiveshell import InteractiveShell
from ipywidgets import Box, Output, Widget
from ipywidgets.widgets import widget as widget_module

from ..download import DownloadJob
from .state import BrowserState

__all__ = ["note_made", "note_shown"]

#: Limits of the search from variables to widgets: the references in a chain, and all objects.
MAX_REFERENCE_DEPTH = 6
MAX_FOLLOWED_OBJECTS = 20_000

#: Variables may lead to many objects of one class, such as paths of files. At each distance from
#: the variables, only so many of them are followed; containers and widgets always are.
MAX_ALIKE = 1_000

#: The search ends at objects of these types: they lead to all widgets that observe them, or to
#: everything.
_OPAQUE = (Widget, BrowserState, DownloadJob, InteractiveShell, ModuleType, type)

#: Classes whose objects are followed, however many there are.
_ALWAYS_FOLLOWED = (Widget, dict, list, tuple, set, frozenset)

#: The key in `_uses` for uses that never end: by a callback, an `Output`, or a cell without an id.
_ELSEWHERE = ""

_log = logging.getLogger(__name__)


class _Run(NamedTuple):
    """One run of a cell: the id of the cell, and the id of the message that asked for the run."""

    cell: str
    message: str


#: Widget → cell → the last run of this cell that used the widget.
_uses: WeakKeyDictionary[Widget, dict[str, str]] = WeakKeyDictionary()

#: The shells whose cells are watched; normally there is only one.
_watched: WeakSet[InteractiveShell] = WeakSet()


def note_made(widget: Widget) -> None:
    """Note that the running cell made a widget; without a running cell, do nothing."""
    shell = get_ipython()
    run = _current_run(shell)
    if run is not None:
        _watch(shell)
        _uses.setdefault(widget, {})[run.cell] = run.message


def note_shown(widget: Widget) -> None:
    """Note that a widget is shown: by the running cell or, if that is not known, elsewhere."""
    shell = get_ipython()
    if shell is None:
        return
    run = _current_run(shell)
    uses = _uses.setdefault(widget, {})
    if run is None or _is_captured(run):
        uses[_ELSEWHERE] = ""
    else:
        _watch(shell)
        uses[run.cell] = run.message


def _current_run(shell: Any) -> _Run | None:
    """Return the current run of a cell in the main thread.

    Return None if no cell runs there, or if the cell has no id.
    """
    if not hasattr(shell, "get_parent"):  # no shell, or a shell in a terminal
        return None
    if threading.current_thread() is not threading.main_thread():
        return None
    parent = shell.get_parent() or {}
    header = parent.get("header") or {}
    cell = (parent.get("metadata") or {}).get("cellId")
    if header.get("msg_type") != "execute_request" or not cell:
        return None
    return _Run(str(cell), str(header.get("msg_id")))


def _is_captured(run: _Run) -> bool:
    """Return whether an `Output` widget, perhaps in another cell, captures the output."""
    return any(
        widget.msg_id == run.message for widget in _open_widgets() if isinstance(widget, Output)
    )


def _watch(shell: InteractiveShell) -> None:
    """Call `_after_cell` after the running cell and after every later one."""
    if shell not in _watched:
        shell.events.register("post_run_cell", _after_cell)
        _watched.add(shell)


def _after_cell(_result: object) -> None:
    """End the uses by earlier runs of the finished cell, and close widgets without a use."""
    shell = get_ipython()
    run = _current_run(shell)
    if run is None:
        return
    unused = []
    for widget, uses in list(_uses.items()):
        if uses.get(run.cell, run.message) != run.message:
            del uses[run.cell]
        if not uses:
            unused.append(widget)
    if not unused:
        return
    # Functions lead to all variables, and so to the history of outputs, which does not count.
    skipped = [shell.user_ns, shell.user_ns_hidden, shell.user_ns.get("_oh")]
    kept = _reachable(_user_values(shell), unused, skipped)
    for widget in unused:
        if widget.comm is not None and (id(widget) in kept or _is_in_a_box(widget)):
            continue  # it is examined again after the next cell
        _uses.pop(widget, None)
        try:
            widget.close()
        except Exception:
            _log.exception("cannot close a widget of an earlier run of this cell")
        _forget(shell, widget)


def _forget(shell: InteractiveShell, widget: Widget) -> None:
    """Remove a closed widget from the history of outputs, which keeps everything in memory."""
    outputs = shell.user_ns.get("_oh", {})
    for number in [number for number, value in outputs.items() if value is widget]:
        del outputs[number]
    for names in (shell.user_ns, shell.user_ns_hidden, vars(shell.displayhook)):
        for name in [name for name, value in names.items() if value is widget]:
            if name in ("_", "__", "___"):
                names[name] = ""  # as at the start of the kernel
            elif name.startswith("_"):
                del names[name]


def _is_in_a_box(widget: Widget) -> bool:
    boxes = (box for box in _open_widgets() if isinstance(box, Box))
    return any(child is widget for box in boxes for child in box.children)


def _open_widgets() -> list[Widget]:
    instances = getattr(widget_module, "_instances", None)
    if instances is None:  # ipywidgets 7
        instances = Widget.widgets
    return list(instances.values())


def _user_values(shell: InteractiveShell) -> Iterator[Any]:
    """Yield the values of the user's variables, without IPython's history of outputs."""
    hidden = shell.user_ns_hidden
    for name, value in list(shell.user_ns.items()):
        if name not in hidden or hidden[name] is not value:
            yield value


def _reachable(
    values: Iterable[Any], widgets: Iterable[Widget], skipped: Iterable[object]
) -> set[int]:
    """Return the `id` of each widget that can be reached from `values` without using `skipped`.

    References are followed through containers, functions and objects of any class (see also
    `MAX_ALIKE`). If there are too many to follow, all widgets count as reachable.
    """
    wanted = {id(widget) for widget in widgets}
    reached: set[int] = set()
    seen = {id(value) for value in skipped}
    level = list(values)
    for _ in range(MAX_REFERENCE_DEPTH):
        following: list[Any] = []
        for value in level:
            if id(value) in seen or not gc.is_tracked(value):
                continue
            seen.add(id(value))
            if id(value) in wanted:
                reached.add(id(value))
            if len(seen) > MAX_FOLLOWED_OBJECTS:
                return wanted
            if not isinstance(value, _OPAQUE):
                following += gc.get_referents(value)
        level = _few_alike(following)
    return reached


def _few_alike(objects: list[Any]) -> list[Any]:
    """Return all containers and widgets, and at most `MAX_ALIKE` other objects of each class."""
    if len(objects) <= MAX_ALIKE:
        return objects
    counts: Counter[type] = Counter()
    kept = []
    for value in objects:
        kind = type(value)
        counts[kind] += 1
        if counts[kind] <= MAX_ALIKE or issubclass(kind, _ALWAYS_FOLLOWED):
            kept.append(value)
    return kept

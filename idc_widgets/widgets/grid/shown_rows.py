"""Remembers which rows of a grid each page shows, and where each page view has scrolled to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...query import RowSource

__all__ = ["ShownRows"]

#: Replaced rows are kept for clicks that are still on their way. These are the limits: generations,
#: and rows of all generations together. Quick clicks make many generations before the page has
#: received the first. Replaced rows take no memory if they can be computed again; those of another
#: database take some hundred bytes each.
_MAX_GENERATIONS = 64
_MAX_KEPT_ROWS = 8_000_000
#: How many pages are remembered, and how many page views.
_MAX_VIEWS = 16


class ShownRows:
    """The rows that pages show, or showed a moment ago.

    Three terms:

    - A *generation* is the number of a `RowSource` that a grid shows; each new source has the next
      number. A page reports every click with the generation that it had at that moment.
    - A *page* is a browser tab. It has one copy of the rows, so it shows one generation.
    - A *page view* is one place on a page where the grid is shown, ``view`` in messages. Page views
      scroll independently. (In `Turns`, a view is something else.)

    The messages of a page arrive in order. So once a page has requested rows of a generation, it
    reports no clicks on earlier generations, and they are forgotten when no page needs them. Only
    the previous one is kept: a kernel may handle a click, and the request after it, in two threads.
    """

    def __init__(self) -> None:
        self._sources: dict[int, RowSource] = {}  # by generation
        self._pages: dict[str, int] = {}  # page → generation
        self._windows: dict[str, tuple[int, int]] = {}  # by page view, of the present generation

    def start(self, generation: int, rows: RowSource) -> None:
        """Begin a generation. Every page view that still exists will request a window of it."""
        for earlier in self._sources.values():
            earlier.free()
        self._sources[generation] = rows
        self._windows.clear()
        self._forget()

    def rows(self, generation: int) -> RowSource | None:
        """Return the rows of a generation; None if they have been forgotten."""
        return self._sources.get(generation)

    def hear(self, content: Mapping[str, Any]) -> None:
        """Note the page of a message and the generation that it shows, if the message has them."""
        page, generation = content.get("page"), content.get("generation")
        if isinstance(page, str) and isinstance(generation, int):
            self._pages.pop(page, None)
            self._pages[page] = generation
            _keep_last(self._pages, _MAX_VIEWS)
            self._forget()

    def set_window(self, view: str, start: int, stop: int) -> None:
        """Remember that a page view shows the rows [start, stop); forget it if there are none."""
        self._windows.pop(view, None)
        if start < stop:
            self._windows[view] = (start, stop)
        _keep_last(self._windows, _MAX_VIEWS)

    def windows(self) -> list[tuple[int, int]]:
        """Return the rows that page views show as (start, stop), sorted and without overlaps."""
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(self._windows.values()):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
            else:
                merged.append((start, stop))
        return merged

    def clear(self) -> None:
        """Forget everything."""
        self._sources.clear()
        self._pages.clear()
        self._windows.clear()

    def _forget(self) -> None:
        _keep_last(self._sources, _MAX_GENERATIONS)
        needed = [generation for generation in self._pages.values() if generation in self._sources]
        first = min(needed, default=0) - 1
        for generation in [number for number in self._sources if number < first]:
            del self._sources[generation]
        kept_rows = 0
        for generation, rows in reversed(list(self._sources.items())):
            kept_rows += len(rows)
            if kept_rows > _MAX_KEPT_ROWS:
                del self._sources[generation]


def _keep_last(values: dict[Any, Any], limit: int) -> None:
    """Remove the oldest entries of a dict until it has at most `limit`."""
    for key in list(values)[: max(0, len(values) - limit)]:
        del values[key]

"""How widgets close: they undo what they set up, and close the widgets that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ipywidgets import Layout, Widget
from traitlets import HasTraits

__all__ = ["Closable", "close_whole"]


class Closable:
    """A mixin for widgets that observe others: `close` ends that and closes every part.

    It comes before the widget's base class: ``class SearchBox(Closable, AnyWidget)``. After
    `close`, nothing observes on behalf of the widget or recomputes it, so both the widget and
    what it observed can be garbage-collected. ipywidgets' own `close` ends the connection to the
    front end and nothing else.
    """

    # Class attributes, because ipywidgets calls `close` for objects whose __init__ failed, too.
    _undo: tuple[Callable[[], object], ...] = ()
    _own_layout: Layout | None = None

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        # A `Layout` that was passed in may be shared with other widgets, so it is left open.
        if not isinstance(keywords.get("layout"), Layout):
            self._own_layout = self.layout  # type: ignore[attr-defined]

    def _follow(
        self, source: HasTraits, callback: Callable[[Any], object], names: str | Sequence[str]
    ) -> None:
        """Observe traits of `source` until this widget is closed."""
        source.observe(callback, names)
        self._on_close(lambda: source.unobserve(callback, names))

    def _on_close(self, undo: Callable[[], object]) -> None:
        """Call `undo` when this widget is closed; the last one that was added comes first."""
        self._undo = (undo, *self._undo)

    def close(self) -> None:
        """Remove the widget from every page, and stop everything that it does.

        Closing twice does nothing.
        """
        undo, self._undo = self._undo, ()
        for function in undo:
            function()
        is_open = self.comm is not None  # type: ignore[attr-defined]
        parts = list(_parts(self)) if is_open else []
        super().close()  # type: ignore[misc]
        for part in parts:
            if not isinstance(part, Layout) or part is self._own_layout:
                close_whole(part)


def close_whole(widget: Widget) -> None:
    """Close a widget with all that it is made of: children, layout, style, renderers."""
    if widget.comm is None:
        return  # closed already, as a part of another widget
    if isinstance(widget, Closable):
        widget.close()
        return
    parts = list(_parts(widget))
    widget.close()
    for part in parts:
        close_whole(part)


def _parts(widget: Widget) -> Iterator[Widget]:
    """Yield the widgets that the synchronized traits of a widget refer to."""
    for name in widget.keys:
        if widget.trait_has_value(name):  # not yet made: nothing to close
            value = getattr(widget, name)
            if isinstance(value, dict):
                value = list(value.values())
            for part in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(part, Widget):
                    yield part

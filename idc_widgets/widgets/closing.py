"""Closes widgets: removes their observers, and closes the widgets that they consist of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ipywidgets import Layout, Widget
from traitlets import HasTraits

from .cells import note_shown
from .state import BrowserState

__all__ = ["Closable", "close_whole"]


class Closable:
    """A mixin for widgets that observe a state: `close` undoes everything that the widget set up.

    The `close` of ipywidgets only ends the connection to the front end. This one also removes the
    observers of the widget and closes its parts (children, layout, renderers). Afterwards nothing
    recomputes the widget, and the widget and the state can be garbage-collected.

    The mixin comes before the base class: ``class SearchBox(Closable, AnyWidget)``.
    """

    # Class attributes, because `close` is also called for an object whose __init__ failed.
    _undo: tuple[Callable[[], object], ...] = ()
    _own_layout: Layout | None = None

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        # A user may share a `Layout` between widgets, so `close` leaves such a layout open.
        if not isinstance(keywords.get("layout"), Layout):
            self._own_layout = self.layout  # type: ignore[attr-defined]

    def _follow(
        self, source: HasTraits, callback: Callable[[Any], object], names: str | Sequence[str]
    ) -> None:
        """Observe traits of `source` until this widget is closed."""
        source.observe(callback, names)
        self._on_close(lambda: source.unobserve(callback, names))

    def _show_state(
        self,
        state: BrowserState,
        view: Callable[[], None],
        names: Sequence[str],
        on_stale: Callable[[str], None] | None = None,
    ) -> None:
        """Run a view when traits of the state change, until this widget is closed."""
        state.add_view(view, names, on_stale)
        self._on_close(lambda: state.remove_view(view))

    def _on_close(self, undo: Callable[[], object]) -> None:
        """Call `undo` when this widget is closed; the function that was added last comes first."""
        self._undo = (undo, *self._undo)

    def _repr_mimebundle_(self, **keywords: Any) -> Any:
        note_shown(self)
        show = getattr(super(), "_repr_mimebundle_", None)
        return show(**keywords) if show is not None else None  # ipywidgets 7 returns None if closed

    def _handle_displayed(self, **keywords: Any) -> None:  # ipywidgets 7 calls this
        note_shown(self)
        super()._handle_displayed(**keywords)  # type: ignore[misc]

    def close(self) -> None:
        """Remove the widget from every page, and stop following the state.

        Closing a second time has no effect.
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
    """Close a widget and the widgets that it consists of: children, layout, renderers."""
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
    """Yield the widgets in the synchronized traits of a widget."""
    for name in widget.keys:
        if widget.trait_has_value(name):  # do not make a default value only to close it
            value = getattr(widget, name)
            if isinstance(value, dict):
                value = list(value.values())
            for part in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(part, Widget):
                    yield part

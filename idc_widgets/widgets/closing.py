"""Closes widgets: removes their observers, and closes the widgets that they consist of."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any

from IPython.display import display
from ipywidgets import Layout, Widget
from traitlets import HasTraits

from .cells import note_shown
from .public_widget_names import PublicWidgetNames
from .sent_together import SentTogether
from .state import BrowserState
from .static_view import StaticView
from .strict_attributes import StrictAttributes

__all__ = ["Closable", "close_whole"]

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

_log = logging.getLogger(__name__)


class Closable(StrictAttributes, SentTogether, PublicWidgetNames):
    """A mixin for widgets that observe a state: `close` undoes everything that the widget set up.

    The `close` of ipywidgets only ends the connection to the front end. This one also removes the
    observers of the widget and closes its parts (children, layout, renderers). Afterwards nothing
    recomputes the widget, and the widget and the state can be garbage-collected.

    The mixin comes before the base class: ``class SearchBox(Closable, AnyWidget)``.
    """

    # Class attributes, because `close` is also called for an object whose __init__ failed.
    _undo: tuple[Callable[[], object], ...] = ()
    _own_layout: Layout | None = None
    _unclosed: tuple[Widget, ...] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "__init__" in vars(cls):
            cls.__init__ = _closed_on_failure(cls.__init__)  # type: ignore[method-assign]

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        # `close` does not close a `Layout` of the user, who may share it between widgets.
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
        self._on_close(lambda: state.remove_view(view))
        state.add_view(view, names, on_stale)

    def _on_close(self, undo: Callable[[], object]) -> None:
        """Call `undo` when this widget is closed; the function that was added last comes first."""
        self._undo = (undo, *self._undo)

    def _static_view(self) -> StaticView | None:
        """Return what is shown in place of the widget where there is no kernel; run no query."""
        return None

    def _repr_mimebundle_(self, **keywords: Any) -> Any:
        note_shown(self)
        show = getattr(super(), "_repr_mimebundle_", None)
        bundle = show(**keywords) if show is not None else None
        if bundle is None:
            return None  # closed
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, **self._static_data()}, metadata

    if hasattr(Widget, "_ipython_display_"):  # ipywidgets 7

        def _ipython_display_(self, **keywords: Any) -> None:
            show = getattr(super(), "_repr_mimebundle_", None)  # anywidget has it
            data, metadata = (show() if show is not None else None) or ({}, {})
            view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}  # type: ignore[attr-defined]
            data = {_WIDGET_VIEW: view, **data, **self._static_data()}
            display(data, metadata=metadata, raw=True)
            self._handle_displayed(**keywords)

        def _handle_displayed(self, **keywords: Any) -> None:
            note_shown(self)
            super()._handle_displayed(**keywords)  # type: ignore[misc]

    def _static_data(self) -> dict[str, str]:
        """Return the static view by MIME type."""
        try:
            view = self._static_view()
        except Exception:  # show the widget all the same
            _log.exception("cannot make the static view of a widget")
            view = None
        if view is None:
            return {"text/plain": f"{type(self).__name__}."}
        return {"text/plain": view.to_text(), "text/html": view.to_html()}

    def close(self) -> None:
        """Remove the widget from every page, and stop following the state.

        Closing a second time has no effect.
        """
        # After an interrupt (KeyboardInterrupt), the next call does what remains.
        while self._undo:
            function, *others = self._undo
            self._undo = tuple(others)
            try:
                function()
            except Exception:
                _log.exception("a part of a widget cannot be closed")
        if self.comm is not None:  # type: ignore[attr-defined]
            self._unclosed = tuple(_parts(self))
        elif self._own_layout is not None:  # __init__ failed
            self._unclosed = (*self._unclosed, self._own_layout)
        super().close()  # type: ignore[misc]
        while self._unclosed:
            part, *rest = self._unclosed
            self._unclosed = tuple(rest)
            try:
                if not isinstance(part, Layout) or part is self._own_layout:
                    close_whole(part)
            except BaseException:
                self._unclosed = (part, *self._unclosed)
                raise


class _Making(threading.local):
    """The widgets that this thread is making: the outermost one and its parts."""

    widgets: list[Closable] | None = None


_making = _Making()


def _closed_on_failure(init: Callable[..., None]) -> Callable[..., None]:
    """Make an `__init__` close the widget and its parts if it fails or is interrupted.

    Otherwise, the state would go on to run the views of these parts at every click.
    """

    @wraps(init)
    def made_or_closed(self: Closable, *args: Any, **keywords: Any) -> None:
        if _making.widgets is not None:
            _making.widgets.append(self)
            init(self, *args, **keywords)
            return
        made = [self]
        try:
            _making.widgets = made
            init(self, *args, **keywords)
        except BaseException:
            _making.widgets = None
            for widget in reversed(made):
                with suppress(Exception):  # a widget may be incomplete
                    widget.close()
            raise
        finally:
            _making.widgets = None

    return made_or_closed


def close_whole(widget: Widget) -> None:
    """Close a widget and the widgets that it consists of: children, layout, renderers."""
    if isinstance(widget, Closable):
        widget.close()
        return
    if widget.comm is None:
        return  # closed already, as a part of another widget
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

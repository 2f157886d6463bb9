"""Shows errors of callbacks in the widgets and logs them, instead of raising them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from traitlets import HasTraits, Unicode

from .._util import Callbacks
from ..errors import IDCError, InvalidQueryError
from ..index import column_info
from .strict_attributes import StrictAttributes
from .user_observers import Teller

__all__ = ["ErrorReporting", "with_label"]

_log = logging.getLogger(__name__)


def with_label(error: InvalidQueryError, column: str) -> InvalidQueryError:
    """Return an error about a filter with the label of the column, as the screen shows it.

    In Python code, a message has the keyword of the column, because code uses the keyword.

    >>> with_label(InvalidQueryError("instanceCount: the range is upside down"), "instanceCount")
    InvalidQueryError('Files: the range is upside down')
    """
    return type(error)(str(error).replace(column, column_info(column).label, 1))


class ErrorReporting(StrictAttributes, HasTraits):
    """A mixin with a trait `message` for the last error.

    The class that uses it provides `lock` and `is_changing`.
    """

    message = Unicode(
        help='The last error, in plain words; empty if there is none. Type: str; default: "".'
    )

    #: Held while a callback runs: callbacks may come from several threads.
    lock: AbstractContextManager[object]

    def __init__(self) -> None:
        #: Calls the users' observers.
        self.teller = Teller()
        self._message_views = Callbacks(_log, "the message cannot be shown")
        super().__init__()

    def is_changing(self) -> bool:
        """Return whether this thread is changing the state; users' observers then have to wait."""
        return False

    def on_message(self, view: Callable[[], object]) -> Callable[[], None]:
        """Call `view`, which shows the message, at each change; return a function to remove it."""
        return self._message_views.add(view)

    def report(self, error: Exception) -> None:
        """Show an error in the message area of the widgets, and log it.

        An error that is not an `IDCError` is a bug, so its traceback is logged, too.
        """
        if isinstance(error, IDCError):
            _log.info("%s", error)
            text = str(error)
        else:
            _log.error("a callback of a widget failed", exc_info=error)
            text = f"{type(error).__name__}: {error}"
        try:
            self.message = text
        except Exception:
            _log.exception("an observer of the message failed")

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report an error of a callback that is not an action, such as the scrolling of a grid.

        The lock is held, but no turn is started. Without a new error, the last error stays shown.
        """
        try:
            with self.lock:
                yield
        except Exception as error:
            self.report(error)

    def _notify_observers(self, event: Any) -> None:
        """Show a new message at once; users' observers wait for the end of the turn."""
        self._message_views.call()
        self.teller.add(self, event["name"], event["old"], event["new"])
        if not self.is_changing():
            error = self.teller.tell()
            if error is not None:
                raise error

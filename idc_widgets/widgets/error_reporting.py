"""Errors of callbacks, which are shown in the widgets and logged instead of raised."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from traitlets import HasTraits, Unicode

from ..errors import IDCError

__all__ = ["ErrorReporting"]

logger = logging.getLogger(__name__)


class ErrorReporting(HasTraits):
    """A mixin with a trait `message` for the last error.

    The class that uses it provides `lock`.
    """

    message = Unicode()
    """The last error, in plain words; empty if there is none. Type: str; default: ""."""

    #: Held while a callback runs: callbacks may come from several threads.
    lock: AbstractContextManager[object]

    def report(self, error: Exception) -> None:
        """Show an error in the message area of the widgets, and log it.

        An error that the package raises on purpose explains itself; any other is a bug, so its
        traceback is logged.
        """
        if isinstance(error, IDCError):
            logger.info("%s", error)
            self.message = str(error)
        else:
            logger.error("a callback of a widget failed", exc_info=error)
            self.message = f"{type(error).__name__}: {error}"

    @contextmanager
    def reporting(self, *, clears: bool = True) -> Iterator[None]:
        """Report an error of the callback in the `with` block; success clears the last message.

        Args:
            clears: False for callbacks that do not answer a person, such as the scrolling of a
                grid: their success says nothing about the last error.
        """
        try:
            with self.lock:
                yield
        except Exception as error:
            self.report(error)
        else:
            if clears:
                self.message = ""

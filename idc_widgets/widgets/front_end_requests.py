"""The order of the requests that the front end sends."""

from __future__ import annotations

from typing import Any

__all__ = ["FrontEndRequests"]


class FrontEndRequests:
    """The requests of the views of one widget, of which a later one wins.

    A widget can be shown in several views. Each view numbers its own requests and waits for the
    trait `_answered` to name its last one; see `createRequests` in base.js.
    """

    def __init__(self) -> None:
        self._last_number: dict[str, int] = {}  # by view

    def accept(self, content: Any) -> str | None:
        """Return the id of a request, "view:number", or None if it is outdated.

        A kernel may handle two messages in two threads, so that the earlier one comes last. It is
        outdated then, because the view has asked for something else since.

        Args:
            content: The message: {view, number, ...}.
        """
        view, number = str(content["view"]), int(content["number"])
        if number <= self._last_number.get(view, 0):
            return None
        self._last_number[view] = number
        return f"{view}:{number}"

"""Prepares the index after a browser was shown, and says so."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .._util import human_size
from ..client import IDCClient
from ..query import NEEDED_BYTES, start_preparing

__all__ = ["prepare_later"]

#: Preparing starts after this time, so that it does not slow down the first screen.
_PAUSE_SECONDS = 3.0

_NOTE = f"Preparing a faster index once, about 20 s and {human_size(NEEDED_BYTES)} of disk"


def prepare_later(client: IDCClient, show: Callable[[str], None]) -> Callable[[], None]:
    """Start to prepare the index of a client in a moment, if the client may.

    Args:
        client: The client.
        show: Called in another thread with a note, and with "" at the end.

    Returns:
        A function after whose call `show` is no longer called.
    """
    is_closed = threading.Event()

    def work() -> None:
        if is_closed.wait(_PAUSE_SECONDS):
            return
        process = start_preparing(client.engine)
        if process is None:
            return
        show(_NOTE)
        process.wait()
        if not is_closed.is_set():
            show("")

    if client.auto_prepare:
        threading.Thread(target=work, name="idc_widgets: prepare", daemon=True).start()
    return is_closed.set

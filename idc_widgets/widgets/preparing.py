"""Returns free memory after a browser was shown, and then prepares the index, and says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from subprocess import Popen

from .._util import fork_safe, human_size
from ..client import IDCClient
from ..query import NEEDED_BYTES, return_free_memory, start_preparing

__all__ = ["prepare_later"]

#: Both are done after this time, so that they do not slow down the first screen.
_PAUSE_SECONDS = 3.0

_NOTE = f"Preparing a faster index once, about 20 s and {human_size(NEEDED_BYTES)} of disk"


def prepare_later(client: IDCClient, show: Callable[[str], None]) -> Callable[[], None]:
    """Return free memory in a moment, and then prepare the index of a client, if the client may.

    Reading the index and the first counts leave 20 to 40 MB of free memory in the process.

    Args:
        client: The client.
        show: Called in another thread with a note, and with "" at the end.

    Returns:
        A function after whose call `show` is no longer called.
    """
    is_closed = fork_safe(threading.Event())
    # Emptied by `close`, so that the thread keeps no closed browser in memory.
    kept = [(client, show)]

    def close() -> None:
        kept.clear()
        is_closed.set()

    def tell(note: str) -> None:
        for _, show_note in kept.copy():
            show_note(note)

    def work() -> None:
        if is_closed.wait(_PAUSE_SECONDS):
            return
        return_free_memory()
        process = _start(kept)
        if process is not None:
            tell(_NOTE)
            process.wait()
            tell("")

    with suppress(RuntimeError):  # the system starts no more threads
        threading.Thread(target=work, name="idc_widgets: prepare", daemon=True).start()
    return close


def _start(kept: list[tuple[IDCClient, Callable[[str], None]]]) -> Popen[bytes] | None:
    for client, _ in kept.copy():
        if client.auto_cache:
            return start_preparing(client.engine)
    return None

"""Run queries that a KeyboardInterrupt ends at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event, current_thread, get_ident, main_thread
from typing import TypeVar

from ..errors import QueryInterruptedError
from .engine import Engine

__all__ = ["run_interruptible"]

#: Time between two checks for signals: on Windows, a signal does not end a wait without a timeout.
_POLL_SECONDS = 0.2

_Result = TypeVar("_Result")


def run_interruptible(engine: Engine, query: Callable[[], _Result]) -> _Result:
    """Run a query in a thread of its own, so that a KeyboardInterrupt interrupts it.

    Otherwise, Python would raise the KeyboardInterrupt only after the database has answered.

    Args:
        engine: The engine that the query uses.
        query: A function that runs the query and returns its result.
    """
    if current_thread() is not main_thread():
        return query()  # only the main thread receives a KeyboardInterrupt
    threads: list[int] = []
    is_cancelled, has_ended = Event(), Event()

    def run() -> _Result:
        threads.append(get_ident())
        try:
            if is_cancelled.is_set():
                raise QueryInterruptedError("this query was interrupted")
            return query()
        finally:
            has_ended.set()

    with ThreadPoolExecutor(1) as pool:
        try:
            try:
                result = pool.submit(run)
            except RuntimeError:  # the system starts no more threads
                return query()
            while not wait([result], timeout=_POLL_SECONDS).done:
                pass
        except KeyboardInterrupt:
            is_cancelled.set()
            # A thread that has not started has nothing to interrupt. A started one may not have
            # reached the database yet. The database would then forget the interrupt, so repeat it.
            while threads and not has_ended.is_set():
                engine.interrupt(threads[0])
                has_ended.wait(_POLL_SECONDS)
            raise
        return result.result()

"""Queries that a KeyboardInterrupt ends at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import current_thread, get_ident, main_thread
from typing import TypeVar

from .engine import Engine

__all__ = ["run_interruptible"]

#: Time between two looks at signals: on Windows, no signal ends an endless wait.
_POLL_SECONDS = 0.2

_Result = TypeVar("_Result")


def run_interruptible(engine: Engine, query: Callable[[], _Result]) -> _Result:
    """Run a query in a thread of its own, so that a KeyboardInterrupt interrupts it.

    Without this, the interrupt would wait until the database returns from C++.

    Args:
        engine: The engine that the query uses.
        query: A function that runs the query and returns its result.
    """
    if current_thread() is not main_thread():
        return query()  # only the main thread receives a KeyboardInterrupt
    threads: list[int] = []
    with ThreadPoolExecutor(1, initializer=lambda: threads.append(get_ident())) as pool:
        result = pool.submit(query)
        try:
            while not wait([result], timeout=_POLL_SECONDS).done:
                pass
        except KeyboardInterrupt:
            engine.interrupt(*threads)
            raise
        return result.result()

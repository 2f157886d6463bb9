"""Threads that neither the caller nor the exit of Python has to wait for.

Python joins the threads of its pools when a pool is closed, and again when Python exits. A server
that sends a byte now and then could delay both by minutes.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from .formatting import MORE_THREADS

__all__ = ["NoThreadError", "in_threads", "start_thread"]

_POLL_SECONDS = 0.1  # pause between two checks whether the work has ended

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class NoThreadError(RuntimeError):
    """The system does not start another thread. The message has the next step."""


def start_thread(work: Callable[[], object], name: str) -> None:
    """Start a thread that does not delay the exit of Python.

    Raises:
        NoThreadError: The system does not start another thread.
    """
    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError as error:
        raise NoThreadError(f"{error}; {MORE_THREADS}") from error


def in_threads(
    work: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    workers: int,
    name: str,
    stop: threading.Event,
) -> Iterator[_Result]:
    """Yield what `work` returns for each item, in the order in which the calls end.

    If the iterator is left early, calls that have begun run on, and no further one begins.

    Args:
        work: Called in several threads.
        items: Its arguments.
        workers: The largest number of threads.
        name: The name of the threads.
        stop: When this is set, the iterator ends without the results of the calls that still run.

    Raises:
        NoThreadError: The system does not start any thread. If it starts fewer than `workers`, they
            do the work.
        Exception: A call of `work` raised it.
    """
    waiting = deque(items)
    answers: queue.SimpleQueue[tuple[_Result, None] | tuple[None, BaseException]]
    answers = queue.SimpleQueue()

    def run() -> None:
        while not stop.is_set():
            try:
                item = waiting.popleft()
            except IndexError:
                return
            try:
                answers.put((work(item), None))
            except BaseException as error:
                answers.put((None, error))

    expected = len(waiting)
    try:
        for number in range(min(workers, expected)):
            try:
                start_thread(run, name)
            except NoThreadError:
                if number == 0:
                    raise
                break
        while expected and not stop.is_set():
            try:
                result, error = answers.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            expected -= 1
            yield result  # type: ignore[misc]
    finally:
        waiting.clear()

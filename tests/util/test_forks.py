"""Locks that are free after an interrupt and in forked children."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest
from support.forks import in_a_child
from support.interrupts import interrupted_everywhere

from idc_widgets._util import cached_property, ended_context, fork_safe
from idc_widgets.query.memory.recent_results import Recent

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def test_a_lock_is_free_after_an_interrupt_anywhere() -> None:
    recent: Recent[int, int] = Recent(2)

    def make():
        nonlocal recent
        recent = Recent(2)
        return lambda: recent.get(1, lambda: 1)

    places = []
    for place, _ in interrupted_everywhere(make, "recent_results.py", "forks.py"):
        places.append(place)
        assert recent._lock.acquire(blocking=False), place
    assert len(places) >= 3


def test_a_generator_is_ended_after_an_interrupt_anywhere() -> None:
    lock = threading.Lock()

    @ended_context
    def held():
        with lock:
            yield

    def use() -> None:
        with held():
            pass

    places = []
    for place, error in interrupted_everywhere(lambda: use, "contextlib.py"):
        places.append(place)
        assert not lock.locked(), place
        assert error.__traceback__, "it keeps the generator"
    assert len(places) >= 3


def in_a_child_while(
    work: Callable[[], object],
    begun: threading.Event,
    leave: threading.Event,
    check: Callable[[], None],
) -> None:
    """Run `check` in a forked child while another thread of the parent is in the middle of `work`.

    `work` sets `begun`, and goes on when `leave` is set.
    """
    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(60)
    try:
        in_a_child(check)
    finally:
        leave.set()
        thread.join()


@forks
@pytest.mark.parametrize("kind", [threading.Lock, threading.RLock])
def test_a_lock_that_another_thread_holds_is_free_in_a_child(kind) -> None:
    lock, taken, leave = fork_safe(kind()), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            assert leave.wait(60)

    def check() -> None:
        assert lock.acquire(timeout=10)

    in_a_child_while(hold, taken, leave, check)


@forks
def test_an_rlock_that_the_forking_thread_holds_stays_so() -> None:
    lock = fork_safe(threading.RLock())
    with lock:
        in_a_child(lock.release)


@forks
def test_a_cached_property_that_another_thread_computes_works_in_a_child() -> None:
    class Owner:
        @cached_property
        def value(self) -> int:
            if threading.current_thread() is not threading.main_thread():
                taken.set()
                assert leave.wait(60)
            return 1

    def check() -> None:
        signal.alarm(10)
        assert owner.value == 1

    owner, taken, leave = Owner(), threading.Event(), threading.Event()
    in_a_child_while(lambda: owner.value, taken, leave, check)

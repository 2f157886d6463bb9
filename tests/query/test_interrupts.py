"""Queries in the main thread, which Ctrl-C interrupts."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from idc_widgets import IDCClient
from idc_widgets.query import interrupts, run_interruptible

#: A query that takes hours.
SLOW_QUERY = (
    "SELECT count(*) FROM index AS a, index AS b"
    " WHERE a.SeriesInstanceUID || b.SeriesInstanceUID LIKE '%x%'"
)


def test_ctrl_c_interrupts_a_long_query() -> None:
    script = f"""
import os, signal, threading
from idc_widgets import IDCClient
signal.signal(signal.SIGINT, signal.default_int_handler)
client = IDCClient()
threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    client.sql({SLOW_QUERY!r})
except KeyboardInterrupt:
    print("interrupted", client.sql("SELECT 1 AS value").value[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=360, check=True
    )
    assert done.stdout == "interrupted 1\n"


def test_ctrl_c_before_the_query_has_started_interrupts_nothing(
    client: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted: list[object] = []

    class LatePool(ThreadPoolExecutor):
        """A pool whose thread starts only when the pool is closed."""

        def submit(self, task: Callable[[], Any], /, *args: Any, **options: Any) -> Future[Any]:
            self.task = task
            return Future()

        def __exit__(self, *error: Any) -> None:
            super().submit(self.task)
            super().__exit__(*error)

    def wait(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupts, "ThreadPoolExecutor", LatePool)
    monkeypatch.setattr(interrupts, "wait", wait)
    monkeypatch.setattr(client.engine, "interrupt", lambda *idents: interrupted.append(idents))
    with pytest.raises(KeyboardInterrupt):
        run_interruptible(client.engine, lambda: interrupted.append("the query ran"))
    assert interrupted == []


def test_an_interrupt_that_comes_too_early_is_repeated(
    client: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupts_sent: list[int] = []
    usual_wait = interrupts.wait

    def wait(*args: Any, **options: Any) -> Any:
        usual_wait(*args, **options)
        raise KeyboardInterrupt

    def interrupt(thread: int) -> None:
        interrupts_sent.append(thread)

    def query() -> None:
        while len(interrupts_sent) < 2:  # the first interrupt has no effect
            pass

    monkeypatch.setattr(interrupts, "wait", wait)
    monkeypatch.setattr(client.engine, "interrupt", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_interruptible(client.engine, query)
    assert len(set(interrupts_sent)) == 1


def test_without_a_thread_the_query_runs_in_the_main_thread(
    client: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    assert client.sql("SELECT 1 AS value").value[0] == 1

"""Work in threads that nobody has to wait for."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from idc_widgets._util import NoThreadError, in_threads, start_thread


def test_all_items_are_worked_on() -> None:
    stop = threading.Event()
    squares = in_threads(lambda item: item * item, range(50), workers=4, name="x", stop=stop)
    assert sorted(squares) == [item * item for item in range(50)]
    assert list(in_threads(str, [], workers=4, name="x", stop=stop)) == []


def test_an_error_of_the_work_is_raised() -> None:
    def fail(item: int) -> int:
        raise ValueError(item)

    with pytest.raises(ValueError, match="1"):
        list(in_threads(fail, [1], workers=4, name="x", stop=threading.Event()))


def test_the_end_does_not_wait_for_work_that_runs() -> None:
    stop, forever, begun = threading.Event(), threading.Event(), threading.Semaphore(0)
    items = []

    def work(item: int) -> int:
        items.append(item)
        begun.release()
        if item:
            forever.wait()
        return item

    results = in_threads(work, range(10), workers=2, name="x", stop=stop)
    assert next(results) == 0
    for _ in range(3):
        assert begun.acquire(timeout=60)
    stop.set()
    assert list(results) == []
    forever.set()
    assert sorted(items) == [0, 1, 2], "no further work begins"


def test_an_iterator_that_is_left_early_begins_no_more_work() -> None:
    go_on, items = threading.Event(), []

    def work(item: int) -> int:
        items.append(item)
        if item:
            go_on.wait()
        return item

    results = in_threads(work, range(10), workers=1, name="x", stop=threading.Event())
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    go_on.set()
    assert items in ([0], [0, 1])


def test_python_ends_while_a_thread_works() -> None:
    code = (
        "import threading; from idc_widgets._util import in_threads; "
        "forever = threading.Event(); "
        "results = in_threads(lambda item: item or forever.wait(), [1, 0], workers=2, name='x', "
        "stop=threading.Event()); print(next(results))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr


def test_fewer_threads_do_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    start, allowed = threading.Thread.start, 1

    def refuse(thread: threading.Thread) -> None:
        nonlocal allowed
        if allowed == 0:
            raise RuntimeError("can't start new thread")
        allowed -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    stop = threading.Event()
    assert sorted(in_threads(int, "123", workers=4, name="x", stop=stop)) == [1, 2, 3]
    for call in (
        lambda: list(in_threads(int, "123", workers=4, name="x", stop=stop)),
        lambda: start_thread(print, "x"),
    ):
        with pytest.raises(NoThreadError, match=r"start new thread; .*raise the limit"):
            call()

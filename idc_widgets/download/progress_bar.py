"""A progress bar for the terminal: the only module that uses tqdm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from .._util import plural
from .plan import DownloadPlan
from .progress import Progress

__all__ = ["progress_bar"]


class _Job(Protocol):
    """The part of a `DownloadJob` that a progress bar shows.

    A protocol, because `job` imports this module.
    """

    plan: DownloadPlan

    @property
    def state(self) -> str: ...

    @property
    def progress(self) -> Progress: ...

    @property
    def series_done(self) -> int: ...

    def on_change(self, callback: Callable[[Any], object]) -> Callable[[], None]: ...


@contextmanager
def progress_bar(job: _Job) -> Iterator[None]:
    """Show bytes, MB/s and the number of complete series of `job` while the block runs."""
    from tqdm import tqdm  # a late import, because few downloads show a bar

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no monitor thread, which would outlive the bar

    bar = Bar(total=job.progress.bytes_total, unit="B", unit_scale=True, dynamic_ncols=True)

    def paint(job: _Job) -> None:
        state = "" if job.state == "running" else f"{job.state}, "
        total = plural(len(job.plan.series), "series")
        bar.set_description_str(f"{state}{job.series_done:,} of {total}", refresh=False)
        bar.update(job.progress.bytes_done - bar.n)
        bar.refresh()

    remove = job.on_change(paint)
    try:
        yield
        paint(job)
    finally:
        remove()
        bar.close()

"""A progress bar for the terminal: the only module that knows tqdm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .._util import plural

if TYPE_CHECKING:
    from .job import DownloadJob

__all__ = ["shown"]


@contextmanager
def shown(job: DownloadJob) -> Iterator[None]:
    """Show bytes, MB/s and the number of complete series of `job` while the block runs."""
    from tqdm import tqdm  # here, because few need it

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread of its own, which would stay

    bar = Bar(total=job.progress.bytes_total, unit="B", unit_scale=True, dynamic_ncols=True)

    def paint(job: DownloadJob) -> None:
        word = "" if job.state == "running" else f"{job.state}, "
        total = plural(len(job.plan.series), "series")
        bar.set_description_str(f"{word}{job.series_done:,} of {total}", refresh=False)
        bar.update(job.progress.bytes_done - bar.n)
        bar.refresh()

    remove = job.on_change(paint)
    try:
        yield
        paint(job)
    finally:
        remove()
        bar.close()

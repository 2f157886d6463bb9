"""What became of every series of a download: the rows of `DownloadJob.report`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from .plan import DownloadPlan

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "ReportRow", "SeriesState", "as_dataframe", "report_rows"]

SeriesState = Literal["complete", "partly", "missing", "failed"]
"""As many files and bytes as the series has; some of them; none; or something was wrong with it."""

COLUMNS = (
    "SeriesInstanceUID",
    "state",
    "reason",
    "files",
    "files_expected",
    "size_MB",
    "size_MB_expected",
    "folder",
    "license",
    "source_DOI",
)


class ReportRow(NamedTuple):
    """One series; unfinished files do not count."""

    SeriesInstanceUID: str
    state: SeriesState
    reason: str | None
    files: int
    files_expected: int
    size_bytes: int
    size_bytes_expected: int
    folder: str
    license: str | None
    source_DOI: str | None


def report_rows(
    plan: DownloadPlan,
    found: Mapping[str, tuple[int, int]],
    reasons: Mapping[str, str],
    problems: Container[str] = (),
    unchecked: str | None = None,
) -> Iterator[ReportRow]:
    """One row a series, in the order of the plan.

    Args:
        plan: what was to be fetched.
        found: files and bytes on the disk, by SeriesInstanceUID; of any other the disk is asked.
        reasons: why a series is not complete, whatever its files and bytes.
        problems: those of them that failed, and did not just not come to their turn.
        unchecked: why no series can be called complete yet, if so.
    """
    licenses_and_dois = plan.provenance.licenses_and_dois
    for series in plan.series:
        uid = series.SeriesInstanceUID
        there = found.get(uid)
        is_whole = there == (series.instances, series.size_bytes)
        if there is None:
            on_disk = series.files()
            there = len(on_disk), sum(on_disk.values())
            is_whole = series.is_complete(on_disk)
        reason = reasons.get(uid)
        if reason is None and is_whole:
            reason = unchecked
        state: SeriesState
        if uid in reasons and uid in problems:
            state = "failed"
        elif reason is None and is_whole:
            state = "complete"
        else:
            state = "partly" if there[0] else "missing"
        yield ReportRow(
            uid,
            state,
            reason,
            there[0],
            series.instances,
            there[1],
            series.size_bytes,
            str(series.destination),
            *licenses_and_dois.get(uid, (None, None)),
        )


def as_dataframe(rows: Iterable[ReportRow]) -> pd.DataFrame:
    """The rows as a DataFrame with `COLUMNS`, sizes in MB (10^6 bytes)."""
    import pandas as pd  # here, so that a download without a report does not wait for it

    frame = pd.DataFrame(list(rows), columns=list(ReportRow._fields))
    frame[["size_bytes", "size_bytes_expected"]] /= 1e6
    frame.columns = pd.Index(COLUMNS)
    return frame

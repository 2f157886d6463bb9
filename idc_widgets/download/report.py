"""The report of a download: one row per series with what became of it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from .._util import plural
from .plan import DownloadPlan

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "REPORT_COLUMNS",
    "ReportRow",
    "as_dataframe",
    "files_dataframe",
    "missing_message",
    "report_rows",
]

SeriesState = Literal["complete", "partly", "missing", "failed"]
"""How much of a series is on disk: "complete" (all), "partly" (some files) or "missing" (nothing).

"failed" means that the series had a problem, which the reason names.
"""

REPORT_COLUMNS = (
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
    """One series. Unfinished files do not count."""

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
    on_disk: Mapping[str, tuple[int, int]],
    reasons: Mapping[str, str],
    problems: Container[str] = (),
    unchecked: str | None = None,
) -> Iterator[ReportRow]:
    """Yield one row per series, in the order of the plan.

    Args:
        plan: What was to be fetched.
        on_disk: The numbers of files and bytes on disk, by SeriesInstanceUID. The files of other
            series, and of those of which only some objects are wanted, are counted on the disk.
        reasons: Why a series is not complete, even if its files and bytes are right.
        problems: The series in `reasons` that have a problem and are not merely unfinished.
        unchecked: Why no series counts as complete yet; None if there is no such reason.
    """
    licenses_and_dois = plan.provenance.licenses_and_dois
    for series in plan.series:
        uid = series.SeriesInstanceUID
        # If only some objects are wanted, the sum does not tell whether each has the right size.
        counts = on_disk.get(uid) if series.only is None else None
        is_complete = counts is not None and series.fits(*counts)
        if counts is None:
            files = series.files()
            counts = len(files), sum(files.values())
            is_complete = series.is_complete(files)
        reason = reasons.get(uid)
        if reason is None and is_complete:
            reason = unchecked
        state: SeriesState
        if uid in reasons and uid in problems:
            state = "failed"
        elif reason is None and is_complete:
            state = "complete"
        else:
            state = "partly" if counts[0] else "missing"
        yield ReportRow(
            uid,
            state,
            reason,
            counts[0],
            series.instances,
            counts[1],
            series.size_bytes,
            str(series.destination),
            *licenses_and_dois.get(uid, (None, None)),
        )


def as_dataframe(rows: Iterable[ReportRow]) -> pd.DataFrame:
    """Return the rows as a DataFrame with `REPORT_COLUMNS`, sizes in MB (10^6 bytes)."""
    import pandas as pd  # a late import, because a download without a report does not need it

    frame = pd.DataFrame(list(rows), columns=list(ReportRow._fields))
    frame[["size_bytes", "size_bytes_expected"]] /= 1e6
    frame.columns = pd.Index(REPORT_COLUMNS)
    return frame


def files_dataframe(plan: DownloadPlan, paths: Mapping[str, Iterable[Path]]) -> pd.DataFrame:
    """Return one row per file, in the order of the plan.

    Args:
        plan: What was fetched.
        paths: The files of each complete series, by SeriesInstanceUID.
    """
    import pandas as pd

    rows = [
        (series.PatientID, series.SeriesInstanceUID, series.Modality, path)
        for series in plan.series
        for path in paths.get(series.SeriesInstanceUID, ())
    ]
    return pd.DataFrame(rows, columns=["PatientID", "SeriesInstanceUID", "Modality", "path"])


def missing_message(
    plan: DownloadPlan, state: str, failed: Mapping[str, str], error: str | None
) -> str:
    """Return the message for a job that ended before all series were complete.

    Args:
        plan: What was to be fetched.
        state: The state of the job.
        failed: Why a series is not complete, by SeriesInstanceUID.
        error: Why the job failed as a whole, if it did.
    """
    total = plural(len(plan.series), "series")
    others = len(plan.series) - len(failed)
    message = f"the download is {state}: {len(failed):,} of {total} could not be downloaded"
    if others:
        message += f"; the other {others:,} are in {plan.folder}"
    if error is not None:
        return f"{message}. {error}"
    if not failed:
        return message
    uid, reason = next(iter(failed.items()))
    first = "The series" if len(failed) == 1 else "The first of them"
    return f"{message}. {first}, {uid}: {reason}"

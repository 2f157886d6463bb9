"""A plan of a download: which object goes to which file, and what is on disk already."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .._util import PublicNames, cached_property, html_facts, human_size, plural
from ..errors import MAX_GB, LargeDownloadError
from . import disk
from .changed_files import changed_since, completion_times
from .locations import Source, choose_endpoint
from .path_template import template_or_default
from .planned_series import PlannedSeries
from .planner import absolute_folder, plan_series
from .preview import Preview, remembered_rate
from .provenance import Provenance

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["DownloadPlan"]


@dataclass(frozen=True, repr=False)
class DownloadPlan(PublicNames):
    """An immutable plan of a download; make one with `DownloadPlan.make`.

    Args:
        series: The series in the order of fetching, with their addresses and folders.
        folder: The folder of the download.
        endpoint_url: The S3 server.
        provenance: Where the series come from; for the record and the report.
    """

    _not_listed = frozenset(
        ("check_capacity", "check_consent", "make", "needs_consent", "provenance", "survey")
    )

    series: tuple[PlannedSeries, ...]
    folder: Path
    endpoint_url: str
    provenance: Provenance = field(default=Provenance(), compare=False)

    @property
    def files(self) -> int:
        """The number of files of all series."""
        return sum(series.instances for series in self.series)

    @property
    def size_bytes(self) -> int:
        """The bytes of all series, including those on disk."""
        return sum(series.size_bytes for series in self.series)

    def __contains__(self, uid: object) -> bool:
        """Return whether the series with this SeriesInstanceUID is in the plan."""
        return uid in self._uids

    @cached_property
    def _uids(self) -> frozenset[str]:
        return frozenset(series.SeriesInstanceUID for series in self.series)

    def __repr__(self) -> str:
        return f"DownloadPlan({self._size()}, from {self.endpoint_url} to {self.folder})"

    def _repr_html_(self) -> str:
        folder, server = str(self.folder), self.endpoint_url
        return html_facts(
            "DownloadPlan", [("size", self._size()), ("to", folder), ("from", server)]
        )

    def _size(self) -> str:
        count, files = plural(len(self.series), "series"), plural(self.files, "file")
        return f"{count}, {files}, {human_size(self.size_bytes)}"

    # --- files on disk -------------------------------------------------------------------------

    def survey(self) -> Iterator[tuple[PlannedSeries, dict[Path, int]]]:
        """Yield each series with its finished files on disk now: path to bytes."""
        # In the flat form all series share one folder, and listing it takes long: list it once
        is_flat = any(series.final_folder for series in self.series)
        tagged = disk.tagged_files(self.folder) if is_flat else {}
        for series in self.series:
            yield series, series.files(tagged)

    def complete(self) -> dict[str, list[Path]]:
        """Return the files of the series that are complete on disk now, by SeriesInstanceUID."""
        return {
            series.SeriesInstanceUID: sorted(files)
            for series, files in self.survey()
            if series.is_complete(files)
        }

    def table(self) -> pd.DataFrame:
        """Show the plan as a DataFrame (a dry run): one row per series, in the order of fetching.

        Returns:
            The columns SeriesInstanceUID; folder (where the files will be; "." is the folder of the
            plan); files (their number); size_MB (10^6 bytes); on_disk
            ("complete", "partly" or "none" at this moment); license (None if it is not known).
        """
        import pandas as pd

        columns = ["SeriesInstanceUID", "folder", "files", "size_MB", "on_disk", "license"]
        rows = [
            (
                series.SeriesInstanceUID,
                series.destination.relative_to(self.folder).as_posix(),
                series.instances,
                series.size_bytes / 1e6,
                "complete" if series.is_complete(files) else "partly" if files else "none",
                series.license,
            )
            for series, files in self.survey()
        ]
        return pd.DataFrame(rows, columns=columns)

    # --- before the start ----------------------------------------------------------------------

    def preview(self) -> Preview:
        """Return what the download would do now: counts, sizes, disk space, licenses, time.

        Raises:
            DownloadError: The folder cannot be used.
        """
        size, files = self._to_fetch()
        free, margin = disk.free_space(self.folder)
        licenses = Counter(series.license for series in self.series)
        return Preview(
            folder=self.folder,
            series=len(self.series),
            files=self.files,
            size_bytes=self.size_bytes,
            files_to_fetch=files,
            bytes_to_fetch=size,
            changed_files=self._count_changed(),
            free_bytes=free,
            margin_bytes=margin,
            licenses=dict(licenses.most_common()),
            MB_per_s=remembered_rate(),
            left_out=self.provenance.left_out,
        )

    def needs_consent(self, max_GB: float | None = MAX_GB) -> bool:
        """Return whether more than `max_GB` (10^9 bytes; None for no limit) are still to fetch."""
        if max_GB is None or self.size_bytes <= max_GB * 1e9:
            return False
        return self._to_fetch()[0] > max_GB * 1e9

    def check_consent(self, max_GB: float | None) -> None:
        """Refuse a download that `needs_consent`.

        Raises:
            LargeDownloadError: More than `max_GB` are still to fetch.
        """
        if not self.needs_consent(max_GB):
            return
        size = self._to_fetch()[0]
        raise LargeDownloadError(
            f"{human_size(size)} are still to fetch, and the limit is {max_GB:g} GB; to fetch them "
            f"all, pass max_GB={-(-size // 10**9)}, or choose fewer series",
            preview=str(self.preview()),
        )

    def _count_changed(self) -> int:
        """Estimate how many files were changed since they were downloaded."""
        count = 0
        completed: dict[str, float] | None = None
        for series, files in self.survey() if self.folder.exists() else ():
            if files and not series.is_complete(files):
                if completed is None:  # read the record only if a series is incomplete
                    completed = completion_times(self.folder)
                count += changed_since(series, files, completed.get(series.SeriesInstanceUID))
        return count

    def _to_fetch(self) -> tuple[int, int]:
        """Return how many bytes and files are not on disk.

        For an incomplete series, the bytes that it lacks are counted. If only some of its objects
        are wanted, each object that is missing or has the wrong size is counted whole.
        """
        size, files = self.size_bytes, self.files
        if not self.folder.exists():
            return size, files
        for series, on_disk in self.survey():
            if series.is_complete(on_disk):
                size, files = size - series.size_bytes, files - series.instances
            elif series.only is not None:
                missing = series.missing_objects(series.names(on_disk))
                size -= series.size_bytes - sum(missing.values())
                files -= series.instances - len(missing)
            else:
                size -= min(series.size_bytes, sum(on_disk.values()))
                files -= min(series.instances - 1, len(on_disk))  # at least one is missing or wrong
        return size, files

    @staticmethod
    def check_capacity(folder: str | os.PathLike[str], size_bytes: int) -> None:
        """Refuse a download that is larger than the disk, before any row is read.

        Raises:
            DownloadError: The disk of `folder` is smaller than `size_bytes`.
        """
        disk.check_capacity(absolute_folder(folder), size_bytes)

    @classmethod
    def make(
        cls,
        rows: pa.Table,
        folder: str | os.PathLike[str],
        *,
        template: str | None = None,
        source: Source = "aws",
        endpoint_url: str | None = None,
        check_disk: bool = True,
        platform: str = sys.platform,
        only: Mapping[str, Mapping[str, int]] | None = None,
    ) -> DownloadPlan:
        """Plan the download of `rows` into `folder`. Nothing is left on disk.

        Args:
            rows: One row per series, with the columns SeriesInstanceUID, series_aws_url
                (`s3://bucket/uuid/*`), instanceCount, series_size_MB (MB = 10^6 bytes) and those
                that the template names; license_short_name adds the licenses to the preview.
            folder: Created when the download starts; `~` is the home folder.
            template: The folder of a series below `folder`; None for `DEFAULT_TEMPLATE`. `%Column`
                is replaced by the row's value of that column (the longest column name that fits),
                `%%` is a percent sign, `/` starts a new level. A missing value becomes "unknown"
                (a missing crdc_series_uuid becomes the prefix of the series in its bucket);
                characters that are not allowed become "_". Two forms have a name:
                "short" is `%collection_id/%PatientID/%crdc_series_uuid`; "flat" puts the files of
                all series directly into `folder`, named `<prefix of the series>_<name>`.
            source: Whose copy is fetched: "aws" (Amazon) or "gcs" (Google, other bucket names).
            endpoint_url: The S3 server, without credentials, because the record contains it. By
                default, for "aws", the environment variable S3_ENDPOINT_URL; else
                https://s3.amazonaws.com or https://storage.googleapis.com.
            check_disk: False for a folder that is only read: it need not be writable or have
                space.
            platform: The platform whose limit of path lengths applies (see `sys.platform`); names
                are legal on all platforms.
            only: The wanted objects of a series that is fetched in part: SeriesInstanceUID to name
                (`<uuid>.dcm`) to bytes. Other series are fetched whole.

        Raises:
            DownloadError: A column, location, count or size is missing; the template is wrong or
                puts two series into one folder; a path is too long; a bucket has no copy at
                `source`; the folder cannot be used; the disk is too full; `only` has a wrong name
                or size, or a series without a row.
        """
        template = template_or_default(template)
        root = absolute_folder(folder)
        endpoint = choose_endpoint(endpoint_url, source)
        series = plan_series(rows, root, template, source, only=only, platform=platform)
        plan = cls(series, root, endpoint)
        if check_disk:
            disk.check_folder(root)
            disk.check_space(root, plan._to_fetch()[0])
        return plan

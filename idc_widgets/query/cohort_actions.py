"""The actions of a cohort: each fixes the series by `select`, and calls the method of `Selection`.

The docstrings of `Selection` describe the arguments and errors, so that they stand in one place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DEFAULT_FOLDER, MAX_GB
from .cohort_base import CohortBase

if TYPE_CHECKING:
    from ..download import DownloadJob, DownloadPlan, Source, Verify
    from ..selection import ManifestFormat, Selection

__all__ = ["CohortActions"]


class CohortActions(CohortBase):
    """The actions of a `Cohort`. To take several, call `select` once, and use the selection."""

    def select(self) -> Selection:
        """Return all series of this cohort as a `Selection`, to be downloaded or saved."""
        from ..selection import Selection

        cohort: Any = self  # this class is a part of `Cohort`
        return Selection(cohort)

    def download(
        self,
        folder: str | os.PathLike[str] = DEFAULT_FOLDER,
        *,
        template: str | None = None,
        source: Source = "aws",
        endpoint_url: str | None = None,
        max_GB: float | None = MAX_GB,
        verify: Verify = "size",
        instances: str | Iterable[str] | None = None,
    ) -> DownloadJob:
        """Start to download the series of this cohort, and return the running job.

        The arguments and errors are those of `Selection.download`.

        >>> job = client.cohort(PatientID="LUNG1-365").download("idc_data")  # doctest: +SKIP
        >>> job.result()  # doctest: +SKIP
        """
        return self.select().download(
            folder,
            template=template,
            source=source,
            endpoint_url=endpoint_url,
            max_GB=max_GB,
            verify=verify,
            instances=instances,
        )

    def plan(
        self,
        folder: str | os.PathLike[str] = DEFAULT_FOLDER,
        *,
        template: str | None = None,
        source: Source = "aws",
        endpoint_url: str | None = None,
        check_disk: bool = True,
        instances: str | Iterable[str] | None = None,
    ) -> DownloadPlan:
        """Return a plan of what `download` would fetch, and where to; write nothing.

        The arguments and errors are those of `Selection.plan`.
        """
        return self.select().plan(
            folder,
            template=template,
            source=source,
            endpoint_url=endpoint_url,
            check_disk=check_disk,
            instances=instances,
        )

    def to_manifest(
        self, path: str | os.PathLike[str], format: ManifestFormat | None = None
    ) -> Path:
        """Write a manifest of these series, and return its path; see `Selection.to_manifest`."""
        return self.select().to_manifest(path, format)

    def to_code(self) -> str:
        """Return Python code that rebuilds the selection of these series."""
        return self.select().to_code()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the UIDs and the data version for `IDCClient.load`; see `Selection.save`."""
        return self.select().save(path)

    def citations(self, style: str = "apa", *, resolver: str = "https://doi.org") -> dict[str, str]:
        """Return the citations of the sources of these series; see `Selection.citations`."""
        return self.select().citations(style, resolver=resolver)

    def viewer_urls(self) -> dict[str, str]:
        """Return StudyInstanceUID → the address in IDC's viewer; see `Selection.viewer_urls`."""
        return self.select().viewer_urls()

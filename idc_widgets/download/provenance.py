"""Where the series of a plan come from, for the record and the report of its download."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Provenance"]


@dataclass(frozen=True)
class Provenance:
    """How the series of a `DownloadPlan` were selected, and what is to be cited with them.

    Everything is optional: a plan that was made from a table of your own has none of it.

    Args:
        data_version: The version of IDC's data that the series were selected from, such as "v23".
        template: The folder template that the plan was made with.
        filters: The filters that select the series: the keyword arguments of `IDCClient.cohort`.
        code: Python code that selects the same series again.
        left_out: Column to the number of series that its filter alone leaves out, as they lack a
            value.
        licenses_and_dois: SeriesInstanceUID to the license and the source_DOI of that series.
        instances: For series that are fetched in part: SeriesInstanceUID to file name to
            SOPInstanceUID.
    """

    data_version: str | None = None
    template: str | None = None
    filters: Mapping[str, Any] | None = None
    code: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    licenses_and_dois: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    instances: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

"""Series for the tests of manifests, with all their identifiers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from idc_widgets import Manifest

#: A CT series of the patient LUNG1-365, and its study, which has twelve series.
CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"

#: A series of another collection, 4d_lung: its UUID, and its address.
UUID = "085e85b3-3780-47f6-8538-585bcca95336"
ADDRESS = f"s3://idc-open-data/{UUID}/*"

#: The number of examples of a Hypothesis test.
EXAMPLES = max(3, int(os.environ.get("IDC_WIDGETS_EXAMPLES", "300")) // 30)


class Series:
    """A series of the index, with all its identifiers."""

    def __init__(self, row: Mapping[Any, Any]) -> None:
        self.uid, self.study = row["SeriesInstanceUID"], row["StudyInstanceUID"]
        self.patient, self.collection = row["PatientID"], row["collection_id"]
        self.uuid, self.url = row["crdc_series_uuid"], row["series_aws_url"]


def reasons(manifest: Manifest) -> list[tuple[int, str]]:
    """Return the number and the reason of each unknown line."""
    return [(line.number, line.reason) for line in manifest.unknown]


def table(
    series: list[Series], columns: str, delimiter: str = ",", *, has_header: bool = True
) -> str:
    """Return a table of series, with a line per series.

    Args:
        series: The series.
        columns: The names of the columns, joined by ``|``.
        delimiter: The character between cells.
        has_header: Whether the first line has the names of the columns.
    """
    cells = {
        "SeriesInstanceUID": lambda row: row.uid,
        "Series UID": lambda row: row.uid,
        "StudyInstanceUID": lambda row: row.study,
        "PatientID": lambda row: row.patient,
        "collection_id": lambda row: row.collection,
        "crdc_series_uuid": lambda row: row.uuid,
        "AWS_URL": lambda row: row.url,
        "gcs_url": lambda row: row.url.replace("s3://", "gs://"),
        "Modality": lambda row: "SEG",
        "n": lambda row: "7",
    }
    names = columns.split("|")
    lines = [names] if has_header else []
    lines += [[cells[name](row) for name in names] for row in series]
    return "\n".join(map(delimiter.join, lines)) + "\n"

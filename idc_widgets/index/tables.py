"""The names of the tables of IDC, and the addresses of those that can be fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = [
    "FETCHABLE_TABLES",
    "METADATA_BUCKET",
    "METADATA_ENDPOINT",
    "MIRRORS",
    "PACKAGE_TABLES",
    "is_clinical_name",
]

#: Table → its file in the package idc-index-data.
PACKAGE_TABLES: Mapping[str, str] = {
    "index": "idc_index.parquet",
    "collections_index": "collections_index.parquet",
    "analysis_results_index": "analysis_results_index.parquet",
    "prior_versions_index": "prior_versions_index.parquet",
    "version_metadata_index": "version_metadata_index.parquet",
}

#: Tables that are fetched on request: idc-index-data describes them but does not contain them.
FETCHABLE_TABLES = (
    "clinical_index",
    "sm_index",
    "sm_instance_index",
    "seg_index",
    "ann_index",
    "ann_group_index",
    "contrast_index",
    "volume_geometry_index",
    "rtstruct_index",
    "ct_index",
    "mr_index",
    "pt_index",
)

#: The addresses of `FETCHABLE_TABLES`, tried in turn. Beside each file is its checksum, whose
#: address ends in ``.sha256``.
MIRRORS = (
    "https://storage.googleapis.com/idc-index-data-artifacts/"
    "{version}/release_artifacts/{name}.parquet",
    "https://github.com/ImagingDataCommons/idc-index-data/"
    "releases/download/{version}/{name}.parquet",
)

#: The S3 server that has the clinical tables, and their bucket.
METADATA_ENDPOINT = "https://s3.amazonaws.com"
METADATA_BUCKET = "idc-open-metadata"


def is_clinical_name(name: object) -> bool:
    """Return whether a clinical table may have this name, in SQL and as a folder.

    The names of clinical tables come from the network. So only plain words are accepted, and only
    if no other table has or could have the name.
    """
    if not isinstance(name, str) or not re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,127}", name):
        return False
    return name.casefold() not in PACKAGE_TABLES and not name.casefold().endswith("_index")

"""The tables of the index: which there are, where each comes from, and what their columns are.

A table is a file. Nothing here opens one; the engine does.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import platformdirs

from ..errors import IndexFileError, InvalidQueryError, unknown
from .columns import COLUMNS, DATES, NUMERIC, REQUIRED

__all__ = ["METADATA_BUCKET", "METADATA_ENDPOINT", "MIRRORS", "Index"]

#: Goes up with every change of what `coding.save` writes.
_CODING = 1

_PACKAGE_TABLES = {
    "index": "idc_index.parquet",
    "collections_index": "collections_index.parquet",
    "analysis_results_index": "analysis_results_index.parquet",
    "prior_versions_index": "prior_versions_index.parquet",
    "version_metadata_index": "version_metadata_index.parquet",
}

#: Tables that the package only describes: they are fetched when somebody asks for them.
_FETCHABLE = (
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

#: Where they are, tried in turn; beside each is its checksum, with ``.sha256`` at the end.
MIRRORS = (
    "https://storage.googleapis.com/idc-index-data-artifacts/"
    "{version}/release_artifacts/{name}.parquet",
    "https://github.com/ImagingDataCommons/idc-index-data/"
    "releases/download/{version}/{name}.parquet",
)

#: The S3 server of the bucket with the clinical tables, and the bucket.
METADATA_ENDPOINT = "https://s3.amazonaws.com"
METADATA_BUCKET = "idc-open-metadata"

#: What the types of the schemas, which are BigQuery's, are in SQL here.
_SQL_TYPES = {
    "STRING": "VARCHAR",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "RECORD": "STRUCT",
}


class Schema(NamedTuple):
    """What a table is, in words; column name → (SQL type, description)."""

    description: str
    columns: Mapping[str, tuple[str, str]]


class Index:
    """The tables to query: those of the installed idc-index-data, or your own series table.

    Args:
        path: a ``.parquet`` or ``.csv`` file with one row a series, its columns named as in the
            index (or as in IDC's first index: ``DOI``, ``series_aws_location``). It must have
            SeriesInstanceUID, StudyInstanceUID, PatientID and collection_id. Without a path,
            the index that idc-index-data ships.

    Raises:
        IndexFileError: the file is not there, is of another kind, or idc-index-data is missing.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        package = _package_folder()
        if package is None and path is None:
            raise IndexFileError(
                "the package idc-index-data, which holds the index, is not installed; "
                "run: pip install idc-index-data"
            )
        tables = {
            name: package / file
            for name, file in _PACKAGE_TABLES.items()
            if package is not None and (package / file).is_file()
        }
        #: Where a copy of the installed index for quick lookups is, or would be: see
        #: `DuckDBEngine.prepare`. None for a table of your own.
        self.prepared: Path | None = None
        #: Where its coding is kept, or would be: see `memory.prepare`. None as above.
        self.prepared_coding: Path | None = None
        #: The installed version of idc-index-data, such as "25.0.5": what is fetched is of the
        #: same one. None without it.
        self.release: str | None = None
        if package is not None:
            with suppress(importlib.metadata.PackageNotFoundError):
                self.release = importlib.metadata.version("idc-index-data")
        #: Where the fetched tables of this release are, or would be; None if none can be fetched.
        self.data_folder: Path | None = _data_folder() / self.release if self.release else None
        if path is None:
            version = importlib.metadata.version("idc-index-data")
            if "index" not in tables:
                raise IndexFileError(
                    f"idc-index-data {version} in {package} has no idc_index.parquet; "
                    "run: pip install --upgrade idc-index-data"
                )
            self.data_version: str = version
            self.is_own: bool = False
            self.prepared = _cache_folder() / f"index-{version}.parquet"
            self.prepared_coding = _cache_folder() / f"coding-{version}-{_CODING}.arrow"
            #: The index as idc-index-data ships it.
            self.shipped: Path = tables["index"]
            if self.prepared.is_file():
                tables["index"] = self.prepared
        else:
            tables["index"] = _own_table(Path(path))
            self.data_version = str(tables["index"])
            self.is_own = True
        #: Table name in SQL → the file it is read from, or the folder of its Parquet files.
        self.tables: Mapping[str, Path] = {**tables, **self._fetched()}

    @classmethod
    def default(cls) -> Index:
        """The index of the installed idc-index-data."""
        return cls()

    @property
    def version(self) -> str:
        """The IDC data release, such as "v25"; for a table of your own, its file name."""
        return self.tables["index"].name if self.is_own else f"v{self.data_version.split('.')[0]}"

    @property
    def fetchable(self) -> tuple[str, ...]:
        """The tables that can be fetched, fetched or not; clinical tables come on top."""
        return _FETCHABLE if self.data_folder is not None else ()

    def place(self, name: str) -> Path:
        """Where a fetched table is, or would be: a file, or of a clinical table a folder.

        Args:
            name: one of `fetchable`, or a clinical table.

        Raises:
            InvalidQueryError: it can be no table's name, so nothing may be written there.
        """
        if self.data_folder is not None and name in _FETCHABLE:
            return self.data_folder / f"{name}.parquet"
        if self.data_folder is not None and is_clinical_name(name):
            return self.data_folder / "clinical" / name
        raise InvalidQueryError(unknown("table", name, self.fetchable))

    def urls(self, name: str, mirrors: Sequence[str] = MIRRORS) -> list[str]:
        """The addresses of one of `fetchable` in this release."""
        version = self.release or ""
        return [one.replace("{version}", version).replace("{name}", name) for one in mirrors]

    def clinical_prefix(self, name: str) -> str:
        """What the keys of a clinical table begin with, in `METADATA_BUCKET`."""
        major = (self.release or "").split(".")[0]
        return f"bigquery_export/idc_v{major}_clinical/{name}/"

    def _fetched(self) -> dict[str, Path]:
        """The fetched tables that are on the disk; what is hidden is still being written."""
        if self.data_folder is None:
            return {}
        names = [name for name in _FETCHABLE if self.place(name).is_file()]
        with suppress(OSError):
            folders = sorted((self.data_folder / "clinical").iterdir())
            names += [one.name for one in folders if is_clinical_name(one.name) and one.is_dir()]
        return {name: self.place(name) for name in names}

    def __repr__(self) -> str:
        return f"Index({str(self.tables['index'])!r})" if self.is_own else "Index.default()"


def columns_by_folded_name(place: object, present: Collection[str]) -> dict[str, str]:
    """The columns that a table of series has, by name without regard to case.

    Args:
        place: named in errors.
        present: the columns; of two that differ in case only, the index's own spelling is taken.

    Raises:
        IndexFileError: a required column is missing.
    """
    by_folded = {name.casefold(): name for name in present}
    by_folded.update({name.casefold(): name for name in present if name in COLUMNS})
    missing = [name for name in REQUIRED if name.casefold() not in by_folded]
    if missing:
        hint = unknown("column", missing[0], present).partition("; ")[2]
        raise IndexFileError(
            f"{place} has no column {missing[0]}, which every table of series needs"
            + (f"; {hint}" if hint else "")
        )
    return by_folded


def normalized_select(path: Path, present: Mapping[str, str]) -> str:
    """The SELECT list that gives a user's table the columns of the index.

    Args:
        path: named in errors.
        present: the columns that the table has, by name, and what each is called in SQL.

    Raises:
        IndexFileError: a required column is missing.
    """
    by_folded = columns_by_folded_name(path, present)

    def source(name: str) -> str:
        given = by_folded.get(name.casefold())
        if given is not None:
            return present[given]
        if name == "source_DOI" and "doi" in by_folded:
            return present[by_folded["doi"]]
        if "series_aws_location" in by_folded:
            # IDC's first index ended the location with a slash and had no columns for its parts.
            location = present[by_folded["series_aws_location"]]
            if name == "series_aws_url":
                return f"rtrim({location}, '/*') || '/*'"
            if name == "aws_bucket":
                return f"split_part({location}, '/', 3)"
            if name == "crdc_series_uuid":
                return f"split_part({location}, '/', 4)"
        return "NULL"

    def column(name: str, sql_type: str) -> str:
        given = source(name)
        value = f"CAST({given} AS {sql_type})"
        if name in NUMERIC:  # counts, sizes and versions: less than nothing and NaN are missing
            number = f"CAST({given} AS DOUBLE)"
            value = f"CASE WHEN isfinite({number}) AND {number} >= 0 THEN {value} END"
        elif name in DATES:  # as DICOM writes them, 20100401, or as ISO does, with a time or not
            value = f"split_part({value}, ' ', 1)"
            value = f"regexp_replace({value}, '^(\\d{{4}})(\\d\\d)(\\d\\d)$', '\\1-\\2-\\3')"
        # An empty key still is a key: its rows are shown and can be picked.
        return f"coalesce({value}, '') AS {name}" if name in REQUIRED else f"{value} AS {name}"

    return ", ".join(column(name, known.sql_type) for name, known in COLUMNS.items())


def is_clinical_name(name: object) -> bool:
    """Whether a clinical table may have this name, in SQL and as a folder: one plain word.

    Clinical tables are named by others, and none may take the place of one of ours.
    """
    if not isinstance(name, str) or not re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,127}", name):
        return False
    return name.casefold() not in _PACKAGE_TABLES and not name.casefold().endswith("_index")


def schema(name: str) -> Schema | None:
    """What idc-index-data says of a table; None if it says nothing, or is not installed."""
    package = _package_folder()
    if package is None or name not in (*_PACKAGE_TABLES, *_FETCHABLE):
        return None
    file = package / f"{'idc_index' if name == 'index' else name}_schema.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        columns = {
            str(column["name"]): (_sql_type(column), str(column.get("description") or ""))
            for column in found["columns"]
        }
        return Schema(str(found.get("table_description") or ""), columns)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # descriptions are a help, not a need


def _sql_type(column: Mapping[str, object]) -> str:
    sql_type = _SQL_TYPES.get(str(column.get("type")), str(column.get("type")))
    return f"{sql_type}[]" if column.get("mode") == "REPEATED" else sql_type


def _package_folder() -> Path | None:
    """Where idc-index-data keeps its files; found without importing it, which takes long."""
    spec = importlib.util.find_spec("idc_index_data")
    locations = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(locations[0]) if locations else None


def _cache_folder() -> Path:
    """The folder for what can be made again: $IDC_WIDGETS_CACHE_DIR, or the platform's own."""
    named = os.environ.get("IDC_WIDGETS_CACHE_DIR")
    return Path(named) if named else platformdirs.user_cache_path("idc_widgets", appauthor=False)


def _data_folder() -> Path:
    """The folder for what was fetched: $IDC_WIDGETS_DATA_DIR, or the platform's own."""
    named = os.environ.get("IDC_WIDGETS_DATA_DIR")
    folder = named or platformdirs.user_data_path("idc_widgets", appauthor=False)
    return Path(os.path.abspath(folder))  # the database knows what it may read by whole paths


def _own_table(path: Path) -> Path:
    if path.is_dir():
        raise IndexFileError(f"{path} is a folder; expected a .parquet or .csv file")
    if not path.is_file():
        raise IndexFileError(f"{path} does not exist; expected a .parquet or .csv file")
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise IndexFileError(f"{path} is neither a .parquet nor a .csv file")
    return path.resolve()

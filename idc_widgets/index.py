"""The tables of the index: which there are, where each comes from, and what their columns are.

A table is a file. Nothing here opens one; the engine does.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from .errors import IndexFileError, unknown

__all__ = ["COLUMNS", "DATES", "NUMERIC", "REQUIRED", "Index"]

#: Columns of the table "index" (one row a series), in the order they are shown, with SQL types.
#: Names are those of idc-index-data, which are DICOM keywords where DICOM has one.
COLUMNS: Mapping[str, str] = {
    "collection_id": "VARCHAR",
    "analysis_result_id": "VARCHAR",
    "PatientID": "VARCHAR",
    "SeriesInstanceUID": "VARCHAR",
    "StudyInstanceUID": "VARCHAR",
    "source_DOI": "VARCHAR",
    "PatientAge": "VARCHAR",
    "PatientSex": "VARCHAR",
    "StudyDate": "VARCHAR",
    "StudyDescription": "VARCHAR",
    "BodyPartExamined": "VARCHAR",
    "Modality": "VARCHAR",
    "SOPClassUID": "VARCHAR",
    "sop_class_name": "VARCHAR",
    "TransferSyntaxUID": "VARCHAR",
    "transfer_syntax_name": "VARCHAR",
    "PhotometricInterpretation": "VARCHAR",
    "PixelRepresentation": "VARCHAR",
    "Manufacturer": "VARCHAR",
    "ManufacturerModelName": "VARCHAR",
    "SeriesDate": "VARCHAR",
    "SeriesDescription": "VARCHAR",
    "SeriesNumber": "VARCHAR",
    "instanceCount": "BIGINT",
    "license_short_name": "VARCHAR",
    "series_init_idc_version": "BIGINT",
    "series_revised_idc_version": "BIGINT",
    "aws_bucket": "VARCHAR",
    "crdc_series_uuid": "VARCHAR",
    "series_aws_url": "VARCHAR",
    "series_size_MB": "DOUBLE",
}

NUMERIC = frozenset(name for name, sql_type in COLUMNS.items() if sql_type != "VARCHAR")

#: Columns of dates, as ISO 8601 text (YYYY-MM-DD).
DATES = frozenset({"StudyDate", "SeriesDate"})

#: A user's own table must have these; any other column it lacks reads as missing values.
REQUIRED = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id")

_PACKAGE_TABLES = {
    "index": "idc_index.parquet",
    "collections_index": "collections_index.parquet",
    "analysis_results_index": "analysis_results_index.parquet",
    "prior_versions_index": "prior_versions_index.parquet",
    "version_metadata_index": "version_metadata_index.parquet",
}


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
            if self.prepared.is_file():
                tables["index"] = self.prepared
        else:
            tables["index"] = _own_table(Path(path))
            self.data_version = str(tables["index"])
            self.is_own = True
        #: Table name in SQL → the file it is read from.
        self.tables: Mapping[str, Path] = tables

    @classmethod
    def default(cls) -> Index:
        """The index of the installed idc-index-data."""
        return cls()

    @property
    def version(self) -> str:
        """The IDC data release, such as "v25"; for a table of your own, its file name."""
        return self.tables["index"].name if self.is_own else f"v{self.data_version.split('.')[0]}"

    def __repr__(self) -> str:
        return f"Index({str(self.tables['index'])!r})" if self.is_own else "Index.default()"


def normalized_select(path: Path, present: Mapping[str, str]) -> str:
    """The SELECT list that gives a user's table the columns of the index.

    Args:
        path: named in errors.
        present: the columns that the table has, by name, and what each is called in SQL.

    Raises:
        IndexFileError: a required column is missing.
    """
    by_folded = {name.casefold(): name for name in present}
    by_folded.update({name.casefold(): name for name in present if name in COLUMNS})
    missing = [name for name in REQUIRED if name.casefold() not in by_folded]
    if missing:
        hint = unknown("column", missing[0], present).partition("; ")[2]
        raise IndexFileError(
            f"{path} has no column {missing[0]}, which every table of series needs"
            + (f"; {hint}" if hint else "")
        )

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
        value = f"CAST({source(name)} AS {sql_type})"
        if name in NUMERIC:  # counts, sizes and versions: less than nothing and NaN are missing
            value = f"CASE WHEN isfinite({value}::DOUBLE) AND {value} >= 0 THEN {value} END"
        elif name in DATES:  # as DICOM writes them, 20100401, or as ISO does
            value = f"regexp_replace({value}, '^(\\d{{4}})(\\d\\d)(\\d\\d)$', '\\1-\\2-\\3')"
        # An empty key still is a key: its rows are shown and can be picked.
        return f"coalesce({value}, '') AS {name}" if name in REQUIRED else f"{value} AS {name}"

    return ", ".join(column(name, sql_type) for name, sql_type in COLUMNS.items())


def _package_folder() -> Path | None:
    """Where idc-index-data keeps its files; found without importing it, which takes long."""
    spec = importlib.util.find_spec("idc_index_data")
    locations = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(locations[0]) if locations else None


def _cache_folder() -> Path:
    """The folder for what can be made again: $IDC_WIDGETS_CACHE_DIR, or the platform's own."""
    named = os.environ.get("IDC_WIDGETS_CACHE_DIR")
    return Path(named) if named else platformdirs.user_cache_path("idc_widgets", appauthor=False)


def _own_table(path: Path) -> Path:
    if path.is_dir():
        raise IndexFileError(f"{path} is a folder; expected a .parquet or .csv file")
    if not path.is_file():
        raise IndexFileError(f"{path} does not exist; expected a .parquet or .csv file")
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise IndexFileError(f"{path} is neither a .parquet nor a .csv file")
    return path.resolve()

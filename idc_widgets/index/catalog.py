"""The index as a set of files: which tables exist and where each of them is.

Nothing here reads rows; the engine does. Only the last bytes of the installed index are read, to
identify it.
"""

from __future__ import annotations

import importlib.metadata
import os
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .._util import FileIdentity, exists, file_identity, is_file, is_from_us
from ..errors import IndexFileError, InvalidQueryError, unknown_message
from .folders import cache_folder, data_folder, package_folder
from .tables import FETCHABLE_TABLES, MIRRORS, PACKAGE_TABLES, is_clinical_name

__all__ = ["Index"]

#: The version of the format of the file `Index.prepared_encoding`. Increase it with every change of
#: the format.
_ENCODING_VERSION = 6

#: The end of a Parquet file lists its columns, with the places, sizes and extreme values of their
#: data. So a digest of this many bytes at the end identifies the file.
_FOOTER_BYTES = 65_536


class Index:
    """The tables to query: those of the installed idc-index-data, or your own table of series.

    Args:
        path: A ``.parquet`` or ``.csv`` file with one row per series. Its columns are named as in
            the index (or as in IDC's first index: ``DOI``, ``series_aws_location``). It must have
            SeriesInstanceUID, StudyInstanceUID, PatientID and collection_id; if it lacks another
            column of the index, all values of that column are missing. By default, the index in
            idc-index-data.

    Raises:
        IndexFileError: The file does not exist or has another format, or idc-index-data is not
            installed.

    >>> Index()
    Index.default()
    """

    def __init__(self, path: str | Path | None = None) -> None:
        package = package_folder()
        if package is None and path is None:
            raise IndexFileError(
                "the package idc-index-data, which contains the index, is not installed; "
                "run: pip install idc-index-data"
            )
        tables = {
            name: package / file
            for name, file in PACKAGE_TABLES.items()
            if package is not None and is_file(package / file)
        }
        #: The path of the copy of the installed index for quick lookups, whether it exists or not:
        #: see `DuckDBEngine.build_copy`. None for a table of your own, or without a cache folder.
        self.prepared: Path | None = None
        #: The path of the dictionary-encoded columns, whether it exists or not: see
        #: `IDCClient.build_cache`. None for a table of your own, or without a cache folder.
        self.prepared_encoding: Path | None = None
        #: The version of the installed idc-index-data and of the fetched tables, such as "25.0.5".
        #: None if idc-index-data is not installed.
        self.release: str | None = None
        if package is not None:
            with suppress(importlib.metadata.PackageNotFoundError):
                self.release = importlib.metadata.version("idc-index-data")
        #: The folder of the fetched tables of this release, whether it exists or not. None if
        #: tables cannot be fetched.
        self.data_folder: Path | None = None
        folder = data_folder() if self.release else None
        if folder is not None and self.release is not None:
            self.data_folder = folder / self.release
        if path is None:
            version = importlib.metadata.version("idc-index-data")
            if "index" not in tables:
                raise IndexFileError(
                    f"idc-index-data {version} in {package} has no idc_index.parquet; "
                    "run: pip install --upgrade idc-index-data"
                )
            #: Identifies the data: the version of idc-index-data, or the path of your table.
            self.data_version: str = version
            #: Whether this is a table of your own.
            self.is_own: bool = False
            #: The path of the index in idc-index-data.
            self.shipped: Path = tables["index"]
            #: The identity of `shipped`, to notice when another file replaces it.
            self.shipped_identity: FileIdentity | None = file_identity(self.shipped)
            #: The version and a digest of `shipped`, because two files may have the same version.
            self.source: str = f"{version}-{_fingerprint(self.shipped)}"
            cache = cache_folder()
            if cache is not None:
                self.prepared = cache / f"index-{self.source}.parquet"
                name = f"encoding-{self.source}-{_ENCODING_VERSION}.arrow"
                self.prepared_encoding = cache / name
                if is_file(self.prepared) and is_from_us(self.prepared):
                    tables["index"] = self.prepared
        else:
            tables["index"] = _checked_path(Path(path))
            self.data_version = str(tables["index"])
            self.is_own = True
        #: Table name in SQL → its file, or the folder of its Parquet files.
        self.tables: Mapping[str, Path] = {**tables, **self._fetched()}

    @classmethod
    def default(cls) -> Index:
        """Return the index of the installed idc-index-data."""
        return cls()

    @property
    def label(self) -> str:
        """What people call the data: "IDC v25"; for a table of your own, its file name."""
        name = self.tables["index"].name
        return name if self.is_own else f"IDC v{self.data_version.split('.')[0]}"

    @property
    def fetchable(self) -> tuple[str, ...]:
        """The names of the tables that can be fetched or were fetched, without clinical tables."""
        return FETCHABLE_TABLES if self.data_folder is not None else ()

    def place(self, name: str) -> Path:
        """Return where a fetched table is, or would be: a file or, for a clinical table, a folder.

        Args:
            name: One of `fetchable`, or a clinical table.

        Raises:
            InvalidQueryError: No table has this name, or tables cannot be fetched.
        """
        if self.data_folder is not None and name in FETCHABLE_TABLES:
            return self.data_folder / f"{name}.parquet"
        if self.data_folder is not None and is_clinical_name(name):
            return self.data_folder / "clinical" / name
        raise InvalidQueryError(unknown_message("table", name, self.fetchable))

    def urls(self, name: str, mirrors: Sequence[str] = MIRRORS) -> list[str]:
        """Return the addresses of a table in this release, one per mirror.

        Args:
            name: One of `fetchable`.
            mirrors: Addresses with ``{version}`` and ``{name}``, which are filled in.
        """
        version = self.release or ""
        return [url.replace("{version}", version).replace("{name}", name) for url in mirrors]

    def clinical_prefix(self, name: str) -> str:
        """Return the beginning of the keys of a clinical table in `METADATA_BUCKET`.

        Args:
            name: The short_table_name of the table in clinical_index.
        """
        major = (self.release or "").split(".")[0]
        return f"bigquery_export/idc_v{major}_clinical/{name}/"

    def _fetched(self) -> dict[str, Path]:
        """Return the fetched tables that are complete; hidden files are still being written."""
        if self.data_folder is None:
            return {}
        names = [name for name in FETCHABLE_TABLES if is_file(self.place(name))]
        with suppress(OSError):
            folders = sorted((self.data_folder / "clinical").iterdir())
            names += [
                path.name for path in folders if is_clinical_name(path.name) and path.is_dir()
            ]
        return {name: self.place(name) for name in names}

    def __repr__(self) -> str:
        return f"Index({str(self.tables['index'])!r})" if self.is_own else "Index.default()"


def _fingerprint(path: Path) -> str:
    """Return a digest that identifies the content of a Parquet file: of its size and its end."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _FOOTER_BYTES))
            return f"{zlib.crc32(file.read(), size & 0xFFFFFFFF):08x}"
    except OSError as error:
        raise IndexFileError(
            f"cannot read {path}: {error.strerror}; run: pip install --force-reinstall "
            "idc-index-data"
        ) from error


def _checked_path(path: Path) -> Path:
    """Return the absolute path of a user's table.

    Raises:
        IndexFileError: It does not exist, or is neither Parquet nor CSV.
    """
    if exists(path) and path.is_dir():
        raise IndexFileError(f"{path} is a folder; expected a .parquet or .csv file")
    if not is_file(path):
        raise IndexFileError(f"{path} does not exist; expected a .parquet or .csv file")
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise IndexFileError(f"{path} is neither a .parquet nor a .csv file")
    return path.resolve()

"""Remember the files that an engine has opened, and check that they are still the same."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path

from .._util import FileIdentity, exists, file_identity, hold
from ..errors import IndexFileError
from ..index import Index

__all__ = ["OpenedFiles", "changed_error"]


def changed_error(path: Path) -> IndexFileError:
    """Return the error for a file that has changed since it was opened."""
    return IndexFileError(
        f"{path} was changed or replaced since it was opened; make a new client (IDCClient())"
    )


class OpenedFiles:
    """The files of the tables of an engine, each with its identity when it was opened.

    The index in memory refers to rows by their numbers in a file. If another file has replaced this
    file, the numbers must not be used.

    Args:
        index: The files to open.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        #: Table name in SQL → the file, or the folder of files, that it is read from.
        self.paths: Mapping[str, Path] = {}
        self._identities: dict[str, FileIdentity | None] = {}
        #: The prepared copy that is held, and the function that releases it.
        self._held: FileIdentity | None = None
        self._release: Callable[[], object] = lambda: None

    @property
    def is_prepared(self) -> bool:
        """Whether the index is read from its prepared copy."""
        return self.paths.get("index") == self._index.prepared

    def remember(self, name: str, path: Path, identity: FileIdentity | None) -> None:
        """Remember which file a table is read from.

        Args:
            name: The name of the table.
            path: The file.
            identity: The identity of the file before it was opened.
        """
        if name == "index" and path == self._index.prepared:
            self._hold(path, identity)
        elif name == "index" and not self._index.is_own:
            identity = self._index.shipped_identity
        self._identities[name] = identity
        self.paths = {**self.paths, name: path}

    def _hold(self, path: Path, identity: FileIdentity | None) -> None:
        """Keep other processes from removing a prepared copy for as long as the engine lives."""
        if identity is None or identity == self._held:
            return
        file = hold(path)
        if file is not None:
            self._release()
            self._release, self._held = weakref.finalize(self, os.close, file), identity

    def check(self, sql: str) -> bool:
        """Check that the files of the index, and of the other tables in a query, are the same.

        Returns:
            False if only the prepared copy of the index was changed or removed.

        Raises:
            IndexFileError: Another file was changed, replaced or removed.
        """
        text = sql.casefold()
        for name, path in self.paths.items():
            if name == "index" and self.is_prepared:
                if not self._is_same(name):
                    return False
            elif name == "index":
                # A CSV file is not read again: its rows are in memory.
                if path.suffix.lower() != ".csv" and not self._is_same(name):
                    raise changed_error(path)
            elif name in text and not self._is_same(name):
                if self.is_fetched(path) and not exists(path):
                    continue  # DuckDB reports that it is missing; the user can fetch it again
                raise changed_error(path)
        return True

    def check_shipped(self) -> None:
        """Raise an error unless the installed index is the one that was opened.

        Raises:
            IndexFileError: The installed index was changed, replaced or removed.
        """
        if file_identity(self._index.shipped) != self._index.shipped_identity:
            raise changed_error(self._index.shipped)

    def is_current(self, name: str) -> bool:
        """Return whether a table was opened, and its file still exists and has not changed."""
        return name in self.paths and exists(self.paths[name]) and self._is_same(name)

    def are_those_of(self, index: Index) -> bool:
        """Return whether these are the files of an index, and have not changed.

        Fetched tables are not compared, because they can be attached later.
        """
        places = ("is_own", "data_version", "release", "prepared", "prepared_encoding")
        return (
            all(getattr(index, place) == getattr(self._index, place) for place in places)
            and index.data_folder == self._index.data_folder
            and all(
                self.paths.get(name) == path and self.is_current(name)
                for name, path in index.tables.items()
                if not self.is_fetched(path)
            )
        )

    def is_fetched(self, path: Path) -> bool:
        """Return whether a table was fetched into the data folder."""
        folder = self._index.data_folder
        return folder is not None and folder in path.parents

    def snapshot(self) -> dict[str, FileIdentity | None]:
        """Return the identity of each file when it was opened, for `restore`."""
        return dict(self._identities)

    def restore(self, identities: Mapping[str, FileIdentity | None]) -> None:
        """Restore the identities of a `snapshot`, after the same tables were opened again.

        A table that has changed since the snapshot then raises an error when it is used.

        Raises:
            IndexFileError: The user's own table has changed since the snapshot.
        """
        opened_again = self._identities.get("index")
        for name, identity in identities.items():
            if name != "index" or self._index.is_own:
                self._identities[name] = identity
        if self._index.is_own and identities["index"] != opened_again:
            raise changed_error(self.paths["index"])

    def _is_same(self, name: str) -> bool:
        return file_identity(self.paths[name]) == self._identities[name]

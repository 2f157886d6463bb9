"""One series of a plan: where its objects are, where its files go, and which are on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DownloadError
from . import disk

__all__ = ["PlannedSeries"]


@dataclass(frozen=True, slots=True)
class PlannedSeries:
    """One series: where its objects are, and where its files go.

    Its objects are `s3://bucket/prefix/*`. They are fetched into `folder`, which no other series
    shares. The series is complete when exactly `instances` files of `size_bytes` bytes in total
    are on disk. In the flat form, its files are then moved to `final_folder` and renamed to
    `<name of folder>_<name>`.

    If `only` is given, only those objects are wanted: `instances` and `size_bytes` count only them,
    and other files of the series are ignored.

    Args:
        SeriesInstanceUID: The UID.
        bucket: The bucket that has the objects.
        prefix: The prefix of the objects in the bucket.
        folder: The folder into which the objects are fetched.
        instances: The number of files.
        size_bytes: The total size of the files.
        license: The short name of the license; None if it is not known.
        final_folder: Where the files are moved at the end; None if they stay in `folder`.
        only: The bytes of each wanted object, by name; None if all objects are wanted.
        PatientID: The patient; None if the rows of the plan have no such column.
        Modality: The modality; None if the rows of the plan have no such column.
    """

    SeriesInstanceUID: str
    bucket: str
    prefix: str
    folder: Path
    instances: int
    size_bytes: int
    license: str | None = None
    final_folder: Path | None = None
    only: Mapping[str, int] | None = field(default=None, hash=False)
    PatientID: str | None = None
    Modality: str | None = None

    @property
    def location(self) -> str:
        """Where the objects are: `bucket/prefix`."""
        return f"{self.bucket}/{self.prefix}"

    @property
    def destination(self) -> Path:
        """The folder of the files after the download."""
        return self.final_folder or self.folder

    def fits(self, files: int, size_bytes: int) -> bool:
        """Return whether this is the number of files of the series, and their total size."""
        return (files, size_bytes) == (self.instances, self.size_bytes)

    def is_complete(self, files: Mapping[Any, int]) -> bool:
        """Return whether the number and total size of files are those of this series.

        If only some objects are wanted, each file must have the size of its object.

        Args:
            files: Name or path to bytes.
        """
        if not self.fits(len(files), sum(files.values())):
            return False
        return self.only is None or self.only == {
            file if isinstance(file, str) else self._name_in_folder(file): size
            for file, size in files.items()
        }

    def files(self, tagged: Mapping[str, Mapping[str, int]] | None = None) -> dict[Path, int]:
        """Return the finished files of this series on disk, in either folder: path to bytes.

        If only some objects are wanted, the files of other objects are left out.

        Args:
            tagged: The result of `disk.tagged_files(final_folder)`; by default it is called.
        """
        files = {
            self.folder / name: size
            for name, size in disk.dicom_files(self.folder).items()
            if self.only is None or name in self.only
        }
        if self.final_folder is None:
            return files
        if tagged is None:
            tagged = disk.tagged_files(self.final_folder)
        moved = tagged.get(self.folder.name, {})
        # If a file is in both folders, the one in `folder` is the newer
        return files | {
            self._final_path(name): size
            for name, size in moved.items()
            if self.folder / name not in files and (self.only is None or name in self.only)
        }

    def names(self, files: Mapping[Path, int]) -> dict[str, int]:
        """Return the bytes of each file, by the name that the file has in `folder`."""
        if self.final_folder is None:
            return {path.name: size for path, size in files.items()}
        return {self._name_in_folder(path): size for path, size in files.items()}

    def missing_objects(self, names: Mapping[str, int]) -> dict[str, int]:
        """Return the wanted objects (name to bytes) that are missing or have the wrong size.

        If the whole series is wanted, the result is empty, because the names of its objects are
        not known.

        Args:
            names: The files on disk, name to bytes.
        """
        wanted = self.only or {}
        return {name: size for name, size in wanted.items() if names.get(name) != size}

    def keep_aside(self, name: str) -> bool:
        """Rename a changed file to `<name>.changed-1`, or the next number, in the final folder.

        An empty file is removed instead.

        Args:
            name: Its name in `folder`.

        Returns:
            Whether it was renamed; False if it was removed.

        Raises:
            OSError: It cannot be renamed.
        """
        path = beside = self.folder / name
        if self.final_folder is not None:
            beside = self._final_path(name)
            if not path.exists():
                path = beside
        if not path.stat().st_size:
            path.unlink()
            return False
        disk.set_aside(path, "changed", beside=beside)
        return True

    def stage(self, files: Mapping[Path, int]) -> dict[str, int]:
        """Prepare a resumed fetch: move the files that are in `final_folder` back to `folder`.

        s5cmd then sees them and does not fetch them again. Only incomplete series that are wanted
        whole are moved. If only some objects are wanted, they are fetched one by one, so their
        files stay.

        Args:
            files: The result of `files`.

        Returns:
            The files, name to bytes, without those that could not be moved.
        """
        if self.final_folder is None or self.only is not None or self.is_complete(files):
            return self.names(files)
        staged = {}
        for path, size in files.items():
            name = self._name_in_folder(path)
            if path.parent != self.folder:
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    os.replace(path, self.folder / name)
                except OSError:
                    continue  # it is fetched again
            staged[name] = size
        return staged

    def finalize(self, files: Mapping[Path, int] | None = None) -> list[Path]:
        """Move the files of a complete series to `final_folder`; return their paths, sorted.

        This does nothing if the series is incomplete or has no `final_folder`. After an interrupted
        call, the next call moves the rest. `folder` is removed when it is empty.

        Args:
            files: The result of `files`; by default it is called.

        Raises:
            DownloadError: A file cannot be moved.
        """
        if files is None:
            files = self.files()
        if self.final_folder is None or not self.is_complete(files):
            return sorted(files)
        try:
            for path in files:
                if path.parent == self.folder:
                    os.replace(path, self._final_path(path.name))
        except OSError as error:
            raise DownloadError(
                f"the files of series {self.SeriesInstanceUID} are complete in {self.folder}, but "
                f"cannot be moved to {self.final_folder}: {error.strerror or error}"
            ) from error
        for folder in (self.folder, self.folder.parent):
            with suppress(OSError):  # it does not exist, or is not empty
                folder.rmdir()
        return sorted(self._final_path(self._name_in_folder(path)) for path in files)

    def _final_path(self, name: str) -> Path:
        assert self.final_folder is not None
        return self.final_folder / f"{self.folder.name}_{name}"

    def _name_in_folder(self, path: Path) -> str:
        if path.parent == self.folder:
            return path.name
        return path.name.removeprefix(f"{self.folder.name}_")

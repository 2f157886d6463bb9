"""The temporary folder that DuckDB writes to when a query needs more memory than it may use."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from .._util import exists, hold, is_file, is_from_us, remove_unless_held

__all__ = ["SpillFolder"]

#: The beginning of the name of a folder.
_PREFIX = "idc_widgets_spill_"

#: The file in a folder that marks it as in use.
_MARK = "in_use"

#: Limits of what one engine may write: in bytes (10 GB), and as a part of the free space.
_MAX_BYTES, _MAX_PART_OF_FREE_SPACE = 10 * 10**9, 0.5

#: The ids of the processes that have removed old folders: this process or, in a forked child, its
#: parents.
_swept_in: set[int] = set()


class SpillFolder:
    """A private folder for one engine; `close` removes it.

    If there is no writable temporary folder, there is no spill folder. Large queries then fail with
    DuckDB's message about memory.
    """

    def __init__(self) -> None:
        #: The folder; None if there is none.
        self.path: Path | None = None
        self._process, self._mark = os.getpid(), None
        try:
            parent = Path(tempfile.gettempdir())  # an absolute path
            _sweep_once(parent)
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))  # for this user only
            (path / _MARK).touch()
        except OSError:
            return
        self.path, self._mark = path, hold(path / _MARK)

    def settings(self) -> list[str]:
        """Return the statements that make DuckDB use the folder, up to a limit of size."""
        if self.path is None:
            return ["SET temp_directory = ''"]
        with suppress(OSError):
            free = shutil.disk_usage(self.path).free
            megabytes = min(_MAX_BYTES, int(free * _MAX_PART_OF_FREE_SPACE)) // 10**6
            quoted = str(self.path).replace("'", "''")
            return [
                f"SET temp_directory = '{quoted}'",
                f"SET max_temp_directory_size = '{megabytes}MB'",
            ]
        return ["SET temp_directory = ''"]

    def restore(self) -> None:
        """Make the folder again if it was removed.

        Many systems remove files from the temporary folder that were not used for some days. DuckDB
        then fails, or makes a folder that everybody can read.
        """
        if self.path is None or exists(self.path):
            return
        try:
            self.path.mkdir(mode=0o700)
            (self.path / _MARK).touch()
        except OSError:
            return
        self._let_go()
        self._mark = hold(self.path / _MARK)

    def close(self) -> None:
        """Remove the folder. A forked child leaves that of its parent alone."""
        self._let_go()
        if self.path is not None and self._process == os.getpid():
            shutil.rmtree(self.path, ignore_errors=True)
            self.path = None

    def _let_go(self) -> None:
        if self._mark is not None:
            with suppress(OSError):
                os.close(self._mark)
            self._mark = None


def _sweep_once(parent: Path) -> None:
    """Remove the spill folders that dead processes of this user left; do this only once."""
    if os.getpid() in _swept_in:
        return
    _swept_in.add(os.getpid())
    for folder in parent.glob(f"{_PREFIX}*"):
        mark = folder / _MARK
        if not folder.is_symlink() and is_from_us(folder) and is_file(mark):
            with suppress(OSError):
                if remove_unless_held(mark):
                    shutil.rmtree(folder, ignore_errors=True)

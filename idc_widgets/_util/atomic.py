"""Files that are written whole or not at all.

A file is written under a hidden name beside its target and renamed when it is complete, so that a
reader sees the old file or the new one, and an error leaves the old one as it was.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["move_into_place", "remove", "replaced_when_complete", "write_whole"]


@contextmanager
def replaced_when_complete(target: Path, *, only_writer: bool = False) -> Iterator[Path]:
    """Yield a hidden path beside `target` to write to, and rename it to `target` at the end.

    If the `with` block raises an error, the hidden file is removed and `target` stays as it was.
    The content is on the disk before `target` is replaced, so that a power cut leaves the old file
    or the new one.

    Args:
        target: The file to write or to replace. Its folder must exist.
        only_writer: True if the caller holds a lock that excludes all other writers of `target`.
            The hidden file then always has the same name, so that it replaces one that a killed
            process left behind.

    Raises:
        OSError: The file cannot be written or renamed; the error names `target`.
    """
    # The random name does not contain the name of the target: together, they could be too long.
    name = target.name if only_writer else uuid.uuid4().hex
    temporary = target.with_name(f".{name}.tmp")
    if only_writer:
        try:
            temporary.unlink(missing_ok=True)
        except PermissionError:  # another user left it behind in a folder with the sticky bit
            temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename == str(temporary):
            # Users know only the name of the target.
            raise OSError(error.errno, error.strerror, str(target)) from None
        raise


def write_whole(
    target: Path, content: str | bytes | Iterable[str], *, only_writer: bool = False
) -> None:
    """Write text (as UTF-8, line ends as they are) or bytes to a file, whole or not at all.

    Args:
        target: The file to write or to replace. Its folder must exist.
        content: The text, the bytes, or the pieces of a text. An error while the pieces are made
            leaves `target` as it was.
        only_writer: See `replaced_when_complete`.

    Raises:
        OSError: The file cannot be written.
    """
    if isinstance(content, str):
        content = [content]
    with (
        replaced_when_complete(target, only_writer=only_writer) as temporary,
        temporary.open("xb") as file,  # "x" does not write through a symlink planted at this path
    ):
        if isinstance(content, bytes):
            file.write(content)
        else:
            file.writelines(piece.encode() for piece in content)


def _flush_to_disk(path: Path) -> None:
    """Wait until the content of a file is on the disk.

    Raises:
        OSError: The disk is full or broken: some file systems report it only here.
    """
    with path.open("rb+") as file:  # Windows flushes only files that are open for writing
        os.fsync(file.fileno())


def move_into_place(source: Path, target: Path) -> None:
    """Rename a complete file or folder to `target` in one step.

    If another process has already put the same content there, and the system does not let us
    replace it, the existing one stays and `source` is removed.

    Raises:
        OSError: It cannot be renamed.
    """
    try:
        source.replace(target)
    except OSError:
        if source.is_dir() != target.is_dir() or not target.exists():
            raise
        # A folder is never replaced. Windows does not replace a file that a process has open.
        remove(source)


def remove(path: Path) -> None:
    """Remove a file, or a folder with everything in it, if it exists.

    Raises:
        OSError: It cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

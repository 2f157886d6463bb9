"""Reads files in folders that others may write to.

Somebody else may have put a pipe, a device or a link at the path of a file of ours. Opening a pipe
waits for its writer, and reading a device such as /dev/zero does not end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["open_regular", "read_regular"]

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)


def open_regular(path: Path) -> int:
    """Open a regular file for reading, and return its descriptor.

    Raises:
        FileNotFoundError: There is nothing at the path.
        OSError: Something else is there, such as a link, or the file cannot be read.
    """
    _require_regular(path.lstat())  # opening a device may have an effect
    file = os.open(path, _FLAGS)
    try:
        _require_regular(os.fstat(file))  # somebody may have replaced the file in between
    except BaseException:
        os.close(file)
        raise
    return file


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        FileNotFoundError: There is nothing at the path.
        OSError: Something else is there, such as a link; the file is larger than `max_bytes`; or it
            cannot be read.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        if os.fstat(file.fileno()).st_size <= max_bytes:
            content = file.read(max_bytes + 1)  # the file may grow while it is read
            if len(content) <= max_bytes:
                return content
    raise OSError(errno.EFBIG, f"the file is larger than {max_bytes:,} bytes")


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")

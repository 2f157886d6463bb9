"""Read text files whose paths come from users."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from .._util import human_size
from ..errors import InvalidQueryError, nearest_choice

__all__ = ["check_size", "expand_home", "is_file", "is_folder", "read_text"]

# This uses os.path because pathlib raises errors for unknown home folders and for names that are
# too long, and takes "" for the current folder.


def expand_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with its leading ``~`` replaced by the home folder."""
    return Path(_expanded(path))


def is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a regular file; ``~`` is the home folder."""
    return os.path.isfile(_expanded(path))


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder; ``~`` is the home folder."""
    return os.path.isdir(_expanded(path))


def _expanded(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    with suppress(ValueError):  # "~a\0b", in which "a\0b" cannot be the name of a user
        return os.path.expanduser(text)
    return text


def read_text(path: str | os.PathLike[str], kind: str, max_bytes: int) -> str:
    """Return the text of a file in UTF-8, UTF-16 or Latin-1, without a byte order mark.

    Args:
        path: The file; ``~`` is the home folder.
        kind: The kind of file for messages, such as "a manifest".
        max_bytes: The largest accepted size.

    Raises:
        InvalidQueryError: The file does not exist, is not a regular file, is larger than
            `max_bytes`, or cannot be read.
    """
    if not is_file(path):
        raise InvalidQueryError(_not_a_file(path, kind))
    try:
        with expand_home(path).open("rb") as file:
            check_size(kind, os.fstat(file.fileno()).st_size, max_bytes)
            return _decode(file.read(max_bytes))
    except OSError as error:
        raise InvalidQueryError(f"{path} cannot be read: {error.strerror}") from error


def _not_a_file(path: str | os.PathLike[str], kind: str) -> str:
    """Return why a path is not a file, with the most similar name beside it."""
    shown = f"{str(path)[:200]!r}"
    if is_folder(path):
        return f"{shown} is not a file: it is a folder; expected the file of {kind}"
    folder, name = os.path.split(_expanded(path))
    with suppress(OSError, ValueError):
        if os.path.lexists(_expanded(path)):
            return f"{shown} is not a file: it is a pipe or a device; expected the file of {kind}"
        nearest = nearest_choice(name, os.listdir(folder or os.curdir))
        hint = f"; did you mean {os.path.join(folder, nearest)!r}?" if nearest else ""
        return f"{shown} is not a file: it does not exist{hint}"
    return f"{shown} is not a file: it does not exist"


def check_size(kind: str, size: int, maximum: int) -> None:
    """Raise an InvalidQueryError if `size` is above `maximum` (both in bytes)."""
    if size > maximum:
        raise InvalidQueryError(
            f"{kind} of {human_size(size)}; expected {human_size(maximum)} at most"
        )


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")

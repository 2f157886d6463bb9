"""A file or a text → a Manifest: the series it means, and the lines that give none."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..._util import human_size, plural
from ...errors import InvalidQueryError
from ...query import Cohort, Engine
from ..identifiers import split_uids
from .lookup import look_up
from .parse import EXPECTED, Entry, UnknownLine, kind_of, parse

if TYPE_CHECKING:
    from ..selection import Selection

__all__ = ["Manifest", "read_manifest"]

#: Larger is no manifest: one with all of IDC's series is 70 MB.
MOST_BYTES = 200_000_000


@dataclass(frozen=True, repr=False)
class Manifest:
    """What a manifest means in this version of the index."""

    #: The series that are known.
    selection: Selection
    #: The other lines, by number. A line that names several things may be there several times.
    unknown: tuple[UnknownLine, ...]

    def __str__(self) -> str:
        """In words.

        >>> str(client.read_manifest("manifest.s5cmd"))
        "312 series; 1 line is not known: line 7: the command 'rm': only cp and sync are read"
        """
        words = plural(len(self.selection), "series")
        if not self.unknown:
            return words
        lines = len({one.number for one in self.unknown})
        shown = "; ".join(map(str, self.unknown[:3]))
        more = f"; and {len(self.unknown) - 3:,} more" if len(self.unknown) > 3 else ""
        are = "is" if lines == 1 else "are"
        return f"{words}; {plural(lines, 'line')} {are} not known: {shown}{more}"

    __repr__ = __str__


def read_manifest(engine: Engine, source: str | os.PathLike[str]) -> Manifest:
    """Reads a manifest; arguments and errors as of `IDCClient.read_manifest`."""
    text = _text_of(source)
    entries: list[Entry] = []
    unknowns: list[UnknownLine] = []
    for one in parse(engine, text):
        if isinstance(one, UnknownLine):
            unknowns.append(one)
        else:
            entries.append(one)
    series, not_found = look_up(engine, entries)
    unknowns = sorted([*unknowns, *not_found], key=lambda one: one.number)
    if not series and not any(kind_of(one.value) or one.collection for one in entries):
        # A list of nothing, as we write one of an empty selection, has a header or a comment.
        if unknowns:
            first = unknowns[0]
            shown = f"line {first.number:,} is {first.text[:80]!r} ({first.reason})"
            raise InvalidQueryError(f"nothing in it is known: {EXPECTED}; {shown}")
        if not text.strip():
            raise InvalidQueryError(f"the manifest is empty: {EXPECTED}")
    return Manifest(Cohort(engine).of_series(series).select(), tuple(unknowns))


def _text_of(source: str | os.PathLike[str]) -> str:
    anything: Any = source
    if not isinstance(anything, str | os.PathLike):
        raise InvalidQueryError(
            f"{str(source)[:80]!r} is neither a path nor the text of a manifest"
        )
    if isinstance(source, str) and _is_text(source):
        _check_size("a manifest", len(source), MOST_BYTES)
        text = source.removeprefix("\ufeff")
    else:
        text = text_of_file(source, "a manifest", MOST_BYTES)
    # Not splitlines(): editors number lines by these alone.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_text(source: str) -> bool:
    """Whether it is the text of a manifest, not the path of one."""
    if "\n" in source or "\r" in source:
        return True
    if os.path.isfile(expanded(source)):
        return False
    return not source.strip() or any(map(kind_of, split_uids(source)))


def expanded(path: str | os.PathLike[str]) -> str:
    """A path in which `~` is the home folder."""
    text = os.fspath(path)
    with suppress(ValueError):  # no user can have that name
        return os.path.expanduser(text)
    return text


def text_of_file(path: str | os.PathLike[str], what: str, most: int) -> str:
    """The text of a file in UTF-8, UTF-16 or Latin-1, without a byte order mark.

    Args:
        path: of the file; `~` is the home folder.
        what: it should be, for messages.
        most: bytes.

    Raises:
        InvalidQueryError: no such file, or a pipe or the like; it is too large or cannot be read.
    """
    if not os.path.isfile(expanded(path)):
        raise InvalidQueryError(f"{str(path)[:200]!r} is no file")
    try:
        with open(expanded(path), "rb") as file:
            _check_size(what, os.fstat(file.fileno()).st_size, most)
            return _decoded(file.read(most))
    except OSError as error:
        raise InvalidQueryError(f"{path} cannot be read: {error.strerror}") from error


def _check_size(what: str, size: int, most: int) -> None:
    if size > most:
        raise InvalidQueryError(
            f"{what} of {human_size(size)}; expected {human_size(most)} at most"
        )


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")

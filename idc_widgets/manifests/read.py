"""A file or a text → a Manifest: the series it means, and the lines that give none."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..cohort import Cohort
from ..engine import Engine
from ..errors import InvalidQueryError
from ..uids import split_uids
from ..units import human_size, plural
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
    is_text = isinstance(source, str) and ("\n" in source or "\r" in source)
    if not is_text and os.path.isfile(source):
        try:
            with open(source, "rb") as file:
                _check_size(os.fstat(file.fileno()).st_size)
                text = _decoded(file.read(MOST_BYTES))
        except OSError as error:
            raise InvalidQueryError(f"{source} cannot be read: {error.strerror}") from error
    elif isinstance(source, str) and (is_text or any(map(kind_of, split_uids(source)))):
        _check_size(len(source))
        text = source
    else:
        raise InvalidQueryError(f"{str(source)[:200]!r} is no file")
    # Not splitlines(): editors number lines by these alone.
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise InvalidQueryError(
            f"a manifest of {human_size(size)}; expected {human_size(MOST_BYTES)} at most"
        )


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")

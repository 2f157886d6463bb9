"""Read a manifest into a selection."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from .._util import and_more, plural
from ..query import Engine
from .manifests import UnknownLine, resolve_manifest
from .selection import Selection

__all__ = ["Manifest", "read_manifest"]

#: The number of unknown lines that a summary shows before "and N more".
MAX_LINES_SHOWN = 3


@dataclass(frozen=True, repr=False)
class Manifest:
    """The series that a manifest names, and the lines that name no series of the index.

    Args:
        selection: The series that the index has.
        unknown: The lines that name no series of the index, sorted by number. If several
            identifiers of a line are unknown, each of them is an entry with its own reason.
    """

    selection: Selection
    unknown: tuple[UnknownLine, ...]

    def __str__(self) -> str:
        """Return a summary in words.

        >>> str(client.read_manifest("manifest.s5cmd"))  # doctest: +SKIP
        "312 series; 1 line is not known: line 7: the command 'rm': only cp and sync are read"
        """
        words = plural(len(self.selection), "series")
        if not self.unknown:
            return words
        lines = len({line.number for line in self.unknown})
        shown = "; ".join(map(str, self.unknown[:MAX_LINES_SHOWN]))
        more = and_more(len(self.unknown) - MAX_LINES_SHOWN, "; and {} more")
        are = "is" if lines == 1 else "are"
        return f"{words}; {plural(lines, 'line')} {are} not known: {shown}{more}"

    __repr__ = __str__


def read_manifest(
    engine: Engine, source: str | os.PathLike[str], *, endpoint_url: str | None = None
) -> Manifest:
    """Read a manifest; arguments and errors are those of `IDCClient.read_manifest`.

    Args:
        engine: The engine in which the series are looked up.
        source: The path of the manifest, or its text.
        endpoint_url: The S3 server from which the selection is downloaded by default.
    """
    cohort, unknown = resolve_manifest(engine, source)
    return Manifest(Selection(replace(cohort, endpoint_url=endpoint_url)), unknown)

"""Every exception this package raises on purpose, and the one way it words "did you mean"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DownloadError",
    "FetchError",
    "IDCError",
    "IndexFileError",
    "InvalidQueryError",
    "QueryInterruptedError",
    "nearest",
    "unknown",
]


class IDCError(Exception):
    """Base of all errors of idc_widgets: catch this to catch them all."""


class IndexFileError(IDCError):
    """A table of the index cannot be opened, or lacks what is required of it."""


class InvalidQueryError(IDCError, ValueError):
    """A filter, a column, a value, a level or an SQL text that cannot be answered."""


class QueryInterruptedError(IDCError):
    """A question that was ended before it was answered, because somebody asked for that."""


class DownloadError(IDCError):
    """A download that cannot be planned or started; the message names what to change."""


class LargeDownloadError(DownloadError):
    """A download larger than its limit, which somebody should agree to.

    Args:
        message: the size, the limit, and how to raise it.
        preview: what it would do, in plain words.
    """

    def __init__(self, message: str, *, preview: str) -> None:
        super().__init__(message)
        self.preview = preview


class FetchError(IDCError):
    """A table that cannot be fetched; the message names each mirror and what it said."""


def nearest(name: object, candidates: Iterable[object]) -> str | None:
    """The candidate most like `name` (letter case ignored), or None if none is near."""
    by_folded = {str(candidate).casefold(): str(candidate) for candidate in candidates}
    folded = str(name).casefold()
    if folded in by_folded:
        return by_folded[folded]
    close = difflib.get_close_matches(folded, list(by_folded), n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def unknown(kind: str, name: object, candidates: Iterable[object]) -> str:
    """The message for an unknown name: what it is, and the nearest valid choice or choices.

    >>> unknown("collection", "nsclc_radiomic", ["nlst", "nsclc_radiomics"])
    "unknown collection 'nsclc_radiomic'; did you mean 'nsclc_radiomics'?"
    """
    choices = [str(candidate) for candidate in candidates]
    message = f"unknown {kind} {str(name)!r}"
    near = nearest(name, choices)
    if near is not None:
        return f"{message}; did you mean {near!r}?"
    if 0 < len(choices) <= 30:
        return f"{message}; expected one of {', '.join(sorted(choices))}"
    return message

"""The exceptions that this package raises, and the wording of messages about unknown names."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from itertools import islice, pairwise

__all__ = [
    "DEFAULT_FOLDER",
    "MAX_GB",
    "DownloadError",
    "EmptySelectionError",
    "FetchError",
    "IDCError",
    "IndexFileError",
    "InvalidQueryError",
    "LargeDownloadError",
    "QueryInterruptedError",
    "nearest_choice",
    "shown_value",
    "unknown_message",
]

#: Similarity, from 0 to 1, above which a choice is proposed.
_MIN_SIMILARITY = 0.6

#: A message lists all choices if there are no more than this.
_MAX_LISTED_CHOICES = 30

#: The largest number of choices that are searched for a similar one. Together with the next two
#: limits, it keeps the time of a search below some 30 ms.
_MAX_CHOICES = 5_000

#: Number of choices that `difflib` compares: those that share most pairs of letters with the name.
_MAX_COMPARED_CHOICES = 50

#: Number of characters of a name or a choice that are compared.
_MAX_COMPARED_CHARACTERS = 64

#: Number of characters of a name in a message.
_MAX_SHOWN_CHARACTERS = 200


class IDCError(Exception):
    """The base class of all errors of idc_widgets."""


class IndexFileError(IDCError):
    """A table of the index cannot be opened or written, or lacks a required column."""


class InvalidQueryError(IDCError, ValueError):
    """A filter, column, value, level or SQL text is invalid; the message says what is valid."""


class QueryInterruptedError(IDCError):
    """The query was interrupted on request."""


class DownloadError(IDCError):
    """A download cannot be planned, started or finished; the message names what to change."""


class EmptySelectionError(DownloadError):
    """There is nothing to download; the message says which filter leaves nothing."""


class LargeDownloadError(DownloadError):
    """A download is larger than its limit and needs consent.

    Args:
        message: The size, the limit, and how to raise the limit.
        preview: What the download would do, in plain words.
    """

    def __init__(self, message: str, *, preview: str) -> None:
        super().__init__(message)
        self.preview = preview


#: Default limit of a download in GB (10^9 bytes). A download with more left to fetch raises
#: `LargeDownloadError`. This module has the constant, because signatures need it before `download`
#: is imported.
MAX_GB = 50.0

#: The default folder of downloads, in the working folder. Signatures need it, too.
DEFAULT_FOLDER = "idc_data"


class FetchError(IDCError):
    """A table or a citation cannot be fetched; the message names each server and its problem."""


def nearest_choice(name: object, choices: Iterable[object]) -> str | None:
    """Return the choice that is most similar to `name`, or None if none is similar.

    Letter case is ignored. Only the first 5,000 choices are compared, so that a message never
    takes long. Pass the likely ones first.

    >>> nearest_choice("modalty", ["Modality", "Manufacturer"])
    'Modality'
    """
    by_folded: dict[str, str] = {}
    for choice in islice(choices, _MAX_CHOICES):
        by_folded.setdefault(_folded(choice), str(choice))
    folded = _folded(name)
    if folded in by_folded:
        return by_folded[folded]
    compared = list(by_folded)
    if len(compared) > _MAX_COMPARED_CHOICES:
        pairs = set(pairwise(folded))
        compared.sort(key=lambda choice: _shared_pairs(pairs, choice), reverse=True)
        compared = compared[:_MAX_COMPARED_CHOICES]
    close = difflib.get_close_matches(folded, compared, n=1, cutoff=_MIN_SIMILARITY)
    return by_folded[close[0]] if close else None


def _folded(text: object) -> str:
    return str(text)[:_MAX_COMPARED_CHARACTERS].casefold()


def _shared_pairs(pairs: set[tuple[str, str]], choice: str) -> float:
    """Return how similar a choice is to the name with these pairs of letters: 0 to 1 (Dice)."""
    others = set(pairwise(choice))
    return 2 * len(pairs & others) / max(1, len(pairs) + len(others))


def shown_value(value: object) -> str:
    """Return the repr of a value for a message; the end of a long one is left out.

    >>> shown_value((60, 80)), shown_value(list(range(500)))
    ('(60, 80)', '[0, 1, 2, 3, 4, 5, ...]')
    """
    return _shortened.repr(value)


_shortened = reprlib.Repr()
_shortened.maxother = _shortened.maxstring = _shortened.maxlong = _MAX_SHOWN_CHARACTERS


def unknown_message(kind: str, name: object, choices: Iterable[object]) -> str:
    """Return the message for an unknown name, with the nearest choice, or with all if they are few.

    Args:
        kind: The kind of thing that should have this name, such as "column".
        name: The unknown name; 200 characters of it are shown.
        choices: The valid names; see `nearest_choice`.

    >>> unknown_message("collection", "nsclc_radiomic", ["nlst", "nsclc_radiomics"])
    "unknown collection 'nsclc_radiomic'; did you mean 'nsclc_radiomics'?"
    """
    valid = [str(choice) for choice in islice(choices, _MAX_CHOICES)]
    message = f"unknown {kind} {str(name)[:_MAX_SHOWN_CHARACTERS]!r}"
    nearest = nearest_choice(name, valid)
    if nearest is not None:
        return f"{message}; did you mean {nearest[:_MAX_SHOWN_CHARACTERS]!r}?"
    if 0 < len(valid) <= _MAX_LISTED_CHOICES:
        return f"{message}; expected one of {', '.join(sorted(valid))}"
    return message

"""Look up pasted UIDs of series and studies in the index and in its earlier versions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .._util import plural
from ..errors import InvalidQueryError
from ..query import Cohort, Engine, is_uid, known_texts

__all__ = ["MAX_UIDS", "FoundUids", "find_uids", "split_uids"]

#: The largest number of UIDs per call. Join a longer list as a table in SQL instead.
MAX_UIDS = 100_000

#: Characters between UIDs that were copied from a table, a Python list or a manifest.
_SEPARATORS = re.compile(r"[\s,;\"'()\[\]{}]+")


@dataclass(frozen=True)
class FoundUids:
    """The known UIDs of a list, those that only earlier versions have, and the unknown ones.

    Args:
        known: The UIDs of series and studies that the index has, in the order of the list.
        prior: UID that only earlier versions have → the last IDC version that has it.
        unknown: The UIDs that no version has.
        cohort: The series with the known UIDs, and all series of the studies with the known UIDs.
    """

    known: tuple[str, ...]
    prior: dict[str, int]
    unknown: tuple[str, ...]
    cohort: Cohort

    def __str__(self) -> str:
        """Return a summary in words.

        >>> from idc_widgets import IDCClient
        >>> str(IDCClient().find_uids("1.3.6.1.4.1.32722.99.99.1"))
        '0 of 1 UID found; 1 unknown: 1.3.6.1.4.1.32722.99.99.1'
        """
        total = len(self.known) + len(self.prior) + len(self.unknown)
        words = [f"{len(self.known):,} of {plural(total, 'UID')} found"]
        if self.prior:
            first, version = next(iter(self.prior.items()))
            words.append(f"{len(self.prior):,} only in earlier versions: {first} until v{version}")
        if self.unknown:
            words.append(f"{len(self.unknown):,} unknown: {self.unknown[0]}")
        return "; ".join(words)


def find_uids(
    engine: Engine, given: str | Iterable[str], *, endpoint_url: str | None = None
) -> FoundUids:
    """Look up the UIDs of series and studies.

    Args:
        engine: The engine whose index is searched.
        given: A text with the UIDs, one per line or otherwise separated, or an iterable of UIDs;
            at most `MAX_UIDS`. Lines that start with # are ignored.
        endpoint_url: The S3 server from which the cohort is downloaded by default.

    Raises:
        InvalidQueryError: There are no UIDs or too many, or a part of the text is not a UID. In the
            last case, the message has the number of its line.
    """
    untyped: Any = given
    if isinstance(untyped, bytes) or not isinstance(untyped, Iterable):
        raise InvalidQueryError(f"{str(given)[:80]!r} is neither a text nor a list of UIDs")
    lines = given.splitlines() if isinstance(given, str) else [str(item) for item in given]
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("#"):
            for piece in split_uids(line):
                line_of.setdefault(piece, number)
    if not line_of:
        raise InvalidQueryError("no UIDs: expected one per line")
    if len(line_of) > MAX_UIDS:
        raise InvalidQueryError(f"{len(line_of):,} UIDs; expected {MAX_UIDS:,} at most")
    uids = list(line_of)
    for uid in uids:
        if not uid.isprintable():  # databases reject control characters and lone surrogates
            raise _not_a_uid(uid, line_of[uid])
    series = known_texts(engine, "SeriesInstanceUID", uids)
    rest = [uid for uid in uids if uid not in series]
    known = series | known_texts(engine, "StudyInstanceUID", rest)
    # The form is checked only now, because users' own tables may have identifiers of any form.
    rest = [uid for uid in rest if uid not in known]
    for uid in rest:
        if not is_uid(uid):
            raise _not_a_uid(uid, line_of[uid])
    prior = _prior_versions(engine, rest)
    return FoundUids(
        known=tuple(uid for uid in uids if uid in known),
        prior=prior,
        unknown=tuple(uid for uid in rest if uid not in prior),
        cohort=Cohort(engine, endpoint_url=endpoint_url).of_uids(known),
    )


def split_uids(line: str) -> list[str]:
    """Split a line at spaces, commas, semicolons, quotes and brackets.

    >>> split_uids("['1.2.3', '1.2.4']")
    ['1.2.3', '1.2.4']
    """
    return [piece for piece in _SEPARATORS.split(line) if piece]


def _not_a_uid(text: str, line: int) -> InvalidQueryError:
    return InvalidQueryError(
        f"line {line:,}: {text[:80]!r} is not a UID; expected numbers joined by dots, "
        "such as 1.3.6.1.4.1.14519.5.2.1"
    )


def _prior_versions(engine: Engine, uids: list[str]) -> dict[str, int]:
    """Return UID → last IDC version, for the UIDs that an earlier version has."""
    if not uids or "prior_versions_index" not in engine.tables():
        return {}
    last: dict[str, int] = {}
    for column in ("SeriesInstanceUID", "StudyInstanceUID"):
        known = known_texts(engine, column, uids, table="prior_versions_index")
        if known:
            # Reading the whole table is fast, because few series are only in earlier versions.
            versions = engine.rows(
                f"SELECT {column}, max(max_idc_version) FROM prior_versions_index GROUP BY 1"
            )
            last.update((uid, version) for uid, version in versions if uid in known)
    return {uid: last[uid] for uid in uids if uid in last}

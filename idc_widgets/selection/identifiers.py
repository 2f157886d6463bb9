"""A pasted list of UIDs: which series they mean, and what became of those the index lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .._util import plural
from ..errors import InvalidQueryError
from ..query import Cohort, Engine, known_texts

__all__ = ["MOST_UIDS", "FoundUids", "find_uids", "is_uid", "split_uids"]

#: More in one list is a matter for a file and SQL.
MOST_UIDS = 100_000

#: DICOM PS3.5, 9.1: numbers joined by dots, 64 characters at most.
_UID = re.compile(r"[0-9]+(\.[0-9]+)+", re.ASCII)

#: What stands between UIDs that were copied from a table, a list in Python or a manifest.
_BETWEEN = re.compile(r"[\s,;\"'()\[\]{}]+")


@dataclass(frozen=True)
class FoundUids:
    """What a list of UIDs means in one version of the index."""

    #: The series and studies of the index that are named.
    known: tuple[str, ...]
    #: Series and studies of earlier IDC versions only → the last version that had them.
    prior: dict[str, int]
    #: UIDs that no version had.
    unknown: tuple[str, ...]
    #: The series of the known UIDs.
    cohort: Cohort

    def __str__(self) -> str:
        """In words.

        >>> str(client.find_uids("1.3.6.1.4.1.32722.99.99.1"))
        '0 of 1 UID found; 1 unknown: 1.3.6.1.4.1.32722.99.99.1'
        """
        total = len(self.known) + len(self.prior) + len(self.unknown)
        words = [f"{len(self.known):,} of {plural(total, 'UID')} found"]
        if self.prior:
            first, version = next(iter(self.prior.items()))
            words.append(f"{len(self.prior):,} only in prior versions: {first} until v{version}")
        if self.unknown:
            words.append(f"{len(self.unknown):,} unknown: {self.unknown[0]}")
        return "; ".join(words)


def find_uids(engine: Engine, given: str | Iterable[str]) -> FoundUids:
    """Looks up UIDs of series and studies, one a line or otherwise set apart.

    Args:
        engine: where to look.
        given: a text, or the UIDs; `MOST_UIDS` at most. A line that begins with # is left out.

    Raises:
        InvalidQueryError: a piece of it is no UID (its line is named), it is empty or too long.
    """
    anything: Any = given
    if isinstance(anything, bytes) or not isinstance(anything, Iterable):
        raise InvalidQueryError(f"{str(given)[:80]!r} is no text and no list of UIDs")
    lines = given.splitlines() if isinstance(given, str) else [str(one) for one in given]
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("#"):
            for piece in split_uids(line):
                line_of.setdefault(piece, number)
    if not line_of:
        raise InvalidQueryError("no UIDs: expected one a line")
    if len(line_of) > MOST_UIDS:
        raise InvalidQueryError(f"{len(line_of):,} UIDs; expected {MOST_UIDS:,} at most")
    uids = list(line_of)
    for uid in uids:
        if not uid.isprintable():  # lone surrogates and control characters: no database knows them
            raise _no_uid(uid, line_of[uid])
    series = known_texts(engine, "SeriesInstanceUID", uids)
    rest = [uid for uid in uids if uid not in series]
    known = series | known_texts(engine, "StudyInstanceUID", rest)
    rest = [uid for uid in rest if uid not in known]
    for uid in rest:
        if not is_uid(uid):
            raise _no_uid(uid, line_of[uid])
    prior = _prior_versions(engine, rest)
    return FoundUids(
        known=tuple(uid for uid in uids if uid in known),
        prior=prior,
        unknown=tuple(uid for uid in rest if uid not in prior),
        cohort=Cohort(engine).of_uids(known),
    )


def is_uid(text: str) -> bool:
    """Whether a text has the form of a UID."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def split_uids(line: str) -> list[str]:
    """What stands in a line between spaces, commas, quotes and brackets."""
    return [piece for piece in _BETWEEN.split(line) if piece]


def _no_uid(text: str, line: int) -> InvalidQueryError:
    return InvalidQueryError(
        f"line {line:,}: {text[:80]!r} is no UID; expected numbers joined by dots, "
        "such as 1.3.6.1.4.1.14519.5.2.1"
    )


def _prior_versions(engine: Engine, uids: list[str]) -> dict[str, int]:
    """Those of the UIDs that an earlier version of IDC had, and the last version that did."""
    if not uids or "prior_versions_index" not in engine.tables():
        return {}
    last: dict[str, int] = {}
    for column in ("SeriesInstanceUID", "StudyInstanceUID"):
        known = known_texts(engine, column, uids, table="prior_versions_index")
        if known:
            # Few have a prior version only: reading all of that small table is quick.
            versions = engine.rows(
                f"SELECT {column}, max(max_idc_version) FROM prior_versions_index GROUP BY 1"
            )
            last.update((uid, version) for uid, version in versions if uid in known)
    return {uid: last[uid] for uid in uids if uid in last}

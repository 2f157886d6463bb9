"""The size of a cohort where it is counted quickly, for reprs."""

from __future__ import annotations

from collections.abc import Mapping

from .._util import human_size, plural
from ..errors import IDCError
from .duckdb_engine import DuckDBEngine
from .engine import Engine, Parameters
from .exclusion import filters_of
from .matching import Conditions, conjunction, matches_of

__all__ = ["quick_size", "size_in_words"]

#: Filters that take from 0.1 s to some seconds. All others take some 20 ms.
_SLOW = frozenset(("having", "part", "ranked", "text"))


def quick_size(engine: Engine, conditions: Conditions) -> tuple[int, float] | None:
    """Return the number of series and their size in MB; None if counting could take long.

    The answer depends on the filters and on the engine alone, so a repr is always the same. Other
    databases are not asked: they may be slow, and each query may cost money.
    """
    if not isinstance(engine, DuckDBEngine) or _is_slow(filters_of(conditions)):
        return None
    try:
        matches = matches_of(engine, conditions, make=False)
        if matches is not None:
            return len(matches), matches.files_and_size_MB()[1]
        params = Parameters()
        [(series, size_MB)] = engine.rows(
            "SELECT count(*), coalesce(sum(series_size_MB), 0) FROM index"
            f" WHERE {conjunction(conditions, params.bind)}",
            params,
        )
    except IDCError:  # such as an interrupt: a repr never fails
        return None
    return int(series), float(size_MB)


def size_in_words(series: int, size_MB: float) -> str:
    """Return a number of series and a size in MB in words.

    >>> size_in_words(12, 115.91594)
    '12 series, 115.9 MB'
    """
    return f"{plural(series, 'series')}, {human_size(size_MB * 1e6)}"


def _is_slow(argument: object) -> bool:
    if isinstance(argument, Mapping):
        return not _SLOW.isdisjoint(argument) or any(map(_is_slow, argument.values()))
    return isinstance(argument, list) and any(map(_is_slow, argument))

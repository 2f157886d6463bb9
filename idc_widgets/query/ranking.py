"""The first few series or studies in some order: the condition behind `largest` and `latest`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import InvalidQueryError, unknown_message
from ..index import ALIASES, DATES, NUMERIC
from .condition import PATIENT_KEY_SQL, Conjunction, EveryClause
from .engine import Bind
from .exclusion import filters_of
from .matching import conjunction, mask_of_all

if TYPE_CHECKING:
    from .memory import Mask, MemoryIndex

__all__ = ["ORDERS", "OWNERS", "Ranked", "Ranking", "checked_ranking"]

#: What the series or studies belong to, and are ranked within → the SQL of its key.
OWNERS: Mapping[str, str] = {
    "collection": "collection_id",
    "patient": PATIENT_KEY_SQL,
    "study": "StudyInstanceUID",
}

#: Order → what it ranks: series by a column, or studies by their date.
ORDERS: Mapping[str, str] = {"largest": "series", "latest": "study", "earliest": "study"}


@dataclass(frozen=True)
class Ranking:
    """The first few series, or all series of the first few studies, of each owner.

    Missing values come last in every order. Ties are decided by the UID.

    Args:
        order: One of `ORDERS`.
        count: The number of series or studies of each owner.
        per: The owner, one of `OWNERS`.
        by: The column that decides the order: "StudyDate" for studies.
        source: The conditions of the series to choose from.
    """

    order: str
    count: int
    per: str
    by: str
    source: Conjunction

    def sql(self, bind: Bind) -> str:
        """Return SQL with a window function."""
        owner, source = OWNERS[self.per], conjunction(self.source, bind)
        if ORDERS[self.order] == "series":
            return f"SeriesInstanceUID IN ({self._first_sql(self._series_sql(owner, source))})"
        unit = f"{owner} || chr(31) || StudyInstanceUID"
        studies = self._studies_sql(owner, conjunction(self.source, bind))
        return f"({source}) AND {unit} IN ({self._first_sql(studies)})"

    def _series_sql(self, owner: str, source: str) -> str:
        return (
            f"SELECT SeriesInstanceUID AS unit, {owner} AS owner, SeriesInstanceUID AS uid,"
            f" {self.by} AS value FROM index WHERE {source}"
        )

    def _studies_sql(self, owner: str, source: str) -> str:
        rows = (
            f"SELECT {owner} AS owner, StudyInstanceUID AS uid, StudyDate FROM index WHERE {source}"
        )
        return (
            "SELECT owner || chr(31) || uid AS unit, owner, uid, min(StudyDate) AS value"
            f" FROM ({rows}) AS series GROUP BY owner, uid"
        )

    def _first_sql(self, units: str) -> str:
        direction = "ASC" if self.order == "earliest" else "DESC"
        place = (
            f"row_number() OVER (PARTITION BY owner ORDER BY value {direction} NULLS LAST, uid ASC)"
        )
        ranked = f"SELECT unit, {place} AS place FROM ({units}) AS units"
        return f"SELECT unit FROM ({ranked}) AS ranked WHERE place <= {self.count}"

    def mask(self, memory: MemoryIndex) -> Mask | None:
        """Return the mask; None if the column is not in memory."""
        from .memory import mask_of_first_series, mask_of_first_studies

        among = mask_of_all(memory, self.source)
        if ORDERS[self.order] == "series":
            return mask_of_first_series(memory, among, self.per, self.by, self.count)
        is_latest = self.order == "latest"
        return mask_of_first_studies(memory, among, self.per, latest=is_latest, count=self.count)

    def argument(self) -> dict[str, object]:
        """Return the ranking as `Ranked.argument` has it."""
        return {
            "order": self.order,
            "n": self.count,
            "per": self.per,
            "by": self.by,
            "of": filters_of(self.source),
        }


@dataclass(frozen=True)
class Ranked(EveryClause):
    """Series that are among the first in every one of some rankings.

    Args:
        clauses: The rankings.
    """

    clauses: tuple[Ranking, ...]
    column: str = field(default="ranked", init=False)

    def and_(self, other: Ranked) -> Ranked:
        """Return a condition with the rankings of both conditions."""
        return Ranked(tuple(sorted({*self.clauses, *other.clauses}, key=repr)))


def checked_ranking(
    order: str, count: object, per: object, by: object, source: Conjunction
) -> Ranking:
    """Return a ranking with these arguments; see `Ranking`.

    Raises:
        InvalidQueryError: An argument is not valid; the message says what is.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count < 1 << 31:
        raise InvalidQueryError(f"n={count!r}: expected a whole number of at least 1")
    if order not in ORDERS:
        raise InvalidQueryError(unknown_message("order", order, ORDERS))
    owners = [owner for owner in OWNERS if owner != ORDERS[order]]
    if per not in owners:
        raise InvalidQueryError(unknown_message("per", per, owners))
    sortable = sorted({*NUMERIC, *DATES}) if ORDERS[order] == "series" else ["StudyDate"]
    by = ALIASES.get(str(by), by)
    if by not in sortable:
        raise InvalidQueryError(
            f"{unknown_message('column', by, sortable)}; expected a column of numbers or dates"
        )
    return Ranking(order, count, str(per), str(by), source)

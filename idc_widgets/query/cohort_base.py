"""What a cohort is: an engine and conditions. How cohorts are shown, combined and pickled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .._util import PublicNames, html_facts
from .added_tables import AddedTables
from .condition import Condition, Conjunction
from .engine import Engine, Parameters
from .exclusion import filters_of
from .joins import Join
from .matching import conjunction, matches_of, merge_conditions
from .pandas_names import PANDAS_NAMES
from .pickling import reduced
from .quick_size import quick_size, size_in_words
from .reprs import in_words, shortened
from .set_algebra import complement, union
from .where_parser import conditions_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from .memory import Matches

__all__ = ["CohortBase"]


@dataclass(frozen=True, repr=False)
class CohortBase(PublicNames):
    """The data of a `Cohort`, and the operators that combine cohorts.

    `CohortFilters` and `CohortCounts` add the methods that narrow and count, and `Cohort` adds the
    methods that return rows.

    Args:
        engine: The engine that runs the queries.
        conditions: The filters as conditions, sorted by column. A column has at most two: one that
            the series must fulfill, and one (`exclude`) that they must not fulfill.
        joins: The tables whose columns `join` has added to those of `series`.
        endpoint_url: The S3 server of downloads, as for `IDCClient`. It does not matter to ``==``.
        added_tables: The tables of the client, which `join` knows. They do not matter to ``==``.
    """

    # No class of a cohort has slots: with them, Python 3.11 raises an unhelpful TypeError about
    # super() when an unknown attribute is assigned.

    _not_listed = frozenset(
        (
            *("added_tables", "conditions", "engine", "joins", "level_sql", "matches", "predicate"),
            *("of_patients", "of_series", "of_studies", "of_uids"),
        )
    )
    _names_elsewhere = PANDAS_NAMES

    engine: Engine
    conditions: Conjunction = ()
    joins: tuple[Join, ...] = ()
    endpoint_url: str | None = field(default=None, compare=False)
    added_tables: AddedTables | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        size = quick_size(self.engine, self.conditions)
        return f"Cohort({in_words(self.filters, size and size_in_words(*size))})"

    def _repr_html_(self) -> str:
        size = quick_size(self.engine, self.conditions)
        filters = [(name, shortened(argument)) for name, argument in self.filters.items()]
        return html_facts("Cohort", [*filters, ("size", size_in_words(*size) if size else "")])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the data version and the conditions, not the engine, which is found or opened."""
        return reduced(type(self), self.engine, self.conditions, self.joins, self.endpoint_url)

    @property
    def filters(self) -> dict[str, object]:
        """The filters as keyword arguments of `where`."""
        return filters_of(self.conditions)

    @property
    def predicate(self) -> tuple[str, Parameters]:
        """The condition on a row of the index, as SQL with ``?``, and its parameters."""
        params = Parameters()
        return conjunction(self.conditions, params.bind), params

    @property
    def matches(self) -> Matches | None:
        """The matching series in memory; None if the index is in another database."""
        return matches_of(self.engine, self.conditions)

    def _and(self, *conditions: Condition) -> Self:
        return replace(self, conditions=merge_conditions((*self.conditions, *conditions)))

    # --- set algebra -----------------------------------------------------------------------

    def __or__(self, other: CohortBase) -> Self:
        """Return the series that are in this cohort, in the other one, or in both.

        A series is either in a cohort or in its complement ``~cohort``, also if it lacks a value
        that a filter asks for. What `join` added to either cohort is in the result.

        Raises:
            InvalidQueryError: `other` belongs to another client or has other data.

        >>> from idc_widgets import IDCClient
        >>> client = IDCClient()
        >>> client.cohort(Modality="CT") | client.cohort(PatientSex="F")
        Cohort(any_of=[{'Modality': 'CT'}, {'PatientSex': 'F'}]: 443,676 series, 37.1 TB)
        """
        return self._combined("|", other, lambda ours, theirs: union((ours, theirs)))

    def __and__(self, other: CohortBase) -> Self:
        """Return the series that are in both cohorts; raises as ``|`` does."""
        return self._combined("&", other, lambda ours, theirs: merge_conditions((*ours, *theirs)))

    def __sub__(self, other: CohortBase) -> Self:
        """Return the series that are here but not in the other cohort; raises as ``|`` does.

        >>> from idc_widgets import IDCClient
        >>> client = IDCClient()
        >>> (client.cohort(Modality="CT") - client.cohort(sex="F", age=(0, 18))).filters
        {'Modality': 'CT', 'exclude': {'any_of': [{'PatientAge': (0, 18), 'PatientSex': 'F'}]}}
        """
        return self._combined(
            "-", other, lambda ours, theirs: merge_conditions((*ours, *complement(theirs)))
        )

    def __invert__(self) -> Self:
        """Return all series that are not in this cohort.

        >>> from idc_widgets import IDCClient
        >>> ~IDCClient().cohort(PatientSex=["F", None])
        Cohort(exclude={'PatientSex': ['F', None]}: 148,720 series, 23.6 TB)
        """
        return replace(self, conditions=complement(self.conditions))

    def _combined(
        self,
        operator: str,
        other: CohortBase,
        combine: Callable[[Conjunction, Conjunction], Conjunction],
    ) -> Self:
        if not isinstance(other, CohortBase):
            return NotImplemented
        theirs = conditions_of(self.engine, f"a {operator} b", other)
        joins = tuple(dict.fromkeys((*self.joins, *other.joins)))
        return replace(self, conditions=combine(self.conditions, theirs), joins=joins)

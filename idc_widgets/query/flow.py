"""How many series and patients are left after each filter of a cohort."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .condition import PATIENT_KEY_SQL, Condition, Conjunction
from .engine import Engine, Parameters
from .exclusion import Excluded, filters_of
from .filters import Between, InCollections, OneOf
from .flags import IsFlag
from .matching import Conditions, conjunction, matches_of, merge_conditions
from .ranking import Ranked
from .reprs import shortened
from .sampling import InPart, StratumRanges
from .table_filters import InTable

__all__ = ["FlowStep", "flow_steps", "left_out", "why_empty"]

#: The columns in which every row of the index has a value.
_NEVER_MISSING = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id")


class FlowStep(NamedTuple):
    """A filter, and what is left after it.

    Args:
        filter: The filter, as a keyword argument of `Cohort.where`; "" for the whole index.
        series: The number of series that are left.
        patients: The number of patients that are left.
        fell: The number of series that this filter removed.
        missing: How many of these lack the value that the filter asks for.
    """

    filter: str
    series: int
    patients: int
    fell: int
    missing: int


def flow_steps(engine: Engine, conditions: Conjunction) -> Iterator[FlowStep]:
    """Yield what is left of the index after no filter, after the first one, and so on."""
    series, patients = _count(engine, ())
    yield FlowStep("", series, patients, 0, 0)
    earlier: Conjunction = ()
    for condition, together in _steps(conditions):
        left, patients = _count(engine, together)
        without = _without_value(condition)
        missing = 0
        if without is not None and left < series:
            missing, _ = _count(engine, merge_conditions((*earlier, without)))
        yield FlowStep(_text(condition), left, patients, series - left, missing)
        earlier, series = together, left


def left_out(engine: Engine, conditions: Conjunction) -> dict[str, int]:
    """Return, for each filter, how many series fail only it, because they lack a value.

    The index is read by SQL unless it is in memory.

    Returns:
        Keyword of the filter → number of series; without the filters that leave out no such series.
    """
    counts = {}
    for condition in conditions:
        without = _without_value(condition)
        if without is None or condition.column in _NEVER_MISSING:
            continue
        others = [other for other in conditions if other is not condition]
        series, _ = _count(engine, merge_conditions((*others, without)), make=False)
        if series:
            counts[condition.column] = series
    return counts


def why_empty(engine: Engine, conditions: Conjunction) -> str | None:
    """Return which filter of an empty cohort leaves nothing, as a sentence; else None."""
    before: list[FlowStep] = []
    for step in flow_steps(engine, conditions):
        if not step.series:
            if not step.filter:
                return "The index has no series."
            if step.filter.endswith("=[]"):
                name = step.filter.removesuffix("=[]")
                return f"No value of {name} fulfills all filters on it."
            lack = f", of which {step.missing:,} have no value" if step.missing else ""
            keep = (
                f"{before[-1].filter} leaves" if len(before) == 2 else "the filters before it leave"
            )
            which = f" that {keep}" if len(before) > 1 else ""
            return f"{step.filter} matches none of the {before[-1].series:,} series{which}{lack}."
        before.append(step)
    return None


def _steps(conditions: Conjunction) -> Iterator[tuple[Condition, Conjunction]]:
    """Yield each condition, and all conditions up to it, itself included.

    If the last conditions choose some of the series, the conditions of all these series come first.
    """
    together: Conjunction = ()
    chosen = [condition for condition in conditions if _source(condition) is not None]
    if len(chosen) == 1:
        yield from _steps(_source(chosen[0]) or ())
        together = (chosen[0],)
        yield chosen[0], together
    for condition in conditions:
        if condition not in together:
            together = (*together, condition)
            yield condition, together


def _source(condition: Condition) -> Conjunction | None:
    """Return the conditions of the series that a condition chooses from; None if it does not."""
    match condition:
        case Ranked(clauses=(ranking,)):
            return ranking.source
        case InPart(clauses=(StratumRanges(source=source),)):
            return source
    return None


def _without_value(condition: Condition) -> Condition | None:
    """Return the condition of the series that fail a condition because they lack a value."""
    match condition:
        case OneOf(column=column, values=values) if None not in values:
            return OneOf(column, (None,))
        case Between(column=column):
            return Excluded(column, (Between(column, None, None),))
        case InCollections(column=column, known=known) if not condition.accepts_missing:
            return InCollections(column, ((None,),), known, frozenset())
        case IsFlag(column=column, values=values) if None not in values:
            return IsFlag(column, (None,))
        case InTable():
            return condition.without_value()
    return None


def _count(engine: Engine, conditions: Conditions, *, make: bool = True) -> tuple[int, int]:
    """Return the numbers of series and patients.

    Args:
        engine: The engine.
        conditions: The conditions that the series fulfill.
        make: Whether to read the index into memory, if it is not there.
    """
    matches = matches_of(engine, conditions, make=make)
    if matches is not None:
        return len(matches), len(matches.patients)
    params = Parameters()
    where = conjunction(conditions, params.bind)
    [(series, patients)] = engine.rows(
        f"SELECT count(*), count(DISTINCT {PATIENT_KEY_SQL}) FROM index WHERE {where}", params
    )
    return int(series), int(patients)


def _text(condition: Condition) -> str:
    [(name, argument)] = filters_of([condition]).items()
    if argument == []:
        return f"{name}=[]"
    if name == "ranked" and isinstance(argument, dict):
        argument = {key: value for key, value in argument.items() if key != "of"}
    return f"{name}={shortened(argument)}"

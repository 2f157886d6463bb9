"""Compare cohorts side by side, as the first table of a paper does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._util import as_list
from ..errors import InvalidQueryError
from ..index import RANGES
from .condition import sorted_unique
from .engine import Engine, Parameters, Scalar
from .matching import Conditions, conjunction
from .units import COUNTED_BY, Unit, checked_unit
from .value_counts import count_by_values

if TYPE_CHECKING:
    import pandas as pd

    from .cohort import Cohort

__all__ = ["compare"]

#: Name of a row for a column of numbers or dates → the share of values up to the value in this row.
_QUANTILES: Mapping[str, float] = {"lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75}


def compare(
    cohorts: Mapping[str, Cohort], columns: str | Iterable[str], *, unit: Unit = "patients"
) -> pd.DataFrame:
    """Compare cohorts: count the values of each column, side by side.

    Columns of numbers, dates and ages have a median and quartiles instead. These use the lowest
    value of a patient or study. Counts include a patient or study once for each of its values.

    Args:
        cohorts: Name → cohort.
        columns: Columns of the index, or of `MORE_FACETS`.
        unit: What is counted: "patients", "studies" or "series".

    Returns:
        One column per cohort. The first row has the totals. The others are named by column and
        value; NaN in place of the value stands for missing ones.

    Raises:
        InvalidQueryError: There is no cohort, or a column or the unit is unknown.

    >>> from idc_widgets import IDCClient, compare
    >>> lung = IDCClient().cohort(collection_id="nsclc_radiomics")
    >>> parts = lung.split(train=0.8, test=0.2, stratify="PatientSex")
    >>> table = compare(parts, ["PatientSex", "PatientAge"])
    >>> table.loc[("PatientSex", "F")].tolist()
    [106, 26]
    """
    import pandas as pd

    if not isinstance(cohorts, Mapping) or not cohorts:
        raise InvalidQueryError(
            "compare: expected names and cohorts, such as {'train': train, 'test': test}"
        )
    counted = checked_unit(unit)
    rows: dict[tuple[str, Any], list[Any]] = {("", unit): []}
    for cohort in cohorts.values():
        params = Parameters()
        where = conjunction(cohort.conditions, params.bind)
        [(total,)] = cohort.engine.rows(f"SELECT {counted} FROM index WHERE {where}", params)
        rows["", unit].append(total)
    for column in as_list(columns):
        for value, numbers in _rows_of(column, list(cohorts.values()), unit).items():
            rows[column, value] = numbers
    index = pd.MultiIndex.from_tuples(list(rows), names=["column", "value"])
    return pd.DataFrame(list(rows.values()), index, list(cohorts), dtype=object)


def _rows_of(column: str, cohorts: Sequence[Cohort], unit: str) -> dict[Any, list[Any]]:
    """Return the name of each row of a column → its cells."""
    if column in RANGES:
        cells = [_quantiles(cohort.engine, cohort.conditions, column, unit) for cohort in cohorts]
        return {name: [cell[name] for cell in cells] for name in (*_QUANTILES, None)}
    counts = [
        {value: count for (value,), count in counted.items()}
        for counted in (count_by_values(c.engine, c.conditions, [column], unit) for c in cohorts)
    ]
    values = sorted_unique(value for counted in counts for value in counted)
    return {value: [counted.get(value, 0) for counted in counts] for value in values}


def _quantiles(
    engine: Engine, conditions: Conditions, column: str, unit: str
) -> dict[str | None, Scalar]:
    """Return name → quantile of a column, and None → the number of units without a value."""
    params = Parameters()
    where = conjunction(conditions, params.bind)
    rows = engine.rows(
        f"SELECT value, count(*) FROM (SELECT {COUNTED_BY[unit]} AS unit, min({RANGES[column].sql})"
        f" AS value FROM index WHERE {where} GROUP BY 1) AS units GROUP BY 1",
        params,
    )
    present = sorted((value, count) for value, count in rows if value is not None)
    total = sum(count for _, count in present)
    result: dict[str | None, Scalar] = dict.fromkeys(_QUANTILES)
    for name, share in _QUANTILES.items():
        seen = 0
        for value, count in present:
            seen += count
            if seen >= share * total:
                result[name] = value
                break
    result[None] = sum(count for value, count in rows if value is None)
    return result

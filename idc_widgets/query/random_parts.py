"""Draw random parts of a cohort: check what `Cohort.sample` and `Cohort.split` take, and do it."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from typing import Any

from ..errors import InvalidQueryError, unknown_message
from ..index import COLUMNS, LEVELS
from .column_names import checked_column
from .condition import Conjunction
from .engine import Engine, Parameters, Scalar
from .matching import conjunction, matches_of, merge_conditions
from .sampling import HASH_VALUES, UNITS, HashRange, InPart, StratumRanges, short_hash_sql

__all__ = ["check_random_state", "sampled", "split"]

#: The largest difference between 1 and the sum of shares that counts as a rounding error.
_MAX_ROUNDING = 1e-9

#: The largest number of strata: each takes some SQL.
_MAX_STRATA = 1_000


def sampled(
    engine: Engine, conditions: Conjunction, n: object, level: object, random_state: object
) -> Conjunction:
    """Return the conditions of a random sample; see `Cohort.sample`.

    Raises:
        InvalidQueryError: As described there.
    """
    by = _checked_level(level)
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InvalidQueryError(f"n={n!r}: expected a whole number of at least 1")
    seed = secrets.randbelow(1 << 32) if random_state is None else check_random_state(random_state)
    hashes = _lowest_hashes(engine, conditions, by, seed, n)
    if len(hashes) < n:
        count = f"{len(hashes):,} {LEVELS[by].plural}"
        raise InvalidQueryError(f"n={n:,}: the cohort has {count}; expected no larger sample")
    return _narrowed(conditions, HashRange(by, seed, 0.0, (hashes[n - 1] + 1) / HASH_VALUES))


def split(
    engine: Engine,
    conditions: Conjunction,
    shares: Mapping[str, object],
    level: object,
    stratify: object,
    random_state: object,
) -> dict[str, Conjunction]:
    """Return the conditions of the parts of a random split; see `Cohort.split`.

    Raises:
        InvalidQueryError: As described there.
    """
    # The same PatientID in two collections may be the same person.
    by = {"patient": "PatientID"}.get(_checked_level(level), str(level))
    seed, sums = check_random_state(random_state), _cumulated(shares)
    if stratify is not None:
        return _split_strata(engine, conditions, sums, by, seed, _checked_column(engine, stratify))
    low, high = _present_range(conditions, by, seed)
    ends = [low, *(low + (high - low) * total for total in sums.values())]
    return {
        name: _narrowed(conditions, HashRange(by, seed, *pair))
        for name, pair in zip(sums, pairwise([*ends[:-1], high]), strict=True)
    }


def check_random_state(random_state: object) -> int:
    """Return the argument if it is a whole number; else raise InvalidQueryError."""
    if isinstance(random_state, bool) or not isinstance(random_state, int):
        raise InvalidQueryError(f"random_state={random_state!r}: expected a whole number")
    return random_state


# --- checks ----------------------------------------------------------------------------------


def _checked_level(level: object) -> str:
    if level not in tuple(LEVELS):
        raise InvalidQueryError(unknown_message("level", level, LEVELS))
    return str(level)


def _checked_column(engine: Engine, column: object) -> str:
    try:
        return checked_column(engine, column, COLUMNS)
    except InvalidQueryError as error:
        raise InvalidQueryError(f"stratify: {error}; it takes a column of the index") from None


def _cumulated(shares: Mapping[str, object]) -> dict[str, float]:
    """Return name of a part → sum of the shares up to and including it; the last is exactly 1."""
    example = "such as split(train=0.8, test=0.2)"
    if not shares:
        raise InvalidQueryError(f"split: expected the share of each part, {example}")
    numbers: list[float] = []
    for name, share in shares.items():
        is_number = isinstance(share, (int, float)) and not isinstance(share, bool)
        if not is_number or not 0 < float(str(share)) < math.inf:
            raise InvalidQueryError(f"{name}={share!r}: expected a share above 0, {example}")
        numbers.append(float(str(share)))
    total = math.fsum(numbers)
    if abs(total - 1) > _MAX_ROUNDING:
        raise InvalidQueryError(
            f"the shares {', '.join(shares)} add up to {total:g}; expected 1, {example}"
        )
    sums = [*accumulate(numbers)][:-1]
    return dict(zip(shares, [*sums, 1.0], strict=True))


# --- drawing ---------------------------------------------------------------------------------


def _narrowed(conditions: Conjunction, part: HashRange | StratumRanges) -> Conjunction:
    return merge_conditions((*conditions, InPart((part,))))


def _present_range(conditions: Conjunction, by: str, seed: int) -> tuple[float, float]:
    """Return the range of the hashes of this kind and seed that the conditions allow already."""
    for condition in conditions:
        for part in condition.clauses if isinstance(condition, InPart) else ():
            if isinstance(part, HashRange) and (part.by, part.random_state) == (by, seed):
                return part.low, part.high
    return 0.0, 1.0


def _lowest_hashes(
    engine: Engine, conditions: Conjunction, by: str, seed: int, count: int
) -> list[int]:
    """Return the lowest hashes of the units of a cohort, in ascending order."""
    matches = None if by == "series" else matches_of(engine, conditions)
    if matches is not None:
        import numpy as np

        from .memory import unit_hashes

        hashes = unit_hashes(matches.memory, by, seed)[matches.numbers(by)]
        return [int(value) for value in np.sort(hashes)[:count]]
    params = Parameters()
    value = short_hash_sql(UNITS[by], seed, params.bind)
    rows = engine.rows(
        f"SELECT DISTINCT {value} AS hash FROM index WHERE {conjunction(conditions, params.bind)}"
        f" ORDER BY 1 LIMIT {count}",
        params,
    )
    return [int(digits, 16) for (digits,) in rows]


def _split_strata(
    engine: Engine,
    conditions: Conjunction,
    sums: Mapping[str, float],
    by: str,
    seed: int,
    column: str,
) -> dict[str, Conjunction]:
    """Divide each stratum separately, by ranges that give its parts their shares."""
    params = Parameters()
    value = short_hash_sql("unit", seed, params.bind)
    rows = engine.rows(
        f"SELECT stratum, {value} AS hash FROM (SELECT {UNITS[by]} AS unit, min({column}) AS"
        f" stratum FROM index WHERE {conjunction(conditions, params.bind)} GROUP BY 1) AS units",
        params,
    )
    hashes_of: dict[Scalar, list[int]] = {}
    for stratum, digits in rows:
        hashes_of.setdefault(stratum, []).append(int(digits, 16))
    if len(hashes_of) > _MAX_STRATA:
        raise InvalidQueryError(
            f"stratify={column!r} has {len(hashes_of):,} values; expected {_MAX_STRATA:,} at most"
        )
    strata = sorted(hashes_of, key=lambda stratum: (stratum is None, stratum))
    ends_of = {stratum: _ends(hashes_of[stratum], sums.values()) for stratum in strata}
    return {
        name: (
            InPart(
                (
                    StratumRanges(
                        by,
                        seed,
                        column,
                        conditions,
                        tuple((stratum, *ends_of[stratum][place]) for stratum in strata),
                    ),
                )
            ),
        )
        for place, name in enumerate(sums)
    }


def _ends(hashes: list[int], sums: Iterable[float]) -> list[Any]:
    """Return the range of each part of a stratum: pairs of ends from 0 to 1."""
    ordered = sorted(hashes)
    places = [round(total * len(ordered)) for total in sums][:-1]
    inner = [ordered[place] / HASH_VALUES if place < len(ordered) else 1.0 for place in places]
    return list(pairwise([0.0, *inner, 1.0]))

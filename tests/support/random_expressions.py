"""Random expressions of cohorts, each with the series that brute force finds for it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from operator import and_, or_, sub
from typing import Any

import hypothesis.strategies as st
import numpy as np
from support.bruteforce import BruteForce
from support.random_filters import RandomFilters, drawable_rows

from idc_widgets import Cohort, IDCClient

__all__ = ["Expression", "random_expressions"]

LEVELS = ("patient", "study", "series")
SIZES = ("instanceCount", "series_size_MB", "SeriesDate", "series_revised_idc_version")


@dataclass(frozen=True, repr=False)
class Expression:
    """An expression as text, as a function that makes its cohort, and as the mask of its series."""

    text: str
    build: Callable[[IDCClient], Cohort]
    mask: np.ndarray

    def __repr__(self) -> str:
        return self.text


class Expressions:
    """Draws expressions.

    Args:
        draw: The function that Hypothesis draws values with.
        table: The table of the series.
    """

    def __init__(self, draw: st.DrawFn, table: BruteForce) -> None:
        self.draw, self.table = draw, table

    def expression(self, depth: int) -> Expression:
        if depth == 0:
            return self.leaf()
        operations = [
            *(self.binary, self.binary, self.binary, self.complement, self.exclude, self.kind),
            *(self.related, self.related, self.ranked, self.ranked, self.sample, self.split),
        ]
        return self.pick(operations)(depth - 1)

    def leaf(self) -> Expression:
        filters = self.filters()
        mask = self.table.matching(list(filters.items()))
        return Expression(f"cohort({filters})", lambda client: client.cohort(**filters), mask)

    def binary(self, depth: int) -> Expression:
        a, b = self.expression(depth), self.expression(depth)
        operator, combine, mask = self.pick(
            [
                ("|", or_, a.mask | b.mask),
                ("&", and_, a.mask & b.mask),
                ("-", sub, a.mask & ~b.mask),
            ]
        )
        return Expression(f"({a} {operator} {b})", lambda c: combine(a.build(c), b.build(c)), mask)

    def complement(self, depth: int) -> Expression:
        a = self.expression(depth)
        return Expression(f"~{a}", lambda client: ~a.build(client), ~a.mask)

    def exclude(self, depth: int) -> Expression:
        a, filters = self.expression(depth), self.filters()
        mask = a.mask & self.table.matching([("exclude", filters)])
        if "exclude" in filters:
            return a
        return Expression(
            f"{a}.exclude({filters})", lambda client: a.build(client).exclude(**filters), mask
        )

    def kind(self, depth: int) -> Expression:
        a, call = self.expression(depth), self.pick(["originals", "derived"])
        is_original = self.table.matching([("original", call == "originals")])
        return Expression(
            f"{a}.{call}()", lambda client: getattr(a.build(client), call)(), a.mask & is_original
        )

    def related(self, depth: int) -> Expression:
        a, b = self.expression(depth), self.expression(0)
        call, level = self.pick(["having", "lacking"]), self.pick(["study", "patient"])
        group = self.table.study if level == "study" else self.table.patient
        there = self.table.anywhere(group, b.mask)
        return Expression(
            f"{a}.{call}({b}, level={level!r})",
            lambda client: getattr(a.build(client), call)(b.build(client), level=level),
            a.mask & (there if call == "having" else ~there),
        )

    def ranked(self, depth: int) -> Expression:
        a, count = self.expression(depth), self.pick([1, 2, 5])
        call = self.pick(["largest", "largest", "latest", "earliest"])
        per = self.pick(["collection", "patient", *(["study"] if call == "largest" else [])])
        by = self.pick(SIZES)
        mask = (
            self.largest(a.mask, count, per, by)
            if call == "largest"
            else self.dated(a.mask, count, per, call)
        )
        arguments = {"n": count, "per": per, **({"by": by} if call == "largest" else {})}
        return Expression(
            f"{a}.{call}(**{arguments})",
            lambda client: getattr(a.build(client), call)(**arguments),
            mask,
        )

    def sample(self, depth: int) -> Expression:
        a, level, seed = self.expression(depth), self.pick(LEVELS), self.pick([0, 1, -7])
        units = self.units(level)
        hashes = hashes_of(self.table, level, seed)[np.unique(units[a.mask])]
        if not len(hashes):
            return a
        n = max(1, len(hashes) * self.pick([1, 5, 10]) // 10)
        limit = np.sort(hashes)[n - 1]
        mask = a.mask & (hashes_of(self.table, level, seed)[units] <= limit)
        return Expression(
            f"{a}.sample({n}, level={level!r}, random_state={seed})",
            lambda client: a.build(client).sample(n, level=level, random_state=seed),
            mask,
        )

    def split(self, depth: int) -> Expression:
        a, level, seed = self.expression(0), self.pick(LEVELS), self.pick([0, 1])
        share, part = self.pick([0.5, 0.8]), self.pick(["first", "second"])
        by = {"patient": "PatientID"}.get(level, level)
        is_first = hashes_of(self.table, by, seed)[self.units(by)] < share * 16**13
        return Expression(
            f"{a}.split(level={level!r}, random_state={seed}, first={share})[{part!r}]",
            lambda client: a.build(client).split(
                level=level, random_state=seed, first=share, second=1 - share
            )[part],
            a.mask & (is_first if part == "first" else ~is_first),
        )

    # --- brute force

    def largest(self, mask: np.ndarray, count: int, per: str, by: str) -> np.ndarray:
        rows = np.flatnonzero(mask)
        if "Date" in by:
            codes = self.table.column(by).codes[rows].astype(float)
            values = np.where(codes < 0, np.nan, codes)
        else:
            values = self.table.number(by)[rows]
        uids = self.table.column("SeriesInstanceUID").rank(rows)
        owners = self.units(per)[rows]
        order = np.lexsort((uids, -values, np.isnan(values), owners))
        return self.flags(rows[order[first(owners[order], count)]])

    def dated(self, mask: np.ndarray, count: int, per: str, call: str) -> np.ndarray:
        rows = np.flatnonzero(mask)
        day, study = self.table.column("StudyDate").codes, self.table.study
        owners = self.units(per)
        days: dict[tuple[int, int], int] = {}
        for row in rows.tolist():
            pair = int(owners[row]), int(study[row])
            known = [one for one in (days.get(pair, -1), int(day[row])) if one >= 0]
            days[pair] = min(known, default=-1)
        sign = 1 if call == "earliest" else -1
        ordered = sorted(days, key=lambda one: (one[0], days[one] < 0, sign * days[one], one[1]))
        pairs = np.array(ordered, dtype=int).reshape(-1, 2)
        chosen = {tuple(pair) for pair in pairs[first(pairs[:, 0], count)].tolist()}
        is_chosen = [(int(owners[row]), int(study[row])) in chosen for row in rows.tolist()]
        return self.flags(rows[np.array(is_chosen, dtype=bool)])

    def units(self, level: str) -> np.ndarray:
        return {
            "patient": lambda: self.table.patient,
            "PatientID": lambda: self.table.column("PatientID").codes,
            "study": lambda: self.table.study,
            "series": lambda: np.arange(len(self.table.rows)),
            "collection": lambda: self.table.column("collection_id").codes,
        }[level]()

    def flags(self, rows: np.ndarray) -> np.ndarray:
        flags = np.zeros(len(self.table.rows), dtype=bool)
        flags[rows] = True
        return flags

    # --- values

    def filters(self) -> dict[str, Any]:
        row = self.pick([*drawable_rows(self.table)[:200], None])
        return RandomFilters(self.draw, self.table, row).filters_near(row)

    def pick(self, values: Any) -> Any:
        return self.draw(st.sampled_from(list(values)))


def first(owners: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the first elements of each owner; equal owners stand together."""
    starts = np.ones(len(owners), dtype=bool)
    starts[1:] = owners[1:] != owners[:-1]
    places = np.arange(len(owners))
    return np.flatnonzero(places - np.maximum.accumulate(np.where(starts, places, 0)) < count)


@functools.lru_cache(maxsize=12)
def hashes_of(table: BruteForce, level: str, seed: int) -> np.ndarray:
    """Return the hash of each unit of a level, by its number."""
    if level == "patient":
        keys = {number: "\x1f".join(key) for key, number in table.numbers_of_keys(level).items()}
    elif level == "PatientID":
        keys = dict(enumerate(table.column("PatientID").values))
    else:
        keys = {number: key for key, number in table.numbers_of_keys(level).items()}
    hashes = np.zeros(len(keys), dtype=np.int64)
    for number, key in keys.items():
        hashes[number] = int(hashlib.md5(f"{seed}/{key}".encode()).hexdigest()[:13], 16)
    return hashes


@st.composite
def random_expressions(draw: st.DrawFn, table: BruteForce, depth: int = 3) -> Expression:
    """Draw an expression on a table."""
    return Expressions(draw, table).expression(draw(st.integers(1, depth)))

"""Laws, on random cohorts of the real index and of random tables, against brute force.

How many random cohorts: the variable IDC_WIDGETS_EXAMPLES, by default 300.
"""

from __future__ import annotations

import csv
import datetime
import functools
import itertools
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from support.bruteforce import (
    FILTERED,
    IN_COLLECTIONS,
    NUMBERS,
    TEXTS,
    BruteForce,
    Groups,
    Step,
    age_in_years,
    collections,
    day,
    is_date,
    series_number,
    whole_index,
)
from support.rows import records

from idc_widgets import Cohort, IDCClient
from idc_widgets.index import COLUMNS as INDEX_COLUMNS
from idc_widgets.index import FACETS, LEVELS, MORE_FACETS, RANGES
from idc_widgets.query import Sort, row_source

EXAMPLES = int(os.environ.get("IDC_WIDGETS_EXAMPLES", "300"))
CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
LUNG1 = ("nsclc_radiomics", "LUNG1-365")
#: Above this many series, tables are not compared as a whole.
FEW = 20_000

EQUAL = (
    "collection_id",
    "analysis_result_id",
    "Modality",
    "BodyPartExamined",
    "PatientSex",
    "PatientAge",
    "Manufacturer",
    "ManufacturerModelName",
    "license_short_name",
    "sop_class_name",
    "transfer_syntax_name",
    "PhotometricInterpretation",
    "series_init_idc_version",
    "instanceCount",
    "SeriesNumber",
    "StudyDate",
    "StudyDescription",
    "SeriesDescription",
    "aws_bucket",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)
BETWEEN = (
    "PatientAge",
    "StudyDate",
    "SeriesDate",
    "instanceCount",
    "series_size_MB",
    "series_init_idc_version",
    "series_revised_idc_version",
)
#: Beside the facets: any column can be counted, and an alias is one.
ALSO_COUNTED = ("program", "aws_bucket", "PatientAge", "StudyDate", "instanceCount", "SeriesNumber")
WORDS = (
    *("lung", "CT", "Chest KERNEL", "mr sag t2", "1.3.6.1.4.1.14519.5.2.1", ".99.", "lung1-", "%"),
    *("_", "'", '"', "\\", "<MIP", "(", "4d-lung", "NSCLC-Radiomics", "Rider lung", "é", "µ", "Ã"),
    *(
        "nlst 1.2.840.113654.2.55",
        "tcga-LUAD slide",
        "no-such-word",
        "a",
        "2",
        "qin ct",
        "cc-tumor",
    ),
)


# --- random filters ------------------------------------------------------------------------


class Drawing:
    """Draws filters on a table. Most fit one series, so that most cohorts are not empty.

    Args:
        anchor: the row of that series; None to let filters be as they come.
    """

    def __init__(self, draw: st.DrawFn, table: BruteForce, anchor: int | None) -> None:
        self.draw, self.table, self.anchor = draw, table, anchor

    def step(self, depth: int = 0) -> Step:
        kinds: list[Callable[[], Step]] = [self.equal] * 6 + [self.between] * 4 + [self.text] * 2
        kinds += [self.uids, self.patients, self.commercial, self.collection, self.collection]
        kinds += [self.having, self.having, self.unchecked]
        if depth == 0:
            kinds += [self.same_study, self.same_study]
        return self.pick(kinds)()

    def equal(self, name: str | None = None) -> Step:
        name = name or self.pick(EQUAL)
        values = self.some_values(name)
        if self.anchor is not None:
            values.append(self.table.column(name).at(self.anchor))
        return name, self.one_or_list(values)

    def between(self, name: str | None = None) -> Step:
        name = name or self.pick(BETWEEN)
        column = self.table.column(name)
        bounds = self.some_values(name, most=2)
        at = None if self.anchor is None else column.at(self.anchor)

        def size(value: Any) -> Any:
            return age_in_years(value) if name == "PatientAge" else value

        if "Date" in name:
            bounds = [one for one in bounds if one is not None and is_date(one)]
            at = at if at is not None and is_date(at) else None
        bounds = [one for one in bounds if size(one) is not None]
        at = None if size(at) is None else at
        if at is not None:
            low = self.pick([None, at, *(one for one in bounds if size(one) <= size(at))])
            high = self.pick([None, at, *(one for one in bounds if size(one) >= size(at))])
        else:
            ends: list[Any] = [*sorted(bounds, key=size), None, None]
            low, high = ends[0], ends[1]
        return name, (self.spelled(name, low), self.spelled(name, high))

    def spelled(self, name: str, bound: Any) -> Any:
        """The same bound as people may write it."""
        if bound is None:
            return None
        if name == "PatientAge":
            return self.pick([bound, age_in_years(bound)])
        if "Date" in name:
            spellings = [bound, bound.replace("-", ""), datetime.date.fromisoformat(bound)]
            return self.pick(spellings)
        return self.pick([bound, float(bound), np.float64(bound)])

    def text(self) -> Step:
        if self.anchor is None:
            words = self.some(WORDS, least=1, most=2)
        else:  # a piece of one of its texts, and what most series have
            code = self.table.column("collection_id").codes[self.anchor]
            texts = [self.table.column(name).at(self.anchor) or "" for name in TEXTS]
            texts.append(self.table.collection_name(code))
            text = self.pick(texts)
            start = self.draw(st.integers(0, max(0, len(text) - 1)))
            piece = text[start : start + self.draw(st.integers(1, 12))]
            words = [*self.some(["1.2", "1.3.6", "c", "-"], most=1), piece]
        text = self.pick([" ", "  ", "\t"]).join(words)
        text = self.pick([text, text.swapcase(), text.lower()])
        return "text", text if text.split() else "ct"

    def uids(self) -> Step:
        series = self.some_values("SeriesInstanceUID")
        studies = self.some_values("StudyInstanceUID")
        found = [*series, *studies]
        if self.anchor is not None:
            name = self.pick(["SeriesInstanceUID", "StudyInstanceUID"])
            found.append(self.table.column(name).at(self.anchor))
        if self.draw(st.booleans()):
            return "of_uids", [*found, "1.2.3.4.5.6.unknown"]
        return "uids", found

    def patients(self) -> Step:
        rows = self.some(self.table_rows(), most=4)
        if self.anchor is not None:
            rows.append(self.anchor)
        collection, patient = (self.table.column(name) for name in ("collection_id", "PatientID"))
        pairs = [(collection.at(row), patient.at(row)) for row in rows]
        if len(rows) > 1:  # most likely no patient
            pairs.append((collection.at(rows[0]), patient.at(rows[1])))
        return self.pick(["patients", "of_patients"]), [*pairs, ("no", "body")]

    def commercial(self) -> Step:
        values = self.some([True, False, None], most=2)
        if self.anchor is not None:
            values.append(self.table.column("commercial_use").at(self.anchor))
        return "commercial_use", self.one_or_list(values)

    def collection(self, name: str | None = None) -> Step:
        name = name or self.pick([*IN_COLLECTIONS, "program"])
        facts = collections()[FILTERED.get(name, name)]
        known = sorted({one.strip() for fact in facts for one in fact.split(",")} - {""})
        values: list[Any] = self.some([*known, None], most=3)
        if self.anchor is not None:
            code = self.table.column("collection_id").codes[self.anchor]
            of_anchor = self.table.facts_per_collection(FILTERED.get(name, name))[code]
            values.append(self.pick(sorted(of_anchor) or [None]))
        return name, self.one_or_list(values)

    def having(self) -> Step:
        level = self.pick(["study", "patient"])
        group = self.table.study if level == "study" else self.table.patient
        columns: dict[str, Any] = {}
        for name in self.some(["Modality", *EQUAL], least=1, most=2):
            values = self.some_values(name, most=1)
            if self.anchor is not None:
                near = np.flatnonzero(group == group[self.anchor])
                values = [
                    self.table.column(name).at(row) for row in self.some(near, least=1, most=2)
                ]
            columns[name] = self.one_or_list(values or [None])
        return "having", columns if level == "study" and columns else {"level": level, **columns}

    def unchecked(self) -> Step:
        name, column = self.pick(
            [("of_series", "SeriesInstanceUID"), ("of_studies", "StudyInstanceUID")]
        )
        found = [value for value in self.some_values(column) if value is not None]
        if self.anchor is not None:
            found.append(self.table.column(column).at(self.anchor))
        return name, [*found, "1.2.3.4.5.6.unknown"]

    def same_study(self) -> Step:
        name, near = self.pick(["originals_of", "derived_from"]), None
        if self.anchor is not None:
            # The series fits if it is an original, or derived; other series may be the source.
            is_original = self.table.matching([("originals_of", [])])[self.anchor]
            name = "originals_of" if is_original else "derived_from"
            study = self.table.study
            near = self.pick(np.flatnonzero(study == study[self.anchor]))
        return name, Drawing(self.draw, self.table, near).steps(depth=1)

    def steps(self, depth: int = 0) -> list[Step]:
        most = 2 if depth else self.pick([1, 2, 2, 3, 3, 4])
        steps = [self.step(depth) for _ in range(self.draw(st.integers(0 if depth else 1, most)))]
        if steps and self.draw(st.integers(0, 3)) == 0:  # narrowed again on the same column
            again = FILTERED.get(steps[0][0], steps[0][0])
            if again in INDEX_COLUMNS:
                among = [
                    name
                    for name in (self.equal, self.between)
                    if again in (EQUAL if name == self.equal else BETWEEN)
                ]
                steps += [self.pick(among)(again)] if among else []
            elif again in IN_COLLECTIONS:
                steps.append(self.collection(again))
            else:
                kinds = {
                    "text": self.text,
                    "uids": self.uids,
                    "patients": self.patients,
                    "commercial_use": self.commercial,
                    "having": self.having,
                    "originals_of": self.same_study,
                    "derived_from": self.same_study,
                }
                steps.append(kinds[again]())
        return steps

    # --- values

    def pick(self, values: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(values if isinstance(values, list) else list(values)))

    def some(self, values: Sequence[Any], least: int = 0, most: int = 3) -> list[Any]:
        return self.draw(st.lists(st.sampled_from(list(values)), min_size=least, max_size=most))

    def some_values(self, name: str, most: int = 3) -> list[Any]:
        return self.some(known_values(self.table, name), most=most)

    def one_or_list(self, values: list[Any]) -> Any:
        return values[0] if len(values) == 1 and self.draw(st.booleans()) else values

    def table_rows(self) -> list[int]:
        return rows_to_draw(self.table)


@functools.lru_cache(maxsize=200)
def known_values(table: BruteForce, name: str) -> list[Any]:
    """Values to draw: all of few; of many the most frequent, and some of the others."""
    column = table.column(name)
    values: list[Any] = column.values
    if len(values) > 40:
        frequent = np.argsort(-np.bincount(column.codes[column.codes >= 0]), kind="stable")[:15]
        others = np.linspace(0, len(values) - 1, 25).astype(int)
        values = [values[at] for at in dict.fromkeys([*frequent.tolist(), *others.tolist()])]
    return [*values, None] if (column.codes < 0).any() else list(values) or [None]


@functools.lru_cache(maxsize=200)
def rows_to_draw(table: BruteForce) -> list[int]:
    """Of a large table, some of every collection, and those that are out of the ordinary."""
    if len(table.rows) < 1000:
        return list(range(len(table.rows)))
    random = np.random.default_rng(25)
    found: list[int] = []
    collection = table.column("collection_id").codes
    order = np.argsort(collection, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(collection[order])) + 1):
        found += random.choice(rows, min(3, len(rows)), replace=False).tolist()
    # A study of two patients, a PatientID in two collections, ages in days, months, and odd ones.
    patients = pd.DataFrame({"patient": table.patient, "study": table.study})
    twice = patients.drop_duplicates().study.value_counts()
    found += np.flatnonzero(np.isin(table.study, twice.index[twice > 1])).tolist()
    patients = pd.DataFrame({"patient": table.patient, "id": table.column("PatientID").codes})
    twice = patients.drop_duplicates().id.value_counts()
    two = np.flatnonzero(np.isin(table.column("PatientID").codes, twice.index[twice > 1]))
    found += random.choice(two, 20).tolist()
    ages = table.column("PatientAge")
    for odd in ("D", "M", "y", "0", "A"):
        rows = np.flatnonzero(ages.is_in([age for age in ages.values if age.endswith(odd)]))
        found += random.choice(rows, min(15, len(rows))).tolist()
    for name in ("PatientSex", "Modality", "analysis_result_id", "license_short_name"):
        for value in table.column(name).values:
            found.append(int(random.choice(np.flatnonzero(table.column(name).is_in([value])))))
    return found


@st.composite
def steps_on(draw: st.DrawFn, table: BruteForce) -> list[Step]:
    anchor = draw(st.sampled_from(rows_to_draw(table))) if draw(st.integers(0, 5)) else None
    return Drawing(draw, table, anchor).steps()


def narrowed(client: IDCClient, steps: Sequence[Step]) -> Cohort:
    cohort = client.cohort()
    for name, argument in steps:
        if name.startswith("of_"):
            cohort = getattr(cohort, name)(argument)
        elif name in ("originals_of", "derived_from"):
            cohort = cohort.where(**{name: narrowed(client, argument)})
        else:
            cohort = cohort.where(**{name: argument})
    return cohort


def all_is_looked_up(steps: Sequence[Step]) -> bool:
    """Whether no step has a UID that `where` would refuse to know."""
    return all(
        all_is_looked_up(argument)
        if name in ("originals_of", "derived_from")
        else name not in ("of_series", "of_studies", "of_uids")
        for name, argument in steps
    )


class Look(NamedTuple):
    """What is asked of a cohort beside what is asked of all."""

    histogram: str
    bins: int
    also_counted: str
    #: Whether the SQL of the cohort is run, and all its UIDs are asked for: these take long.
    is_thorough: bool
    #: Of the table and of the grid.
    level: str
    sort: Sort | None
    #: Where in the grid, from 0 to 1, and how many rows.
    place: float
    height: int


@st.composite
def looks(draw: st.DrawFn) -> Look:
    level = draw(st.sampled_from(list(LEVELS)))
    column = draw(st.sampled_from([None, *LEVELS[level].columns]))
    return Look(
        histogram=draw(st.sampled_from(sorted(RANGES))),
        bins=draw(st.sampled_from([20, 1, 7, 64])),
        also_counted=draw(st.sampled_from(ALSO_COUNTED)),
        is_thorough=draw(st.integers(0, 2)) == 0,
        level=level,
        sort=None if column is None else Sort(column, draw(st.booleans())),
        place=draw(st.sampled_from([0.0, 0.3, 0.8, 1.0])),
        height=draw(st.integers(1, 30)),
    )


# --- what must hold ------------------------------------------------------------------------


def check(client: IDCClient, table: BruteForce, steps: Sequence[Step], look: Look) -> None:
    cohort = narrowed(client, steps)
    mask = table.matching(steps)
    check_summary(cohort, table.summary(mask))
    check_facets(cohort, table, steps, look)
    check_histogram(client, cohort, table, steps, look)
    if look.is_thorough:
        check_sql(client, cohort, table, mask)
    if all_is_looked_up(steps):
        assert cohort == client.cohort(**cohort.filters)
        assert hash(cohort) == hash(client.cohort(**cohort.filters))
    if mask.sum() < FEW:
        check_table(cohort, table, mask, look.level)
    check_grid(cohort, table, mask, look)


def check_summary(cohort: Cohort, expected: dict[str, Any]) -> None:
    summary = cohort.summary()
    found = {name: getattr(summary, name) for name in expected}
    size = expected.pop("size_MB")
    assert found.pop("size_MB") == pytest.approx(size, rel=1e-9, abs=1e-12)
    assert found == expected
    assert {type(value) for value in found.values()} == {int, tuple}
    assert type(summary.size_MB) is float


def check_facets(cohort: Cohort, table: BruteForce, steps: Sequence[Step], look: Look) -> None:
    columns = [*FACETS, *MORE_FACETS, look.also_counted]
    facets = cohort.facets(columns)
    assert list(facets) == columns
    everything = table.matching(steps)
    filtered = {FILTERED.get(name, name) for name, _ in steps}
    for column, values in facets.items():
        own = FILTERED.get(column, column)
        mask = table.matching(steps, ignoring=own) if own in filtered else everything
        found = [(one.value, one.series, one.patients) for one in values]
        assert found == table.facet(column, mask), column
        # Values of another kind, such as NumPy's, could be equal all the same.
        kinds = {type(value) for row in found for value in row}
        assert kinds <= {str, int, bool, type(None)}, column


def check_histogram(
    client: IDCClient, cohort: Cohort, table: BruteForce, steps: Sequence[Step], look: Look
) -> None:
    column, bins = look.histogram, look.bins
    histogram = cohort.histogram(column, bins)
    edges = histogram.edges
    assert histogram.column == column
    assert edges == client.cohort().histogram(column, bins).edges
    assert len(edges) in (0, bins + 1)
    assert all(low < high for low, high in itertools.pairwise(edges))
    mask = table.matching(steps, ignoring=column)
    assert (histogram.series, histogram.missing) == table.histogram(column, mask, edges)
    if edges:
        first = math.floor(look.place * (bins - 1))
        last = min(bins - 1, first + look.height // 3)
        within = cohort.without(column).where(**{column: histogram.between(first, last)})
        assert within.summary().series == sum(histogram.series[first : last + 1])


def check_sql(client: IDCClient, cohort: Cohort, table: BruteForce, mask: np.ndarray) -> None:
    [[counted]] = client.sql(f"SELECT count(*) AS n FROM ({cohort.sql})").to_numpy()
    assert counted == mask.sum()
    if counted < FEW:
        uids = sorted(table.column("SeriesInstanceUID").take(np.flatnonzero(mask)))
        assert list(cohort.select().uids) == uids
        assert sorted(client.sql(cohort.sql).SeriesInstanceUID) == uids


def check_table(cohort: Cohort, table: BruteForce, mask: np.ndarray, level: str) -> None:
    expected = getattr(table, LEVELS[level].plural)(mask)
    found = getattr(cohort, LEVELS[level].plural)()
    assert list(found.columns) == list(expected.columns)
    for name in expected:
        check_column(found[name], expected[name].tolist(), name)


def check_column(column: pd.Series, expected: list[Any], name: str) -> None:
    values = column.astype(object)
    values = values.where(column.notna(), None).tolist()
    if name == "size_MB":
        assert len(values) == len(expected)
        assert all(alike(*two, "size_MB") for two in zip(values, expected, strict=True)), name
    else:
        assert values == expected, name


def alike(one: Any, two: Any, name: str) -> bool:
    """Equal; sizes that are sums may be added up in any order."""
    if name == "size_MB" and None not in (one, two):
        return math.isclose(one, two, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == two)


def check_grid(cohort: Cohort, table: BruteForce, mask: np.ndarray, look: Look) -> None:
    level, sort = look.level, look.sort
    source = row_source(cohort, level, sort)
    grid = Grid(table, mask, level)
    total = len(grid)
    assert len(source) == total
    start = math.floor(look.place * max(0, total - look.height))
    stop = min(total, start + look.height)
    shown = records(source.window(start, start + look.height))
    keys = list(source.keys([range(start, stop)]))
    middle = (start + stop) // 2
    assert keys == list(source.keys([range(start, middle), range(middle, stop)]))
    assert len(shown) == len(keys) == len(set(keys)) == stop - start
    for row, expected in zip(shown, grid.rows(keys), strict=True):
        assert list(row) == list(expected)
        assert all(alike(row[name], expected[name], name) for name in expected), (row, expected)
    if sort is not None:
        for row, value in zip(shown, grid.values_in_order(sort)[start:stop], strict=True):
            assert alike(row[sort.column], value, sort.column)
    unknown = ("no", "body") if level == "patient" else "1.2.3.4.5.6.unknown"
    assert source.positions([*reversed(keys), unknown]) == list(range(start, stop))
    if total < 5000:
        everything = list(source.keys([range(total)]))
        assert Counter(everything) == Counter(grid.keys)
        some = sorted({0, total // 2, total - 1}) if total else []
        assert source.positions([everything[place] for place in some]) == some
        if sort is None:
            assert everything == grid.keys_in_order
    assert len(records(source.window(total + 1, total + 5))) == 0
    assert source.positions([]) == []


class Grid:
    """The rows that a grid of a cohort should show, in no order."""

    def __init__(self, table: BruteForce, mask: np.ndarray, level: str) -> None:
        self.table, self.mask, self.level = table, mask, level
        self.names = list(LEVELS[level].columns)
        self.key = list(LEVELS[level].key)
        if level == "series":
            self._rows = np.flatnonzero(mask)
        else:
            self._numbers = table.patient if level == "patient" else table.study
            self._groups = Groups(table, self._numbers, mask)

    def __len__(self) -> int:
        return len(self._rows) if self.level == "series" else len(self._groups)

    @property
    def keys(self) -> list[Any]:
        if self.level == "series":
            return self.table.column("SeriesInstanceUID").take(self._rows)
        return self._groups.keys(self.key)

    def rows(self, keys: Sequence[Any]) -> list[dict[str, Any]]:
        """What should be shown of these; KeyError where that is nothing."""
        by_key = self.table.numbers_of_keys(self.level)
        numbers = np.array([by_key[key] for key in keys], dtype=int)
        if self.level == "series":
            assert self.mask[numbers].all()
            columns = [self.table.cells(name, numbers) for name in self.names]
            return [dict(zip(self.names, row, strict=True)) for row in zip(*columns, strict=True)]
        of_keys = np.isin(self._numbers, numbers)
        frame = getattr(self.table, LEVELS[self.level].plural)(self.mask & of_keys)
        found = {}
        for row in frame.to_dict("records"):
            key = tuple(row[name] for name in self.key)
            found[key if len(key) > 1 else key[0]] = {name: row[name] for name in self.names}
        return [found[key] for key in keys]

    @property
    def keys_in_order(self) -> list[Any]:
        """The keys in the order of the table of the level."""
        rows = getattr(self.table, LEVELS[self.level].plural)(self.mask)
        keys = list(zip(*(rows[name] for name in self.key), strict=True))
        return keys if len(self.key) > 1 else [key for (key,) in keys]

    def values_in_order(self, sort: Sort) -> list[Any]:
        if self.level != "series":
            values = self._groups.column(sort.column)
        elif sort.column in NUMBERS:
            values = self.table.cells(sort.column, self._rows)
        else:
            values = self.table.column(sort.column).take(self._rows)
        present = [value for value in values if value is not None]
        if sort.column == "SeriesNumber":  # numbers first, then what is none
            present.sort(key=lambda one: (series_number(one), one), reverse=sort.descending)
        else:
            present.sort(reverse=sort.descending)
        return present + [None] * (len(values) - len(present))


law = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.timeout(1200)
@settings(law, max_examples=EXAMPLES)
@given(steps=st.deferred(lambda: steps_on(whole_index())), look=looks())
def test_random_cohorts(client: IDCClient, steps: list[Step], look: Look) -> None:
    check(client, whole_index(), steps, look)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [("Modality", [])],
        [("of_series", ["1.2.3.unknown"])],
        [("StudyDate", (None, None))],
        # One study of two patients.
        [("PatientID", ["108001", "123342"]), ("collection_id", "nlst")],
        [("instanceCount", (1, 2)), ("instanceCount", (5, 6))],
        # All that there is of either, then each kind of filter twice.
        [("originals_of", [])],
        [("derived_from", [])],
        [("originals_of", [("Modality", "SEG")]), ("originals_of", [("Modality", "RTSTRUCT")])],
        [("derived_from", [("PatientSex", "F")]), ("derived_from", [("BodyPartExamined", "LUNG")])],
        [("cancer_types", "Breast Cancer"), ("cancer_types", ["Non-Cancer", None])],
        [("tumor_locations", ["Lung", "Brain"]), ("tumor_locations", ["Brain", "Breast"])],
        [("species", ["Human", "Canine"]), ("species", "Mouse")],
        [("text", "lung"), ("text", "Rider KERNEL")],
        [("uids", [CT]), ("uids", [STUDY])],
        [("of_uids", [STUDY, "1.2"]), ("of_uids", [CT, "1.2"])],
        [
            ("patients", [("nlst", "108001"), LUNG1]),
            ("of_patients", [LUNG1, ("nlst", "LUNG1-365")]),
        ],
        [("commercial_use", [True, False]), ("commercial_use", [False, None])],
        [
            ("having", {"Modality": ["CT", "SEG"], "SeriesNumber": "2"}),
            ("having", {"level": "patient", "PatientSex": None, "Modality": ["CT", "PT"]}),
        ],
        [("PatientAge", ["018M", "001Y", "066Y", None]), ("PatientAge", ("012M", 1.5))],
    ],
    ids=repr,
)
def test_chosen_cohorts(client: IDCClient, steps: list[Step]) -> None:
    look = Look("PatientAge", 20, "program", True, "study", None, 0.5, 9)
    for level in LEVELS if len(steps) < 2 else ["study"]:
        check(client, whole_index(), steps, look._replace(level=level))


# --- random tables -------------------------------------------------------------------------

#: No control characters but those of text files, nothing whose letter case depends on where it is.
HOSTILE = (
    *("", " ", "a", "A", "it's", '"quoted"', "a,b", "a, b", ";|\t", "%", "_", "100%_", "\\", "\\n"),
    *("Ä ö", "ß", "日本", "é", "NULL", "None", "nan", "--", "$1", "{x}", "[1]", "line\nbreak"),
    *("' OR 1=1 --", "?", "*", "x" * 300, "0", "true", "\u00a0", "🫁"),
)
IDS = ("P1", "p1", "P'2", "", None, "a, b", "日本", "%", "1")
TABLE: dict[str, Sequence[Any]] = {
    "collection_id": ("nsclc_radiomics", "4d_lung", "nlst", "midi_b_synthetic_validation", *IDS),
    "PatientID": IDS,
    "StudyInstanceUID": ("1.2", "1.2.3", "1.2.30", "A.b", "a.B", "1 2", "", None),
    "analysis_result_id": (None, None, "a", "A", ""),
    "source_DOI": (None, "10.1/x"),
    "PatientAge": (
        *("060Y", "60", "060y", "012M", "001Y", "018M", "1", "010D", "003W", "021D", "", None),
        *("N/A", "0060Y", "-10Y", " 60", "60 Y", "6.5", "٣Y", "000Y", "052W", "999Y"),
    ),
    "PatientSex": ("M", "F", "O", "m", "", None),
    "StudyDate": (
        *(
            "2010-04-01",
            "20100401",
            "2010-04-02",
            "1899-12-31",
            "20240229",
            None,
            None,
            "2009-12-31",
        ),
        *("2010-01-01", "", "2010", "x", "201004011"),
    ),
    "StudyDescription": HOSTILE,
    "BodyPartExamined": ("LUNG", "lung", "", None, "a,b"),
    "Modality": ("CT", "SEG", "SR", "ct", "MR", "", None, "a, b", "ANN", "KO", "REG", "RWV", "OT"),
    "sop_class_name": HOSTILE,
    "transfer_syntax_name": ("x", None),
    "Manufacturer": HOSTILE,
    "ManufacturerModelName": HOSTILE,
    "SeriesDate": ("2010-04-01", "20100401", "2011-04-01", None),
    "SeriesDescription": HOSTILE,
    "SeriesNumber": ("1", "2", "10", "010", "-3", "0", "x", "X", "", None, "99999999999999"),
    "instanceCount": (0, 1, 1, 2, 500, -3, None, 2**40),
    "license_short_name": ("CC BY 4.0", "CC BY-NC 4.0", "cc by-nc", "x-NC", "-nc", "", None),
    "series_init_idc_version": (1, 2, 25, -1, None),
    "aws_bucket": ("b", None),
    "series_size_MB": (0.0, 1.5, 1.5, 1e-6, 1e9, 0.1, 0.2, -1.0, None, math.nan, math.inf),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[pd.DataFrame, bool]:
    """A table as it is written, and whether as CSV."""
    count = draw(st.integers(1, 40))
    uids = st.sampled_from(["", None, "a", "A", "x'y"]) | st.integers(0, 200).map("1.2.{}".format)
    unique = st.lists(uids, min_size=count, max_size=count, unique_by=lambda one: one or "")
    columns: dict[str, list[Any]] = {"SeriesInstanceUID": draw(unique)}
    keys = ("collection_id", "PatientID", "StudyInstanceUID")
    optional = draw(st.lists(st.sampled_from([*TABLE]), unique=True, min_size=len(TABLE) // 2))
    for name in dict.fromkeys([*keys, *optional]):
        # Of few values each, so that rows are often alike.
        values = draw(st.lists(st.sampled_from(TABLE[name]), min_size=1, max_size=6))
        some = st.sampled_from(values)
        columns[name] = draw(st.lists(some, min_size=count, max_size=count))
    frame = pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})
    return frame, draw(st.booleans())


def written(frame: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(frame.columns)
            writer.writerows(frame.itertuples(index=False))
        return
    types = {**dict.fromkeys(NUMBERS, pa.int64()), "series_size_MB": pa.float64()}
    arrays = {name: pa.array(frame[name].tolist(), types.get(name, pa.string())) for name in frame}
    pq.write_table(pa.table(arrays), path)


def as_index(frame: pd.DataFrame, is_csv: bool) -> pd.DataFrame:
    """What a table of one's own is read as: `idc_widgets.index.catalog.normalized_select`."""
    columns: dict[str, list[Any]] = {}
    for name in INDEX_COLUMNS:
        values: list[Any] = frame[name].tolist() if name in frame else [None] * len(frame)
        if name in NUMBERS:
            values = [
                None if one is None or not math.isfinite(one) or one < 0 else one for one in values
            ]
        elif is_csv:
            values = [one or None for one in values]
        if "Date" in name:
            values = [day(one) for one in values]
        if name in ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id"):
            values = [one or "" for one in values]
        columns[name] = values
    return pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.mark.timeout(1200)
@settings(law, max_examples=max(1, EXAMPLES // 6))
@given(drawn=tables(), data=st.data())
def test_random_tables(folder: Path, drawn: tuple[pd.DataFrame, bool], data: Any) -> None:
    frame, is_csv = drawn
    path = folder / f"{len(list(folder.iterdir()))}{'.csv' if is_csv else '.parquet'}"
    written(frame, path)
    client = IDCClient(path)
    table = BruteForce(as_index(frame, is_csv))
    check(client, table, [], data.draw(looks()))
    for _ in range(3):
        check(client, table, data.draw(steps_on(table)), data.draw(looks()))

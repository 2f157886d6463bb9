"""Random cohorts, of the real index and of random tables, give the same results as brute force.

The environment variable IDC_WIDGETS_EXAMPLES sets the number of random cohorts; by default, 300.
"""

from __future__ import annotations

import itertools
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from support.bruteforce import (
    FILTERED,
    NUMBERS,
    BruteForce,
    Groups,
    Step,
    filtered_columns,
    series_number,
    whole_index,
)
from support.random_filters import are_all_looked_up, narrowed, random_steps
from support.random_tables import as_index, random_tables, write_table
from support.rows import records

from idc_widgets import Cohort, IDCClient
from idc_widgets.index import FACETS, LEVELS, MORE_FACETS, RANGES
from idc_widgets.query import Sort, row_source

EXAMPLES = int(os.environ.get("IDC_WIDGETS_EXAMPLES", "300"))
CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
LUNG1 = ("nsclc_radiomics", "LUNG1-365")

#: Tables with more series are not compared row by row.
MAX_COMPARED_SERIES = 20_000

#: Columns to count besides the facets. Any column can be counted, also under an alias.
OTHER_COUNTED = (
    "program",
    "aws_bucket",
    "PatientAge",
    "StudyDate",
    "instanceCount",
    "SeriesNumber",
)


class Queries(NamedTuple):
    """What to query in a cohort. It varies from example to example."""

    histogram: str
    bins: int
    other_counted: str
    #: Whether to run the slow queries: the SQL of the cohort, and all its UIDs.
    is_thorough: bool
    #: The level and the order of the table and of the grid.
    level: str
    sort: Sort | None
    #: Where a window of the grid begins, from 0 (the first row) to 1 (the last row), and the number
    #: of its rows.
    place: float
    height: int


@st.composite
def random_queries(draw: st.DrawFn) -> Queries:
    level = draw(st.sampled_from(list(LEVELS)))
    column = draw(st.sampled_from([None, *LEVELS[level].columns]))
    return Queries(
        histogram=draw(st.sampled_from(sorted(RANGES))),
        bins=draw(st.sampled_from([20, 1, 7, 64])),
        other_counted=draw(st.sampled_from(OTHER_COUNTED)),
        is_thorough=draw(st.integers(0, 2)) == 0,
        level=level,
        sort=None if column is None else Sort(column, draw(st.booleans())),
        place=draw(st.sampled_from([0.0, 0.3, 0.8, 1.0])),
        height=draw(st.integers(1, 30)),
    )


# --- expected results ----------------------------------------------------------------------


def check(client: IDCClient, table: BruteForce, steps: Sequence[Step], queries: Queries) -> None:
    cohort = narrowed(client, steps)
    mask = table.matching(steps)
    check_summary(cohort, table.summary(mask))
    check_facets(cohort, table, steps, queries)
    check_histogram(client, cohort, table, steps, queries)
    if queries.is_thorough:
        check_sql(client, cohort, table, mask)
    if are_all_looked_up(steps):
        assert cohort == client.cohort(**cohort.filters)
        assert hash(cohort) == hash(client.cohort(**cohort.filters))
    assert not filtered_columns(steps) & {
        condition.column for condition in cohort.without(*filtered_columns(steps)).conditions
    }
    if mask.sum() < MAX_COMPARED_SERIES:
        check_table(cohort, table, mask, queries.level)
    check_grid(cohort, table, mask, queries)


def check_summary(cohort: Cohort, expected: dict[str, Any]) -> None:
    summary = cohort.summary()
    counts = {name: getattr(summary, name) for name in expected}
    size = expected.pop("size_MB")
    assert counts.pop("size_MB") == pytest.approx(size, rel=1e-9, abs=1e-12)
    assert counts == expected
    assert {type(value) for value in counts.values()} == {int, tuple}
    assert type(summary.size_MB) is float


def check_facets(
    cohort: Cohort, table: BruteForce, steps: Sequence[Step], queries: Queries
) -> None:
    columns = [*FACETS, *MORE_FACETS, queries.other_counted]
    # A union may be simplified to filters on columns, which the steps do not show.
    own_filters = "any_of" in filtered_columns(steps)
    facets = cohort.facets(columns, own_filters=own_filters)
    assert list(facets) == columns
    everything = table.matching(steps)
    filtered = filtered_columns(steps)
    for column, values in facets.items():
        own = FILTERED.get(column, column)
        ignores_own = own in filtered and not own_filters
        mask = table.matching(steps, ignoring=own) if ignores_own else everything
        counts = [(facet.value, facet.series, facet.patients) for facet in values]
        assert counts == table.facet(column, mask), column
        # The comparison above does not notice values of NumPy types.
        types = {type(value) for row in counts for value in row}
        assert types <= {str, int, bool, type(None)}, column


def check_histogram(
    client: IDCClient, cohort: Cohort, table: BruteForce, steps: Sequence[Step], queries: Queries
) -> None:
    column, bins = queries.histogram, queries.bins
    histogram = cohort.histogram(column, bins=bins)
    edges = histogram.edges
    assert histogram.column == column
    assert edges == client.cohort().histogram(column, bins=bins).edges
    assert len(edges) in (0, bins + 1)
    assert all(low < high for low, high in itertools.pairwise(edges))
    mask = table.matching(steps)
    assert (histogram.counts, histogram.missing) == table.histogram(column, mask, edges)
    if edges:
        first = math.floor(queries.place * (bins - 1))
        last = min(bins - 1, first + queries.height // 3)
        within = cohort.where(**{column: histogram.between(first, last)})
        assert within.summary().series == sum(histogram.counts[first : last + 1])


def check_sql(client: IDCClient, cohort: Cohort, table: BruteForce, mask: np.ndarray) -> None:
    [[counted]] = client.sql(f"SELECT count(*) AS n FROM ({cohort.to_sql()})").to_numpy()
    assert counted == mask.sum()
    if counted < MAX_COMPARED_SERIES:
        uids = sorted(table.column("SeriesInstanceUID").take(np.flatnonzero(mask)))
        assert list(cohort.select().uids) == uids
        assert sorted(client.sql(cohort.to_sql()).SeriesInstanceUID) == uids


def check_table(cohort: Cohort, table: BruteForce, mask: np.ndarray, level: str) -> None:
    expected = getattr(table, LEVELS[level].plural)(mask)
    frame = getattr(cohort, LEVELS[level].plural)()
    assert list(frame.columns) == list(expected.columns)
    for name in expected:
        check_column(frame[name], expected[name].tolist(), name)


def check_column(column: pd.Series, expected: list[Any], name: str) -> None:
    values = column.astype(object)
    values = values.where(column.notna(), None).tolist()
    if name == "size_MB":
        assert len(values) == len(expected)
        assert all(alike(*pair, "size_MB") for pair in zip(values, expected, strict=True)), name
    else:
        assert values == expected, name


def alike(value: Any, other: Any, name: str) -> bool:
    """Return whether two values are equal. In size_MB, they may differ by a rounding error."""
    if name == "size_MB" and None not in (value, other):
        return math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(value == other)


def check_grid(cohort: Cohort, table: BruteForce, mask: np.ndarray, queries: Queries) -> None:
    level, sort = queries.level, queries.sort
    source = row_source(cohort, level, sort)
    grid = Grid(table, mask, level)
    total = len(grid)
    assert len(source) == total
    start = math.floor(queries.place * max(0, total - queries.height))
    stop = min(total, start + queries.height)
    shown = records(source.window(start, start + queries.height))
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
    """The rows that a grid of a cohort should show, in any order."""

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
        """Return the expected cells of these rows; KeyError if a row should not be there."""
        by_key = self.table.numbers_of_keys(self.level)
        numbers = np.array([by_key[key] for key in keys], dtype=int)
        if self.level == "series":
            assert self.mask[numbers].all()
            columns = [self.table.cells(name, numbers) for name in self.names]
            return [dict(zip(self.names, row, strict=True)) for row in zip(*columns, strict=True)]
        of_keys = np.isin(self._numbers, numbers)
        frame = getattr(self.table, LEVELS[self.level].plural)(self.mask & of_keys)
        row_of_key = {}
        for row in frame.to_dict("records"):
            key = tuple(row[name] for name in self.key)
            row_of_key[key if len(key) > 1 else key[0]] = {name: row[name] for name in self.names}
        return [row_of_key[key] for key in keys]

    @property
    def keys_in_order(self) -> list[Any]:
        """The keys, in the order in which the table of the level has them."""
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
        if sort.column == "SeriesNumber":  # integers sort before other texts
            present.sort(key=lambda text: (series_number(text), text), reverse=sort.descending)
        else:
            present.sort(reverse=sort.descending)
        return present + [None] * (len(values) - len(present))


unhurried = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.timeout(1200)
@settings(unhurried, max_examples=EXAMPLES)
@given(steps=st.deferred(lambda: random_steps(whole_index())), queries=random_queries())
def test_random_cohorts_match_brute_force(
    client: IDCClient, steps: list[Step], queries: Queries
) -> None:
    check(client, whole_index(), steps, queries)


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
        # All originals and all derived series, then each kind of filter twice.
        [("original", True)],
        [("original", False)],
        [("original", [True, None]), ("original", True)],
        [
            ("having", {"Modality": "SEG", "PatientSex": None}),
            ("having", {"instanceCount": (9, 99)}),
        ],
        [("any_of", [{"Modality": "SEG"}, {"PatientSex": "F"}]), ("any_of", [{"original": True}])],
        [
            ("any_of", [{"Modality": "SEG", "PatientSex": "F"}, {"PatientAge": (60, None)}]),
            ("any_of", [{"exclude": {"PatientAge": (60, None)}}, {"text": "lung"}]),
        ],
        [("any_of", [])],
        [("exclude", {"any_of": [{"Modality": "SEG", "PatientSex": "F"}, {"instanceCount": 1}]})],
        [("exclude", {"any_of": [{"exclude": {"PatientAge": (0, 60)}}, {"PatientSex": None}]})],
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
            ("having", [{"Modality": ["CT", "SEG"], "SeriesNumber": "2"}, {"Modality": "PT"}]),
            ("having", {"level": "patient", "PatientSex": None, "Modality": ["CT", "PT"]}),
        ],
        [("PatientAge", ["018M", "001Y", "066Y", None]), ("PatientAge", ("012M", 1.5))],
        # A negation keeps missing values, unless None is excluded.
        [("exclude", {"Modality": ["SR", "SEG"], "BodyPartExamined": "CHEST", "PatientSex": "M"})],
        [("exclude", {"PatientAge": (0, 60)}), ("exclude", {"PatientAge": (70, None)})],
        [("exclude", {"BodyPartExamined": ["LUNG", None]}), ("PatientSex", ["F", None])],
        [("exclude", {"StudyDate": (None, None)})],
        [("exclude", {"Modality": [], "text": "lung chest"}), ("exclude", {"text": "1.2 kidney"})],
        [("exclude", {"species": "Human"}), ("exclude", {"species": ["Mouse", None]})],
        [("exclude", {"program": "tcga", "commercial_use": False, "license_short_name": None})],
        [("exclude", {"commercial_use": True}), ("exclude", {"commercial_use": [False]})],
        [("exclude", {"having": {"Modality": ["CT", "SEG"]}, "uids": [STUDY]})],
        [("exclude", {"patients": [LUNG1]}), ("exclude", {"patients": [("nlst", "108001")]})],
        [("Modality", ["CT", "SEG", "MR"]), ("exclude", {"Modality": "SEG"})],
        [
            (
                "having",
                {"exclude": {"Modality": ["CT", "SEG"]}, "PatientSex": "M", "original": False},
            )
        ],
    ],
    ids=repr,
)
def test_special_cohorts_match_brute_force(client: IDCClient, steps: list[Step]) -> None:
    queries = Queries("PatientAge", 20, "program", True, "study", None, 0.5, 9)
    for level in LEVELS if len(steps) < 2 else ["study"]:
        check(client, whole_index(), steps, queries._replace(level=level))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.mark.timeout(1200)
@settings(unhurried, max_examples=max(1, EXAMPLES // 6))
@given(drawn=random_tables(), data=st.data())
def test_random_tables_match_brute_force(
    folder: Path, drawn: tuple[pd.DataFrame, bool], data: Any
) -> None:
    frame, is_csv = drawn
    path = folder / f"{len(list(folder.iterdir()))}{'.csv' if is_csv else '.parquet'}"
    write_table(frame, path)
    client = IDCClient(path)
    table = BruteForce(as_index(frame, is_csv))
    check(client, table, [], data.draw(random_queries()))
    for _ in range(3):
        check(client, table, data.draw(random_steps(table)), data.draw(random_queries()))

"""Rows of a cohort: windows, orders and keys agree with the tables of the cohort."""

from __future__ import annotations

import gc
import random
import weakref
from typing import Any

import pandas as pd
import pytest
from support.own_table import OwnTable
from support.rows import records

from idc_widgets import Cohort, IDCClient, InvalidQueryError
from idc_widgets.index import LEVELS
from idc_widgets.query import RowSource, Sort, row_source
from idc_widgets.query.row_source import _RowsInMemory

LARGEST = "1.3.6.1.4.1.5962.1.3.0.2.1677425356.1733"


@pytest.fixture(scope="module")
def cohort(client: IDCClient) -> Cohort:
    return client.cohort(collection_id=["nsclc_radiomics", "nsclc_radiomics_interobserver1"])


def keys_in_order(source: RowSource) -> list[Any]:
    return list(source.keys([range(len(source))]))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("sort", [None, *(Sort("PatientID", down) for down in (False, True))])
def test_windows_are_parts_of_one_order(cohort: Cohort, level: str, sort: Sort | None) -> None:
    source = row_source(cohort, level, sort)
    rows = getattr(cohort, LEVELS[level].plural)()
    assert len(source) == len(rows)
    keys = keys_in_order(source)
    names = LEVELS[level].key
    everything = zip(*(rows[name] for name in names), strict=True)
    flat = list(everything) if len(names) > 1 else list(rows[names[0]])
    if sort is None:
        assert keys == flat
    assert sorted(keys) == sorted(flat)

    start = len(rows) // 3
    window = records(source.window(start, start + 7))
    assert [list(row) for row in window] == [list(LEVELS[level].columns)] * 7
    shown = [tuple(row[name] for name in names if name in row) for row in window]
    expected = [key if isinstance(key, tuple) else (key,) for key in keys[start : start + 7]]
    assert shown == expected
    assert len(records(source.window(len(rows) - 2, len(rows) + 50))) == 2
    assert len(records(source.window(len(rows) + 5, len(rows) + 50))) == 0


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("sort", [None, Sort("PatientID", descending=True)])
def test_a_freed_source_computes_its_rows_again(
    cohort: Cohort, level: str, sort: Sort | None
) -> None:
    source = row_source(cohort, level, sort)
    assert isinstance(source, _RowsInMemory) and source._ordered is not None
    order = weakref.ref(source._ordered.rows)
    keys, window = source.keys([range(3, 30)]), source.window(5, 25)
    source.free()
    gc.collect()
    assert order() is None
    assert len(source) == len(row_source(cohort, level))
    assert source.keys([range(3, 30)]) == keys
    source.free()
    assert source.window(5, 25) == window
    source.free()
    assert source.positions(keys) == list(range(3, 30))
    source.free()
    assert source.sorted(None).keys([range(9)]) == row_source(cohort, level).keys([range(9)])


@pytest.mark.parametrize(
    ("level", "column"),
    [(name, column) for name, level in LEVELS.items() for column in level.columns],
)
@pytest.mark.parametrize("descending", [False, True])
def test_rows_are_sorted_by_any_column(
    cohort: Cohort, level: str, column: str, descending: bool
) -> None:
    source = row_source(cohort, level).sorted(Sort(column, descending))
    values = pd.Series(source.window(0, len(source))[column])
    present = values.dropna()
    assert list(present.index) == list(range(len(present))), "missing values come last"
    if column == "SeriesNumber":
        present = present.astype(int)
    ordered = present.is_monotonic_decreasing if descending else present.is_monotonic_increasing
    assert ordered
    assert keys_in_order(source.sorted(None)) == keys_in_order(row_source(cohort, level))


@pytest.mark.parametrize("level", LEVELS)
def test_keys_are_found_in_any_order(cohort: Cohort, level: str) -> None:
    source = row_source(cohort, level)
    chosen = random.Random(1).sample(keys_in_order(source), 9)
    for sort in (None, Sort("PatientID", True), Sort(LEVELS[level].columns[-1])):
        source = source.sorted(sort)
        positions = source.positions(chosen)
        assert positions == sorted(positions)
        found = source.keys([range(row, row + 1) for row in positions])
        assert sorted(found) == sorted(chosen)
    missing = ("x", "y") if level == "patient" else "1.2.3"
    assert source.positions([missing]) == []
    assert source.positions([]) == []
    assert source.keys([]) == ()


def plain(rows: pd.DataFrame) -> list[list[Any]]:
    """Return values that can be compared: None for missing values, and rounded sums."""
    rounded = rows.assign(size_MB=rows.size_MB.round(6)).astype(object)
    values: list[list[Any]] = rounded.where(rounded.notna(), None).values.tolist()
    return values


@pytest.mark.parametrize("level", ["patient", "study"])
def test_windows_of_many_rows_are_those_of_the_table(client: IDCClient, level: str) -> None:
    cohort = client.cohort(Modality=["CT", "MR"])
    source = row_source(cohort, level)
    assert len(source) > 10_000
    table = getattr(cohort, LEVELS[level].plural)()
    table = table.set_index(list(LEVELS[level].key), drop=False)
    keys = keys_in_order(source)
    assert len(keys) == len(table)
    assert keys == list(table.index)
    for start in (0, len(keys) // 2, len(keys) - 3):
        shown = records(source.window(start, start + 20))
        expected = table.loc[keys[start : start + 20]]
        assert plain(pd.DataFrame(shown)) == plain(expected)
    assert len(records(source.window(len(keys) - 2, len(keys) + 50))) == 2
    assert len(records(source.window(len(keys) + 5, len(keys) + 50))) == 0
    chosen = [keys[7], keys[-1], keys[12_345 % len(keys)]]
    assert source.positions(chosen) == sorted(keys.index(key) for key in chosen)
    down = source.sorted(Sort("series", descending=True))
    assert down.window(0, 1)["series"][0] == table.series.max()
    assert len(down.sorted(None)) == len(keys)
    assert source.positions([]) == []


def test_the_whole_index_is_sorted_by_size(client: IDCClient) -> None:
    source = row_source(client.cohort(), "series")
    assert len(source) == 1_044_191
    assert len(records(source.window(1_044_190, 1_044_191))) == 1
    largest = source.sorted(Sort("series_size_MB", descending=True))
    assert largest.keys([range(1)]) == (LARGEST,)
    assert records(largest.window(0, 1))[0]["series_size_MB"] == 195185.148264


def test_a_patient_is_identified_by_collection_and_PatientID(client: IDCClient) -> None:
    twice = client.sql(
        "SELECT PatientID FROM index GROUP BY 1 HAVING count(DISTINCT collection_id) > 1 LIMIT 1"
    ).PatientID[0]
    source = row_source(client.cohort(PatientID=twice), "patient")
    keys = keys_in_order(source)
    assert len(keys) == 2
    assert source.positions([keys[1]]) == [1]


@pytest.mark.parametrize("level", LEVELS)
def test_rows_outlive_their_client(own_table: OwnTable, level: str) -> None:
    client = own_table("Modality", "1.1,1,Ann,mine,CT", "1.2,1,Ann,mine,MR", "1.3,2,Bob,mine,CT")
    engine = weakref.ref(client.engine)
    source = row_source(client.cohort(Modality="CT"), level)
    del client
    gc.collect()
    assert len(records(source.window(0, 9))) == 2
    source = source.sorted(Sort("PatientID", descending=True))
    assert source.positions(source.keys([range(2)])) == [0, 1]
    del source
    gc.collect()
    assert engine() is None


def test_unknown_levels_and_columns_are_rejected(cohort: Cohort) -> None:
    with pytest.raises(InvalidQueryError, match="did you mean 'series'"):
        row_source(cohort, "serie")
    for level in LEVELS:
        with pytest.raises(InvalidQueryError, match="did you mean 'PatientID'"):
            row_source(cohort, level, Sort("PatientIDs"))

"""Matching series in memory: masks per group and per series, counts, and recent results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from idc_widgets import IDCClient
from idc_widgets.query.filters import OneOf
from idc_widgets.query.memory import Matches, MemoryIndex, find_matches, memory_index_of

CT, MR, HEAD = (
    OneOf("Modality", ("CT",)),
    OneOf("Modality", ("MR",)),
    OneOf("SeriesDescription", ("head",)),
)

ROWS = """\
SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality,SeriesDescription,instanceCount
1.1,1,a,x,CT,head,10
1.2,1,a,x,MR,head,20
2.1,2,a,x,CT,neck,
3.1,3,b,x,CT,head,40
4.1,4,a,y,SEG,,1
"""


@pytest.fixture
def client(tmp_path: Path) -> IDCClient:
    path = tmp_path / "own.csv"
    path.write_text(ROWS, encoding="utf-8")
    return IDCClient(path)


@pytest.fixture
def memory(client: IDCClient) -> MemoryIndex:
    index = memory_index_of(client.engine)
    assert index is not None
    return index


def uids(matches: Matches) -> list[str]:
    return matches.memory.series_uids_of(matches.rows)


def test_conditions_on_groups_and_on_series_are_combined(memory: MemoryIndex) -> None:
    assert memory.mask_of(CT).is_per_group
    assert not memory.mask_of(HEAD).is_per_group
    for conditions, expected in (
        ((), ["1.1", "1.2", "2.1", "3.1", "4.1"]),
        ((CT,), ["1.1", "2.1", "3.1"]),
        ((HEAD,), ["1.1", "1.2", "3.1"]),
        ((CT, HEAD), ["1.1", "3.1"]),
        ((CT, MR), []),
    ):
        matches = find_matches(memory, conditions)
        assert uids(matches) == expected
        assert len(matches) == len(expected)


def test_masks_are_combined(memory: MemoryIndex) -> None:
    ct, head = memory.mask_of(CT), memory.mask_of(HEAD)
    assert (ct & ~memory.mask_of(MR)).is_per_group
    assert (ct | head).per_series.tolist() == [True, True, True, True, False]
    assert (ct & head).per_series.tolist() == [True, False, False, True, False]
    assert (~head).per_series.tolist() == [False, False, True, False, True]
    same_study = memory.mask_of_same("study", memory.mask_of(MR))
    assert same_study.per_series.tolist() == [True, True, False, False, False]
    same_patient = memory.mask_of_same("patient", memory.mask_of(MR))
    assert same_patient.per_series.tolist() == [True, True, True, False, False]


def test_counts_of_matches(memory: MemoryIndex) -> None:
    matches = find_matches(memory, (CT,))
    assert matches.files_and_size_MB() == (50, 0.0)
    assert find_matches(memory, (CT, HEAD)).files_and_size_MB() == (50, 0.0)
    assert matches.collection_count() == 1
    assert (len(matches.patients), len(matches.studies)) == (2, 3)
    everything = find_matches(memory, ())
    assert list(everything.count_values("Modality")) == [("CT", 3, 2), ("MR", 1, 1), ("SEG", 1, 1)]
    assert list(matches.count_values("Modality")) == [("CT", 3, 2)]
    assert everything.count_bins("instanceCount", (1, 15, 30, 100)) == ([2, 1, 1], 1)


def test_keys_that_are_among_the_matches(memory: MemoryIndex) -> None:
    matches = find_matches(memory, (MR,))
    assert matches.present_keys("series", ["1.1", "1.2", "unknown"]) == {"1.2"}
    assert matches.present_keys("study", ["1", "2", "unknown"]) == {"1"}
    keys = [("x", "a"), ("y", "a"), ("x", "unknown")]
    assert matches.present_keys("patient", keys) == {("x", "a")}


@pytest.mark.parametrize("values", [["CT"], ["MR"], ["CT", "SEG"], ["SEG"]])
def test_rows_of_few_patients(
    memory: MemoryIndex, values: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    conditions = (OneOf("Modality", tuple(values)),)
    rows = find_matches(memory, conditions).rows
    memory.forget_recent()
    monkeypatch.setattr("idc_widgets.query.memory.matches._MAX_SEARCHED_PATIENTS", 0)
    among_all = find_matches(memory, conditions).rows
    assert rows.tolist() == among_all.tolist() == sorted(rows.tolist())
    assert rows.dtype == among_all.dtype


def test_recent_results_are_kept(memory: MemoryIndex) -> None:
    matches = find_matches(memory, (CT,))
    assert find_matches(memory, (CT,)) is matches
    assert find_matches(memory, [OneOf("Modality", ("CT",))]) is matches
    memory.forget_recent()
    again = find_matches(memory, (CT,))
    assert again is not matches
    assert again.equals(matches)
    assert not again.equals(find_matches(memory, (MR,)))
    assert not again.equals(None)
    keys = [("x", "a")]
    assert memory.number_by_key("patient", keys) is memory.number_by_key("patient", tuple(keys))
    assert memory.number_by_key("patient", [("x", "b")]) == {("x", "b"): 1}


def test_keys_are_looked_up(memory: MemoryIndex) -> None:
    for level, keys in (
        ("patient", [("x", "a"), ("x", "b"), ("y", "a")]),
        ("study", ["1", "2", "3", "4"]),
        ("series", ["1.1", "1.2", "2.1", "3.1", "4.1"]),
    ):
        assert memory.count(level) == len(keys)
        numbers = memory.number_by_key(level, [*keys, keys[0]])
        assert sorted(numbers) == keys
        assert memory.keys_of(level, np.array([numbers[key] for key in keys])) == keys


def test_columns_that_are_not_in_memory_are_read(client: IDCClient, memory: MemoryIndex) -> None:
    rows = np.array([3, 0])
    columns = memory.read_columns(rows, ["SeriesInstanceUID", "SOPClassUID"])
    assert columns == {"SeriesInstanceUID": ["3.1", "1.1"], "SOPClassUID": [None, None]}
    assert memory.rank_in_file("SOPClassUID").tolist() == [-1] * 5
    assert client.cohort().matches is not None

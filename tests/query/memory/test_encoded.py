"""Encoded columns: codes of values, masks over codes, and missing values."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from idc_widgets.query.memory.arrow import rank_distinct, to_arrow, to_numpy
from idc_widgets.query.memory.encoded import EncodedColumn, encode


@pytest.fixture
def column() -> EncodedColumn:
    return encode(pa.chunked_array([["MR", None, "CT"], ["CT", "SEG"], pa.array([], pa.string())]))


def test_codes_are_places_among_the_sorted_values(column: EncodedColumn) -> None:
    assert column.values.to_pylist() == ["CT", "MR", "SEG"]
    assert column.codes.tolist() == [1, 3, 0, 0, 2]
    assert column.codes.dtype == np.uint8
    assert column.missing_code == 3
    assert column.value_of_code == ["CT", "MR", "SEG", None]
    assert column.lower_case_values.to_pylist() == ["ct", "mr", "seg"]


def test_codes_are_decoded(column: EncodedColumn) -> None:
    assert column.decode(column.codes) == ["MR", None, "CT", "CT", "SEG"]
    assert column.decode(column.codes[2:]) == ["CT", "CT", "SEG"]
    assert column.decode(column.codes[:0]) == []


@pytest.mark.parametrize(
    ("wanted", "mask"),
    [
        ([], [0, 0, 0, 0]),
        (["MR", "unknown"], [0, 1, 0, 0]),
        ([None], [0, 0, 0, 1]),
        (["SEG", None, 7, True], [0, 0, 1, 1]),
    ],
)
def test_a_mask_over_codes(column: EncodedColumn, wanted: list[object], mask: list[int]) -> None:
    assert column.codes_in(wanted).tolist() == [bool(flag) for flag in mask]


def test_a_mask_over_codes_of_numbers() -> None:
    column = encode(pa.chunked_array([[30, 10, None, 10]]))
    assert column.codes.tolist() == [1, 0, 2, 0]
    assert column.codes_in([10, None]).tolist() == [True, False, True]


def test_an_empty_column_has_no_values() -> None:
    column = encode(pa.chunked_array([], pa.string()))
    assert column.decode(column.codes) == []
    assert column.codes_in(["CT", None]).tolist() == [True]


def test_texts_are_read_as_numbers() -> None:
    column = encode(pa.chunked_array([["2", "10", "x", "-1", "inf"]]))
    number_of_text = dict(zip(column.value_of_code, column.number_of_code, strict=True))
    assert number_of_text == {
        "2": 2,
        "10": 10,
        "-1": -1,
        "x": math.inf,
        "inf": math.inf,
        None: math.inf,
    }


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1, 2, 3], pa.int32()),
        pa.array([0.5, 1.5, 2.5]),
        pa.array([True, False, True] * 5),
        pa.array([], pa.bool_()),
    ],
)
def test_arrow_arrays_become_numpy_arrays(array: pa.Array) -> None:
    assert to_numpy(array).tolist() == array.to_pylist()
    assert to_numpy(array[1:]).tolist() == array.to_pylist()[1:]


def test_missing_values_do_not_become_numpy_arrays() -> None:
    with pytest.raises(ValueError, match="without missing values"):
        to_numpy(pa.array([1, None]))


def test_numpy_arrays_and_texts_become_arrow_arrays() -> None:
    assert to_arrow(np.arange(6, dtype=np.int16)[::2]).to_pylist() == [0, 2, 4]
    assert to_arrow(["", "ä", "CT"]).to_pylist() == ["", "ä", "CT"]
    assert to_arrow([]).to_pylist() == []


def test_distinct_keys_are_ranked() -> None:
    keys = np.random.default_rng(1).integers(0, 50, 1000)
    distinct, rank = rank_distinct(keys)
    assert distinct.tolist() == sorted(set(keys.tolist()))
    assert np.array_equal(distinct[rank], keys)

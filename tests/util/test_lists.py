"""A single value or several as a list."""

from __future__ import annotations

import numpy as np
import pytest

from idc_widgets._util import lists


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"CT"}, ["CT"]),
        (b"CT", [b"CT"]),
        ({"a": 1}, [{"a": 1}]),
        (np.array(["CT", "MR"]), ["CT", "MR"]),
        (iter([1, 2]), [1, 2]),
        (5, [5]),
    ],
)
def test_as_list(value: object, expected: list[object]) -> None:
    assert lists.as_list(value) == expected


def test_an_array_without_a_dimension_is_a_single_item() -> None:
    assert len(lists.as_list(np.array(5))) == 1

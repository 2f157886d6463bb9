"""The names that errors propose."""

from __future__ import annotations

import doctest

import pytest

from idc_widgets import errors
from idc_widgets.errors import nearest, unknown


@pytest.mark.parametrize(
    ("name", "candidates", "expected"),
    [
        ("NLST", ["nlst", "nlsts"], "nlst"),
        ("Modalty", ["Modality", "Manufacturer"], "Modality"),
        ("xyz", ["Modality"], None),
        ("a", [], None),
    ],
)
def test_nearest(name: str, candidates: list[str], expected: str | None) -> None:
    assert nearest(name, candidates) == expected


def test_few_choices_are_listed() -> None:
    assert unknown("level", "x", ["b", "a"]) == "unknown level 'x'; expected one of a, b"
    assert unknown("level", "x", map(str, range(100))) == "unknown level 'x'"


def test_examples_of_the_docstrings() -> None:
    assert doctest.testmod(errors).failed == 0

"""The messages about unknown names."""

from __future__ import annotations

import doctest

import pytest

from idc_widgets import errors
from idc_widgets.errors import nearest_choice, unknown_message


@pytest.mark.parametrize(
    ("name", "choices", "expected"),
    [
        ("NLST", ["nlst", "nlsts"], "nlst"),
        ("Modalty", ["Modality", "Manufacturer"], "Modality"),
        ("xyz", ["Modality"], None),
        ("a", [], None),
    ],
)
def test_the_nearest_choice(name: str, choices: list[str], expected: str | None) -> None:
    assert nearest_choice(name, choices) == expected


def test_few_choices_are_listed() -> None:
    assert unknown_message("level", "x", ["b", "a"]) == "unknown level 'x'; expected one of a, b"
    assert unknown_message("level", "x", map(str, range(100))) == "unknown level 'x'"


def test_examples_of_the_docstrings() -> None:
    assert doctest.testmod(errors).failed == 0

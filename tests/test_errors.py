"""The messages about unknown names."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable

import pytest

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


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("1.3.6.1.4.1.14519.5.2.1.6279.6001.1", (f"1.3.6.1.4.{n}" for n in itertools.count())),
        ("a" * 1_000_000, ["a" * 1_000_000 + str(n) for n in range(100)]),
        ("ab" * 32, ["ba" * 32 + str(n) for n in range(5000)]),
    ],
)
def test_the_search_for_a_similar_name_is_bounded(name: str, choices: Iterable[str]) -> None:
    before = time.thread_time()
    message = unknown_message("UID", name, choices)
    assert time.thread_time() - before < 2
    assert len(message) < 1000


def test_the_nearest_of_many_choices() -> None:
    choices = [f"LUNG1-{number}" for number in range(1000)]
    assert nearest_choice("LUNG1_365", choices) == "LUNG1-365"

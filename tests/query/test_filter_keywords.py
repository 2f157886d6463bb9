"""The keywords of filters in signatures and in the parser, and filters without a keyword."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from idc_widgets import Cohort, IDCClient, InvalidQueryError
from idc_widgets.index import ALIASES
from idc_widgets.query import KEYWORDS
from idc_widgets.query.filter_keywords import _SPECIAL_NAMES
from idc_widgets.query.where_parser import _COMPOSED, _SPECIAL


@pytest.mark.parametrize("name", ["where", "exclude", "having", "lacking"])
def test_signatures_name_every_filter(client: IDCClient, name: str) -> None:
    for method in (getattr(client.cohort(), name), client.cohort):
        parameters = inspect.signature(method).parameters
        assert {*KEYWORDS, *ALIASES} - {"having"} <= set(parameters)
        assert "_given" not in parameters


def test_every_special_keyword_has_a_parser() -> None:
    assert (*_SPECIAL, *_COMPOSED) == _SPECIAL_NAMES


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda cohort: cohort.where("slices > 100"), r"where\('slices > 100'\): filters are key"),
        (lambda cohort: cohort.exclude({"sex": "F"}), "two stars: exclude"),
        (lambda cohort: cohort.where(cohort), "write a & b"),
        (lambda cohort: cohort.exclude(cohort), "write a - b"),
    ],
)
def test_filters_without_a_keyword_are_refused(
    client: IDCClient, call: Callable[[Cohort], object], message: str
) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        call(client.cohort())

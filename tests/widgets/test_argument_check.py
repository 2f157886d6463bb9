"""Misspelled keyword arguments: the error names the nearest argument, or all arguments."""

from __future__ import annotations

import pytest

from idc_widgets.widgets.argument_check import check_keywords


def test_allowed_arguments_pass() -> None:
    check_keywords("FacetPanel", ["layout"], ["columns", "layout"])
    check_keywords("FacetPanel", [], [])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("colums", "FacetPanel has no argument 'colums'; did you mean 'columns'"),
        ("x", "FacetPanel has no argument 'x'; it has columns, layout"),
    ],
)
def test_an_unknown_argument_raises_an_error(name: str, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_keywords("FacetPanel", ["layout", name], ["layout", "columns"])

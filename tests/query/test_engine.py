"""Values in SQL: literals and bound parameters."""

from __future__ import annotations

import pytest

from idc_widgets import IDCClient, InvalidQueryError
from idc_widgets.query.engine import literal


@pytest.mark.parametrize("value", ["", "'", "it's", "?", "x'; DROP VIEW index; --", "\\", "é\n"])
def test_literals_and_parameters_return_unchanged(client: IDCClient, value: str) -> None:
    table = client.engine.query(f"SELECT {literal(value)} AS value, ? AS bound", [value])
    assert table.to_pylist() == [{"value": value, "bound": value}]


def test_values_without_a_literal_are_refused() -> None:
    for value in (float("nan"), "a\0b", object()):
        with pytest.raises(InvalidQueryError):
            literal(value)

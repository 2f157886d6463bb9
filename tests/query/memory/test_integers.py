"""Texts become the same integers as in DuckDB."""

from __future__ import annotations

from idc_widgets import DuckDBEngine, IDCClient
from idc_widgets.query.memory.arrow import to_arrow
from idc_widgets.query.memory.integers import LARGEST, integers_of

TEXTS = [
    "7",
    "007",
    "-3",
    "+5",
    " 8 ",
    "1.6",
    "1e3",
    "",
    "-",
    "1a",
    "٣",
    "1\n",
    f"{2**62}",
    "9" * 30,
]


def test_the_integers_are_those_of_a_cast(client: IDCClient) -> None:
    assert isinstance(client.engine, DuckDBEngine)
    expected = [client.engine.rows("SELECT TRY_CAST(? AS BIGINT)", [text])[0][0] for text in TEXTS]
    assert expected[:4] == [7, 7, -3, 5]
    found = integers_of(client.engine, to_arrow(TEXTS)).tolist()
    assert found == [LARGEST if number is None else number for number in expected]
    assert not integers_of(client.engine, to_arrow([])).size

"""Tables as data frames and the index in memory, where the system starts no more threads."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from idc_widgets import IDCClient, IndexFileError
from idc_widgets.query.dataframes import to_dataframe
from idc_widgets.query.memory import column_reader, read_index

NO_THREADS = pa.ArrowException(
    "Unknown error: Failed to launch worker thread: Resource temporarily unavailable"
)


class Table:
    """A table that can be converted only without threads."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def to_pandas(self, *, use_threads: bool = True) -> Any:
        if use_threads:
            raise self.error
        return pa.table({"a": [1]}).to_pandas(use_threads=False)


def test_a_table_is_converted_without_a_thread() -> None:
    table: Any = Table(NO_THREADS)
    assert list(to_dataframe(table).a) == [1]
    other: Any = Table(pa.ArrowInvalid("something else"))
    with pytest.raises(pa.ArrowInvalid, match="something else"):
        to_dataframe(other)


def test_an_index_that_cannot_be_read_without_a_thread(
    client: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(engine: object, name: str) -> None:
        raise NO_THREADS

    monkeypatch.setattr(column_reader, "_encoded", fail)
    with pytest.raises(IndexFileError, match="starts no more threads; end other programs, or"):
        read_index.read_index(client.engine)  # type: ignore[arg-type]

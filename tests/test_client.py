"""IDCClient: its arguments and its version."""

from __future__ import annotations

import pytest

from idc_widgets import IDCClient


def test_an_index_and_an_engine_exclude_each_other(client: IDCClient) -> None:
    with pytest.raises(TypeError, match="not both"):
        IDCClient("x.csv", engine=client.engine)


def test_one_mirror_may_be_given_as_text(client: IDCClient) -> None:
    other = IDCClient(engine=client.engine, mirrors="https://127.0.0.1/{version}/{name}")  # type: ignore[arg-type]
    assert other.mirrors == ("https://127.0.0.1/{version}/{name}",)


def test_version(client: IDCClient) -> None:
    [(newest,)] = client.sql("SELECT max(idc_version) FROM version_metadata_index").values.tolist()
    assert client.data_version.split(".")[0] == str(newest)
    assert repr(client) == f"IDCClient({client.data_version})"

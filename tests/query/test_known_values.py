"""Lookups of known keys and texts: memory and databases return the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from idc_widgets import IDCClient
from idc_widgets.query import Engine, known_keys, known_texts, similar_texts

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
PATIENT = ("nsclc_radiomics", "LUNG1-365")


class Database:
    """An engine that is not a DuckDBEngine, so that nothing is looked up in memory."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.data_version = engine.data_version

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.engine.rows(sql, params)


@pytest.fixture(params=["memory", "database"])
def engine(request: pytest.FixtureRequest, client: IDCClient) -> Any:
    return client.engine if request.param == "memory" else Database(client.engine)


@pytest.mark.parametrize(
    ("level", "key", "unknown"),
    [
        ("patient", PATIENT, ("nlst", "LUNG1-365")),
        ("study", STUDY, CT),
        ("series", CT, STUDY),
    ],
)
def test_known_keys_of_a_cohort(
    engine: Any, client: IDCClient, level: str, key: Any, unknown: Any
) -> None:
    everything = client.cohort().conditions
    assert known_keys(engine, everything, level, [key, unknown]) == {key}
    assert known_keys(engine, everything, level, []) == set()
    other = client.cohort(Modality="SM").conditions
    assert known_keys(engine, other, level, [key, unknown]) == set()


def test_known_texts_of_a_column(engine: Any) -> None:
    assert known_texts(engine, "Modality", ["CT", "ct", "CT"]) == {"CT"}
    assert known_texts(engine, "Modality", []) == set()


def test_similar_texts_are_few_and_begin_alike(client: IDCClient) -> None:
    assert "LUNG1-365" in similar_texts(client.engine, "PatientID", "lung1-3655")
    assert len(similar_texts(client.engine, "PatientID", "1")) <= 5_000
    assert similar_texts(client.engine, "SeriesInstanceUID", CT[:-1]) == []
    assert "CT" in similar_texts(client.engine, "Modality", "xy")
    nlst = client.cohort(collection_id="nlst").conditions
    assert similar_texts(client.engine, "PatientID", "LUNG1-365", nlst) == []
    assert similar_texts(client.engine, "PatientID", "\ud800") == []

"""Cohorts and selections can be pickled, for other processes as well."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import pytest
from support.own_table import OwnTable

from idc_widgets import Cohort, IDCClient, InvalidQueryError
from idc_widgets.query import pickling

ELSEWHERE = """
import pickle, sys
cohort = pickle.load(sys.stdin.buffer)
print(cohort.summary().series)
print(pickle.loads(pickle.dumps(cohort)) == cohort)
"""


def elsewhere(cohort: Cohort) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=pickle.dumps(cohort),
        capture_output=True,
        check=True,
    )
    return result.stdout.decode().split()


def test_a_copy_is_equal(client: IDCClient) -> None:
    lung = client.cohort(collection_id="nsclc_radiomics", PatientAge=(60, None), text="lung")
    for cohort in (
        lung,
        ~lung,
        lung.largest().having(Modality="SEG"),
        lung.sample(3),
        lung | ~lung,
    ):
        for copied in (pickle.loads(pickle.dumps(cohort)), copy.deepcopy(cohort)):
            assert copied == cohort
            assert hash(copied) == hash(cohort)
            assert copied.engine is client.engine
    joined = lung.join("collections_index", ["program_id"])
    assert pickle.loads(pickle.dumps(joined)).joins == joined.joins
    selection = lung.select()
    assert pickle.loads(pickle.dumps(selection)) == selection


def test_another_process_opens_the_same_data(client: IDCClient, own_table: OwnTable) -> None:
    cohort = client.cohort(Modality="SEG", PatientSex="F")
    assert elsewhere(cohort) == [str(cohort.summary().series), "True"]
    own = own_table("Modality", "1,2,3,4,CT", "5,2,3,4,MR").cohort(Modality="CT")
    assert elsewhere(own) == ["1", "True"]


def test_another_version_of_the_data_is_refused(
    client: IDCClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, (kind, _, place, _, *rest) = client.cohort(Modality="CT").__reduce__()
    with pytest.raises(InvalidQueryError, match=r"version 24\.0\.0 of idc-index-data, and 25\.0"):
        function(kind, "other process", place, "24.0.0", *rest)
    with pytest.raises(InvalidQueryError, match=r"database cannot be opened here; pickle cohort"):
        function(kind, "other process", None, "my_dataset", *rest)
    monkeypatch.setattr(pickling, "_engines", {})
    again: Any = pickle.loads(pickle.dumps(client.cohort(Modality="CT")))
    assert again == client.cohort(Modality="CT"), "clients of the same files share one engine"

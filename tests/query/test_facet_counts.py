"""Facets: counts per value, which ignore the filter on the facet itself."""

from __future__ import annotations

import os
import subprocess
import sys

import duckdb
import pytest

from idc_widgets import IDCClient, Index, InvalidQueryError
from idc_widgets.query.memory import memory_index_of


def test_a_facet_ignores_only_the_filter_on_its_own_column(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics", Modality="CT")
    facets = cohort.facets(["Modality", "collection_id"])
    assert {facet.value for facet in facets["Modality"]} == {"CT", "RTSTRUCT", "SEG", "SR"}
    assert len(facets["collection_id"]) > 50
    by_hand = duckdb.sql(
        f"SELECT count(*) FROM '{Index.default().tables['index']}'"
        " WHERE collection_id = 'nsclc_radiomics' AND Modality = 'SEG'"
    ).fetchall()
    assert by_hand[0][0] in {facet.series for facet in facets["Modality"] if facet.value == "SEG"}


def test_facets_by_alias_and_by_single_name(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="rider_lung_ct")
    assert list(cohort.facets(["Modality", "Modality"])) == ["Modality"]
    assert list(cohort.facets("Modality")) == ["Modality"]
    facets = cohort.facets(["program", "program_id"])
    assert facets["program"] == facets["program_id"]


def test_unknown_facets_are_refused_with_the_nearest_name(client: IDCClient) -> None:
    with pytest.raises(InvalidQueryError, match="did you mean 'Modality'"):
        client.cohort().facets(["Modalit"])
    with pytest.raises(InvalidQueryError, match="unknown column 'text'"):
        client.cohort().facets(["text"])


def test_recent_counts_are_kept_and_belong_to_the_caller(client: IDCClient) -> None:
    memory = memory_index_of(client.engine)
    assert memory is not None
    memory.forget_recent()
    cohort = client.cohort(Modality="CT")
    counted = cohort.facets("PatientSex")["PatientSex"]
    first = list(counted)
    counted.clear()
    again = cohort.facets("PatientSex")["PatientSex"]
    assert all(one is other for one, other in zip(again, first, strict=True))
    assert client.cohort().facets("PatientSex")["PatientSex"] != again
    assert cohort.facets("Modality") == client.cohort().facets("Modality")
    memory.forget_recent()
    counted_again = cohort.facets("PatientSex")["PatientSex"]
    assert counted_again == again
    assert counted_again[0] is not again[0]


SCRIPT = """
import atexit, sys
from idc_widgets import IDCClient
cohort = IDCClient().cohort(collection_id="nlst")
before = cohort.facets(["Modality", "PatientSex", "species"])
if "fork" in sys.argv:
    import os
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert cohort.facets(["Modality", "PatientSex", "species"]) == before
    os._exit(0)
atexit.register(lambda: print(cohort.facets(["Modality", "PatientSex"]) is not None))
"""


@pytest.mark.parametrize("how", ["fork", "exit"])
def test_facets_in_a_forked_process_and_while_the_interpreter_exits(how: str) -> None:
    if how == "fork" and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    command = [sys.executable, "-c", SCRIPT, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=360, check=False)
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert how == "fork" or done.stdout == "True\n"

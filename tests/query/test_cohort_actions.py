"""The actions of a cohort: those of its selection, with the same signatures."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pytest
from support.manifests import CT

from idc_widgets import Cohort, IDCClient, Selection
from idc_widgets.query.cohort_actions import CohortActions

ACTIONS = [name for name in vars(CohortActions) if not name.startswith("_") and name != "select"]
SERVER = "http://127.0.0.1:9"


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_has_the_signature_of_that_of_a_selection(name: str) -> None:
    ours, theirs = getattr(Cohort, name), getattr(Selection, name)
    assert inspect.signature(ours) == inspect.signature(theirs)


def test_the_actions_are_those_of_the_selection(client: IDCClient, tmp_path: Path) -> None:
    cohort = client.cohort(PatientID="LUNG1-365")
    selection = cohort.select()
    assert cohort.to_code() == selection.to_code()
    assert cohort.viewer_urls() == selection.viewer_urls()
    assert cohort.licenses() == selection.licenses()
    theirs = selection.plan(tmp_path / "new", source="gcs", template="flat")
    assert cohort.plan(tmp_path / "new", source="gcs", template="flat") == theirs
    ours = cohort.to_manifest(tmp_path / "a.csv").read_bytes()
    assert ours == selection.to_manifest(tmp_path / "b.csv").read_bytes()
    assert client.load(cohort.save(tmp_path / "saved.json")) == selection


def test_the_server_of_the_client_reaches_everything(client: IDCClient, tmp_path: Path) -> None:
    here = IDCClient(engine=client.engine, endpoint_url=SERVER)
    cohort = here.cohort(SeriesInstanceUID=CT)
    selection = cohort.select()
    [(_, group)] = cohort.groupby("patient")
    made = [
        cohort,
        here.cohort() & client.cohort(SeriesInstanceUID=CT),
        group.largest(),
        cohort.having(client.cohort()),
        cohort.split(all=1)["all"],
        here.find_uids(CT).cohort,
        pickle.loads(pickle.dumps(cohort)),
        selection,
        selection & client.cohort().of_series(CT).select(),
        pickle.loads(pickle.dumps(selection)),
        here.read_manifest(CT).selection,
        here.load(selection.save(tmp_path / "saved.json")),
    ]
    for one in made:
        assert one.plan(tmp_path, check_disk=False).endpoint_url == SERVER, one
    other = cohort.plan(tmp_path, endpoint_url="http://127.0.0.1:8")
    assert other.endpoint_url == "http://127.0.0.1:8"
    assert cohort == client.cohort(SeriesInstanceUID=CT)


def test_a_download_goes_to_the_server_of_the_client(client: IDCClient, tmp_path: Path) -> None:
    here = IDCClient(engine=client.engine, endpoint_url=SERVER)
    job = here.cohort(SeriesInstanceUID=CT).download(tmp_path / "data")
    assert job.plan.endpoint_url == SERVER
    assert job.wait() == "failed"
    assert "127.0.0.1:9" in str(job.error)

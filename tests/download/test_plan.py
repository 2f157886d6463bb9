"""DownloadPlan: disk space, consent, and the table of a dry run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from support.downloads import file_name, index_row, partly_downloaded

from idc_widgets import Cohort, DuckDBEngine, IDCClient
from idc_widgets.download import DownloadPlan
from idc_widgets.errors import DownloadError, EmptySelectionError
from idc_widgets.query.memory.loading import memory_index_of

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


def test_an_empty_plan(ct: pa.Table, tmp_path: Path) -> None:
    plan = DownloadPlan.make(ct.slice(0, 0), tmp_path)
    assert (plan.series, plan.size_bytes) == ((), 0)


# --- the template ---------------------------------------------------------------------------


# --- what is refused ------------------------------------------------------------------------


def test_a_disk_that_is_too_full(tmp_path: Path) -> None:
    free_MB = shutil.disk_usage(tmp_path).free / 1e6
    rows = pa.Table.from_pylist([index_row(instanceCount=1, series_size_MB=free_MB + 5000)])
    with pytest.raises(DownloadError, match=r"\d [GT]B are still to fetch, [\d.]+ [GT]B are free"):
        DownloadPlan.make(rows, tmp_path / "new", template="x")
    assert not (tmp_path / "new").exists()
    # Files that are on disk need no space again; this sparse file takes none
    (tmp_path / "new" / "x").mkdir(parents=True)
    with open(tmp_path / "new" / "x" / file_name(1), "wb") as file:
        file.truncate(round((free_MB + 5000) * 1e6))
    plan = DownloadPlan.make(rows, tmp_path / "new", template="x")
    assert plan.complete() == {"1.2.1": [tmp_path / "new" / "x" / file_name(1)]}


def test_a_margin_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.Table.from_pylist([index_row(series_size_MB=70.0)])

    def plan(free: float, total: float) -> DownloadPlan:
        usage = shutil.disk_usage("/")._replace(free=round(free * 1e6), total=round(total * 1e6))
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        return DownloadPlan.make(rows, tmp_path, template="x")

    assert plan(80, 500).preview().fits, "2 % of a small disk"
    assert plan(1070, 100_000).preview().fits, "1 GB of a large one"
    message = "70.0 MB are still to fetch, 79.9 MB are free, of which 10.0 MB must be left"
    with pytest.raises(DownloadError, match=message):
        plan(79.9, 500)
    with pytest.raises(DownloadError, match=r"1\.1 GB are free, of which 1\.0 GB must be left"):
        plan(1069.9, 100_000)
    (tmp_path / "x").mkdir()
    for number in range(10):
        with open(tmp_path / "x" / file_name(number), "wb") as file:
            file.truncate(7_000_000)
    assert plan(0, 500).preview().fits, "nothing is left to fetch"


# --- the forms -------------------------------------------------------------------------------


# --- where from ------------------------------------------------------------------------------


# --- before the start ------------------------------------------------------------------------


def test_when_a_plan_needs_consent(tmp_path: Path) -> None:
    plan = partly_downloaded(tmp_path)
    assert plan.needs_consent(0.049) and not plan.needs_consent(0.05) and not plan.needs_consent()
    assert not plan.needs_consent(None)
    message = r"50\.0 MB are still to fetch, and the limit is 0\.049 GB; .*pass max_GB=1, or"
    with pytest.raises(DownloadError, match=message):
        plan.check_consent(0.049)
    (tmp_path / "1.2.2" / file_name(2)).write_bytes(bytes(19_999_997))
    assert not plan.needs_consent(0.049), "files on disk need no consent"
    assert plan.needs_consent(0.029)


def test_a_large_selection_needs_consent(
    client: IDCClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=10**15, total=10**15)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    large = client.cohort(collection_id="nsclc_radiomics").select()
    limit = large.size_MB / 1e3 - 0.1
    with pytest.raises(DownloadError, match=f"the limit is {limit:g} GB; .*pass max_GB="):
        large.download(tmp_path / "new", max_GB=limit)
    assert not (tmp_path / "new").exists()


def test_the_table_of_a_plan(tmp_path: Path) -> None:
    table = partly_downloaded(tmp_path).table()
    assert table.to_dict("list") == {
        "SeriesInstanceUID": ["1.2.1", "1.2.2", "1.2.3"],
        "folder": ["1.2.1", "1.2.2", "1.2.3"],
        "files": [2, 3, 4],
        "size_MB": [6e-6, 20.0, 30.0],
        "on_disk": ["complete", "partly", "none"],
        "license": ["CC BY-NC 4.0", "CC BY 4.0", "CC BY-NC 4.0"],
    }
    flat = partly_downloaded(tmp_path, "flat").table()
    assert list(flat["folder"]) == ["."] * 3 and set(flat["on_disk"]) == {"none"}


def test_a_dry_run_of_a_selection(client: IDCClient, tmp_path: Path) -> None:
    selection = client.cohort(SeriesInstanceUID=[CT]).select()
    for template in (None, "short", "flat", "%SeriesInstanceUID"):
        plan = selection.plan(tmp_path / "new", template=template, source="gcs")
        [row] = plan.table().to_dict("records")
        assert (row["files"], row["size_MB"], row["on_disk"]) == (134, 70.513634, "none")
        assert row["license"] == "CC BY-NC 3.0"
        assert plan.series[0].bucket == "idc-open-cr"
        assert list(plan.table()["folder"]) == [
            plan.series[0].destination.relative_to(tmp_path / "new").as_posix()
        ]
    assert list(tmp_path.iterdir()) == []
    assert list(DownloadPlan((), tmp_path, "http://h").table().columns) == list(row)


def test_planning_does_not_read_the_whole_index_into_memory(tmp_path: Path) -> None:
    engine = DuckDBEngine()  # a new engine: the shared one may have read the index already
    plan = Cohort(engine).where(SeriesInstanceUID=[CT]).select().plan(tmp_path)
    assert plan.provenance.code is not None
    assert plan.provenance.code.splitlines()[0].endswith("Selection(1 series, 70.5 MB)")
    assert memory_index_of(engine, make=False) is None


def test_an_empty_selection_is_no_download(client: IDCClient, tmp_path: Path) -> None:
    women = client.cohort(collection_id="nsclc_radiomics", PatientSex="F")
    empty = women.where(PatientSex="M")
    for refused in (empty.plan, empty.download, empty.select().plan, empty.select().download):
        with pytest.raises(
            EmptySelectionError, match="nothing is selected: No value of PatientSex"
        ):
            refused(tmp_path / "data")
    mammograms = women.where(Modality="MG")
    with pytest.raises(EmptySelectionError, match="matches none of the 32,681 series"):
        mammograms.plan(tmp_path / "data", check_disk=False)
    assert client.get_images([], tmp_path / "data") == []
    assert not (tmp_path / "data").exists()

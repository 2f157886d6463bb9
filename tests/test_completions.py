"""The completions that a kernel returns for Tab, as lists that a person has read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.kernel import Kernel

from idc_widgets.query import KEYWORDS

_CELL = """
import idc_widgets
from idc_widgets import *
client = IDCClient()
cohort = client.cohort(PatientID="LUNG1-365")
selection = cohort.select()
plan = selection.plan("idc_data", check_disk=False)
job = DownloadJob(plan)
browser = IDCBrowser(PatientID="LUNG1-365")
state = browser.state
"""

NAMES = {
    "client.": """
        add_table build_cache cohort data_version describe endpoint_url fetch_table find_uids
        get_collection_ids get_image get_images
        get_patient_study get_patients get_series get_series_size load mirrors plan_prior
        read_manifest sql tables
    """,
    "cohort.": """
        citations derived download earliest endpoint_url exclude facets filters flow groupby
        having histogram join lacking largest latest left_out licenses originals patients plan
        sample
        save select series split studies summary to_code to_manifest to_sql unique value_counts
        viewer_urls where why_empty without
    """,
    "selection.": """
        citations cohort data_version dois download licenses patients plan save series size_MB
        studies summary to_code to_manifest uids viewer_urls
    """,
    "plan.": "complete endpoint_url files folder preview series size_bytes table",
    "job.": """
        cancel error failed files is_cancelling is_finished log on_change options paths pause plan
        progress report result resume retry series_done start state wait
    """,
    "browser.": """
        add_class beside client close cohort download filters job layout observe paths pick
        remove_class selection state unobserve
    """,
    "state.": """
        clear client cohort columns distributions filter_values filters message observe patients
        pick selection series sizes sorts studies study_cohort unobserve widths
    """,
    "idc_widgets.": """
        BrowserState Cohort DownloadError DownloadJob DownloadPlan DownloadWidget DuckDBEngine
        EmptySelectionError
        Engine FacetDropdown FacetPanel FacetValue FetchError FilterPanel FoundUids Histogram
        IDCBrowser IDCClient IDCError IbisEngine Index IndexFileError InvalidQueryError
        LargeDownloadError License Manifest PatientGrid QueryInterruptedError RangeFilter
        RowDetails SearchBox Selection SeriesGrid StudyGrid Summary SummaryBar compare
    """,
}


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        kernel.run(_CELL)
        yield kernel


@pytest.mark.parametrize("code", list(NAMES))
def test_tab_after_a_dot_offers_the_public_names(kernel: Kernel, code: str) -> None:
    assert sorted(kernel.complete(code)) == sorted(NAMES[code].split())


@pytest.mark.parametrize("name", ["where", "exclude", "having", "lacking"])
def test_tab_in_a_call_offers_every_filter(kernel: Kernel, name: str) -> None:
    own = {"level="} if name in ("having", "lacking") else set()
    expected = own | {f"{keyword}=" for keyword in KEYWORDS}
    for code in ("client.cohort(", f"cohort.{name}("):
        offered = {match for match in kernel.complete(code) if match.endswith("=")}
        assert offered == (expected if name in code else expected - own)


def test_tab_follows_properties_and_results(kernel: Kernel) -> None:
    assert "Modality=" in kernel.complete("browser.cohort.where(Mod")
    assert kernel.complete("job.progress.bytes_d") == ["bytes_done"]
    assert kernel.complete("selection.cohort.value_c") == ["value_counts"]
    assert kernel.complete("job.state.upp") == ["upper"]

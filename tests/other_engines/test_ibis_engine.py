"""Every kind of filter and query gives the same result through ibis as on our own engine.

The other databases are Spark and the DuckDB of ibis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idc_widgets import Cohort, IbisEngine, IDCClient, Index, IndexFileError, InvalidQueryError
from idc_widgets.index import FACETS, LEVELS, MORE_FACETS, RANGES
from idc_widgets.query import similar_texts

PATIENT = ("nsclc_radiomics", "LUNG1-365")
LUNG = {"collection_id": ["nsclc_radiomics", "rider_lung_ct"]}


def _uids(client: IDCClient) -> list[str]:
    """Return the SeriesInstanceUIDs of 3,000 series."""
    return [
        uid
        for (uid,) in client.engine.rows(
            "SELECT SeriesInstanceUID FROM index WHERE Modality = 'PT' ORDER BY 1 LIMIT 3000"
        )
    ]


def _patients(client: IDCClient) -> list[tuple[str, str]]:
    """Return the keys of 60 patients, from more than one collection."""
    rows = client.engine.rows(
        "SELECT DISTINCT collection_id, PatientID FROM index WHERE Modality = 'PT'"
        " ORDER BY PatientID, collection_id LIMIT 60"
    )
    assert len({collection for collection, _ in rows}) > 1
    return rows


def _study(client: IDCClient) -> str:
    return str(client.cohort(patients=[PATIENT]).studies().StudyInstanceUID[0])


#: Name → filters, or a function that makes them from our own client.
CASES: dict[str, dict[str, Any] | Callable[[IDCClient], dict[str, Any]]] = {
    "equal": {"collection_id": "nsclc_radiomics"},
    "list": {"Modality": ["CT", "SEG"], **LUNG},
    "missing": {"BodyPartExamined": None, "Modality": "MR"},
    "list with missing": {"PatientSex": [None, "M"], "Modality": ["RTSTRUCT", "SEG"]},
    "numbers": {"instanceCount": (100, 134), "series_size_MB": (0.5, 70.513634), **LUNG},
    "numbers in a list": {"instanceCount": [134, 135.0, None]},
    "size from": {"series_size_MB": (2500.5, None)},
    "version": {"series_init_idc_version": [23, 24], "Modality": "SR"},
    "dates": {"StudyDate": ("2010-04-01", "2010-04-02")},
    "some date": {"SeriesDate": (None, None), **LUNG},
    "ages": {"PatientAge": ("006M", 2)},
    "weeks": {"PatientAge": (None, "003W")},
    "one word": {"text": "MEDIASTINUM"},
    "two words": {"text": "lung chest", "Modality": ["CT", "SR"]},
    "a collection's name": {"text": "nsclc-radiomics", "Modality": "SEG"},
    "percent": {"text": "%"},
    "underline": {"text": "t1_", "Modality": "MR", "PatientSex": "M"},
    "quote": {"text": "'"},
    "backslash": {"text": "\\"},
    "uids": lambda client: {"uids": [_study(client), _uids(client)[0]]},
    "many uids": lambda client: {"uids": _uids(client)},
    "many series": lambda client: {"SeriesInstanceUID": _uids(client)},
    "patients": {"patients": [PATIENT, ("nlst", "100002")]},
    "many patients": lambda client: {"patients": _patients(client)},
    "studies having": {
        "having": [{"Modality": ["RTSTRUCT", "PR"]}, {"Modality": "CT", "instanceCount": (9, 99)}],
        **LUNG,
    },
    "patients having": {"having": {"Modality": "MR", "level": "patient"}, "Modality": "PT"},
    "missing in a study": {"having": {"BodyPartExamined": None}, **LUNG},
    "originals": {
        "original": True,
        "having": {"Modality": "SEG", "collection_id": "rider_lung_ct"},
    },
    "derived": {"original": False, "having": {"patients": [PATIENT], "Modality": "CT"}},
    "any of": {
        "any_of": [
            [{"PatientSex": "F", "Modality": "CT"}, {"exclude": {"PatientAge": (0, 66)}}],
            [{"BodyPartExamined": None}, {"having": {"Modality": "SEG"}, "original": True}],
        ],
        **LUNG,
    },
    "none of": {
        "exclude": {"any_of": [{"PatientSex": "F", "PatientAge": (0, 66)}], "original": True},
        **LUNG,
    },
    "part": {"part": {"by": "PatientID", "random_state": 7, "range": (0.25, 0.5)}, **LUNG},
    "sample": lambda client: client.cohort(Modality="SEG").sample(99, random_state=-1).filters,
    "sampled series": lambda client: (
        client.cohort(Modality="MR").sample(9, level="series", random_state=3).filters
    ),
    "strata": lambda client: (
        client.cohort(**LUNG).split(a=0.5, b=0.5, stratify="PatientSex")["b"].filters
    ),
    "largest": lambda client: client.cohort(**LUNG).largest(2, by="series_size_MB").filters,
    "latest": lambda client: client.cohort(collection_id="ispy1").latest(2).filters,
    "earliest": lambda client: client.cohort(Modality="PT").earliest(3, "collection").filters,
    "cancer type": {"cancer_types": "Mesothelioma"},
    "no tumor": {"tumor_locations": [None, "Prostate"], "Modality": "SEG"},
    "species": {"species": "Mouse"},
    "program": {"program": "rider", "Modality": "CT"},
    "commercial": {"commercial_use": True, "collection_id": "nsclc_radiomics"},
    "not commercial": {"commercial_use": False, "Modality": "SEG"},
    "no license": {"commercial_use": [None]},
    "nothing": {"Modality": []},
    "excluded": {
        "exclude": {"Modality": ["CT", "SEG"], "BodyPartExamined": "LUNG", "PatientAge": (0, 66)},
        **LUNG,
    },
    "excluded missing": {"exclude": {"PatientSex": ["F", None]}, "Modality": ["SEG", "PT"]},
    "excluded facts": {"exclude": {"species": ["Human", "Mouse"], "commercial_use": False}},
    "excluded text": {"exclude": {"text": "chest", "StudyDate": (None, "2000-01-01")}, **LUNG},
    "excluded studies": {"exclude": {"having": {"Modality": "SEG"}, "patients": [PATIENT]}, **LUNG},
    "excluded twice": {"exclude": [{"PatientAge": (0, 50)}, {"PatientAge": (70, None)}], **LUNG},
    "several": {
        "Modality": ["CT", "MR", "PT", None],
        "StudyDate": ("1990-01-01", "2012-12-31"),
        "PatientAge": (50, 70),
        "commercial_use": [True, None],
        "having": {"Modality": "SEG", "level": "patient"},
    },
}

#: Cases that match nothing on purpose.
EMPTY_CASES = ("nothing", "no license", "backslash")

#: Cases in which every query is run: about twenty queries per case.
THOROUGH_CASES = ["many patients", "several"]


def _filters(client: IDCClient, case: str) -> dict[str, Any]:
    filters = CASES[case]
    return filters(client) if callable(filters) else filters


def _assert_same_results(
    ours: Cohort,
    theirs: Cohort,
    facets: Sequence[str],
    ranges: Sequence[str],
    levels: Sequence[str],
) -> None:
    assert theirs.filters == ours.filters
    expected, summary = ours.summary(), theirs.summary()
    assert vars(summary) == {
        **vars(expected),
        "size_MB": pytest.approx(expected.size_MB, rel=1e-9),
    }
    assert theirs.facets(facets) == ours.facets(facets)
    for column in ranges:
        assert theirs.histogram(column) == ours.histogram(column)
    for level in levels:
        _assert_same_rows(ours, theirs, level)


def _assert_same_rows(ours: Cohort, theirs: Cohort, level: str) -> None:
    """Assert that the rows are the same, in the same order, with missing values last."""
    expected, table = (cohort.engine.query(*cohort.level_sql(level)) for cohort in (ours, theirs))
    assert table.column_names == expected.column_names
    for name in table.column_names:
        our_values, values = expected.column(name).to_pylist(), table.column(name).to_pylist()
        if name == "size_MB":  # a sum depends on the order of its terms
            our_values, values = (
                [math.nan if value is None else value for value in column]
                for column in (our_values, values)
            )
            values = pytest.approx(values, rel=1e-9, nan_ok=True)
        assert our_values == values, f"{level}.{name}"


@pytest.mark.parametrize("case", CASES)
def test_a_filter_matches_the_same_series(client: IDCClient, other: IDCClient, case: str) -> None:
    filters = _filters(client, case)
    ours, theirs = client.cohort(**filters), other.cohort(**filters)
    series = ours.summary().series
    assert (series == 0) == (case in EMPTY_CASES)
    if series < 5000:  # few enough to compare every value of every row
        assert theirs.filters == ours.filters
        _assert_same_rows(ours, theirs, "series")
    else:
        own = [name for name in filters if name in (*FACETS, *MORE_FACETS)]
        _assert_same_results(ours, theirs, own[:1], [], [])


@pytest.mark.parametrize("case", THOROUGH_CASES)
def test_every_query_gives_the_same_result(client: IDCClient, other: IDCClient, case: str) -> None:
    filters = _filters(client, case)
    ours, theirs = client.cohort(**filters), other.cohort(**filters)
    levels = list(LEVELS) if ours.summary().series < 50_000 else ["patient", "study"]
    _assert_same_results(ours, theirs, (*FACETS, *MORE_FACETS), list(RANGES), levels)


def test_the_whole_index_gives_the_same_results(client: IDCClient, other: IDCClient) -> None:
    _assert_same_results(
        client.cohort(), other.cohort(), (*FACETS, *MORE_FACETS), list(RANGES), ["patient"]
    )


@pytest.mark.parametrize(
    "filters",
    [
        {"collection_id": "nsclc_radiomic"},
        {"Modality": ["ct", "xx"]},
        {"uids": ["1.2.3"]},
        {"Manufacturer": "'; DROP TABLE idc_index; --"},
        {"cancer_types": "Lung Cancre"},
        {"StudyDate": ("2010-13-01", None)},
        {"having": {"Modality": "ct"}},
        {"exclude": {"Modality": "ct"}},
    ],
)
def test_bad_filters_raise_the_same_errors(
    client: IDCClient, other: IDCClient, filters: dict[str, Any]
) -> None:
    with pytest.raises(InvalidQueryError) as ours:
        client.cohort(**filters)
    with pytest.raises(InvalidQueryError) as theirs:
        other.cohort(**filters)
    assert str(theirs.value) == str(ours.value)


def test_the_methods_of_a_client_return_the_same(
    client: IDCClient, other: IDCClient, tmp_path: Path
) -> None:
    study = _study(client)
    for call, arguments in [
        ("get_collection_ids", {}),
        ("get_patients", {"collection": "nsclc_radiomics"}),
        ("get_patient_study", {"patientId": [PATIENT[1], "LUNG1-001"]}),
        ("get_series", {"studyInstanceUid": study}),
        ("get_series", {"collection": "rider_lung_ct", "modality": ["CT", "SEG"]}),
    ]:
        assert getattr(other, call)(**arguments) == getattr(client, call)(**arguments)
    uid = client.get_series(studyInstanceUid=study, outputFormat="list")[0]
    assert other.get_series_size(uid) == client.get_series_size(uid)

    [(old,)] = client.engine.rows(
        "SELECT min(SeriesInstanceUID) FROM prior_versions_index WHERE SeriesInstanceUID NOT IN"
        " (SELECT SeriesInstanceUID FROM index)"
    )
    given = f"{study}\n{uid}\n1.2.3.4\n{old}"
    assert str(other.find_uids(given)) == str(client.find_uids(given))

    filters = {"patients": [PATIENT, ("tcga_luad", "TCGA-05-4244")]}
    ours, theirs = client.cohort(**filters).select(), other.cohort(**filters).select()
    assert theirs.uids == ours.uids
    assert theirs.licenses() == ours.licenses()
    assert theirs.viewer_urls() == ours.viewer_urls()
    assert theirs.to_code() == ours.to_code()
    manifests = [
        selection.to_manifest(tmp_path / "manifest").read_text() for selection in (ours, theirs)
    ]
    assert manifests[0] == manifests[1]
    plans = [selection.plan(tmp_path, check_disk=False) for selection in (ours, theirs)]
    assert plans[0].series == plans[1].series
    assert other.data_version == "25.0.5"


def test_sql_is_translated_and_read_only(client: IDCClient, other: IDCClient) -> None:
    cohort = client.cohort(**LUNG, PatientAge=(60, None), series_size_MB=(0.25, None))
    counted = other.sql(f"SELECT count(*) AS n FROM ({cohort.to_sql()}) AS rows_of_it").n[0]
    assert counted == cohort.summary().series > 0
    names = other.sql("SELECT collection_id FROM collections_index ORDER BY 1 LIMIT 2")
    assert names.collection_id.tolist() == client.get_collection_ids()[:2]
    assert set(other.engine.tables()) >= {"index", "collections_index", "prior_versions_index"}
    for query, message in [
        ("DROP TABLE idc_index", "DROP; the index can only be read"),
        ("SELECT 1; SELECT 2", "expected one SQL statement, got 2"),
        ("SELECT * FROM idc_index", "unknown table 'idc_index'; did you mean 'index'"),
        ("SELECT Modalty FROM index", "Modalty"),
        ("SELECT * FROM index JOIN collections_index USING (collection_id)", "name it: IbisEngine"),
        ("SELEC 1", "line 1"),
    ]:
        with pytest.raises(InvalidQueryError, match=message):
            other.sql(query)


# --- a small table of the user -------------------------------------------------------------

HOSTILE = [
    "'; DROP TABLE x; --",
    "back\\slash",
    "\\'",
    "\\",
    "\\u0041",
    "new\nline",
    "car\rriage",
    "tab\t",
    '"double"',
    "`tick`",
    "${spark.app.name} and ${env:HOME}",
    "$p0",
    "?",
    ":name",
    "{fn now()}",
    "%_",
    "--",
    "/* */",
    "é😀",
    "",
    " ",
    "/",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a table with few columns, an unusual type, and texts that break careless quoting."""
    count = len(HOSTILE)
    ages = ["012Y", "012Y\n", "6M", "0012Y", None, "3w", "Y", "99"]
    path = tmp_path_factory.mktemp("hostile") / "own.parquet"
    pq.write_table(
        pa.table(
            {
                "collection_id": ["mine"] * count,
                "patientid": HOSTILE,
                "StudyInstanceUID": [f"1.{at // 2}" for at in range(count)],
                "SeriesInstanceUID": [f"1.1.{at}" for at in range(count)],
                "SeriesDescription": HOSTILE[::-1],
                "PatientAge": [ages[at % len(ages)] for at in range(count)],
                "SeriesNumber": pa.array(range(count), pa.int32()),
                "something_else": HOSTILE,
            }
        ),
        path,
    )
    return path


def test_hostile_texts_are_only_data(database: Any, hostile: Path) -> None:
    ours, theirs = IDCClient(hostile), database.client(hostile, "hostile")
    for client in (ours, theirs):
        facet = client.cohort().facets(["PatientID"])["PatientID"]
        assert {facet_value.value for facet_value in facet} == set(HOSTILE)
    _assert_same_results(
        ours.cohort(), theirs.cohort(), ["SeriesDescription"], list(RANGES), list(LEVELS)
    )
    # The texts are values of a query, and are compared with the texts in the database.
    marks = ", ".join(f"max(?) AS c{at}" for at in range(len(HOSTILE)))
    assert theirs.engine.rows(f"SELECT {marks} FROM index", HOSTILE) == [tuple(HOSTILE)]
    with pytest.raises(InvalidQueryError, match="unknown Modality ''"):
        theirs.cohort(Modality=HOSTILE[11:])
    uids = theirs.cohort(PatientID=HOSTILE).select().uids
    assert uids == ours.cohort(PatientID=HOSTILE).select().uids
    for text in ("\\", "${env:home}", "%", "😀", "'"):
        our_cohort, their_cohort = ours.cohort(text=text), theirs.cohort(text=text)
        assert their_cohort.select().uids == our_cohort.select().uids
        assert our_cohort.summary().series > 0
    young = {"PatientAge": (0, 12)}
    assert theirs.cohort(**young).select().uids == ours.cohort(**young).select().uids
    keys = [("mine", text) for text in HOSTILE * 3]
    assert theirs.cohort(patients=keys).summary().series == len(HOSTILE)


def test_a_missing_table_and_a_missing_column_are_refused(
    database: Any, hostile: Path, tmp_path: Path
) -> None:
    with pytest.raises(IndexFileError, match="cannot read 'no_such_table' as the table 'index'"):
        IbisEngine(database.con, "no_such_table")
    path = tmp_path / "lacking.parquet"
    table = pq.read_table(hostile).rename_columns(
        [
            "collection_id",
            "PatientID",
            "StudyInstanceUID",
            "Series_Instance_UID",
            "d",
            "a",
            "n",
            "s",
        ]
    )
    pq.write_table(table, path)
    with pytest.raises(IndexFileError, match=r"no column SeriesInstanceUID.*did you mean 'Series_"):
        database.client(path, "lacking")


def test_other_tables_of_the_database(database: Any, client: IDCClient) -> None:
    tables = Index.default().tables
    database.read(tables["collections_index"], "the_collections")
    other = database.client(
        tables["index"], "idc_index", tables={"collections_index": "the_collections"}
    )
    filters = {"species": "Mouse", "Modality": "CT"}
    ours, theirs = client.cohort(**filters), other.cohort(**filters)
    assert theirs.select().uids == ours.select().uids
    our_columns, their_columns = (
        cohort.join("collections_index", ["program_id", "subjects"]).series().to_dict("list")
        for cohort in (ours, theirs)
    )
    assert set(their_columns) == set(our_columns)
    for name in ("SeriesInstanceUID", "program_id", "subjects"):
        assert their_columns[name] == our_columns[name]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("PatientID", "lung1-3655"),
        ("PatientID", "\ud800"),
        ("Modality", "xy"),
        ("SeriesDescription", "O'Neil; --"),
        ("StudyDate", "2010-04-31"),
        ("SeriesInstanceUID", "1.2.3"),
    ],
)
@pytest.mark.parametrize("collections", [(), ("nsclc_radiomics", "rider_lung_ct")])
def test_similar_texts_are_the_same(
    client: IDCClient, other: IDCClient, column: str, text: str, collections: tuple[str, ...]
) -> None:
    conditions = client.cohort(collection_id=list(collections)).conditions if collections else ()
    here = similar_texts(client.engine, column, text, conditions)
    assert len(here) < 5_000, "else any 5,000 of them may be returned"
    assert sorted(similar_texts(other.engine, column, text, conditions)) == sorted(here)

"""Pasted UIDs, questions that are asked wrongly, histograms' ranges, ages, and joined tables."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.bruteforce import collections, data_folder, whole_index

from idc_widgets import Cohort, IDCClient, InvalidQueryError
from idc_widgets.index import COLUMNS, FACETS, RANGES

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
UNKNOWN = "1.2.3.4.5.6.7"


@pytest.fixture(scope="module")
def prior() -> pd.DataFrame:
    """The versions of series that are not in the index any more."""
    return pd.read_parquet(data_folder() / "prior_versions_index.parquet")


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., IDCClient]:
    """Makes a client of a small table: the header, then lines."""

    def open_(header: str, *lines: str) -> IDCClient:
        path = tmp_path / "own.csv"
        first = f"SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,{header}"
        path.write_text("\n".join([first, *lines, ""]), encoding="utf-8")
        return IDCClient(path)

    return open_


def gone(prior: pd.DataFrame, column: str) -> dict[str, int]:
    """UIDs that the index lacks → the last version that had them."""
    last = prior.groupby(column).max_idc_version.max()
    return last[~last.index.isin(whole_index().rows[column])].to_dict()


# --- pasted UIDs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"{CT}\n{STUDY}",
        f"{CT}\r\n{STUDY}\r\n",
        f"{CT}\r{STUDY}\r",
        f"{CT},{STUDY}",
        f"{CT};{STUDY};",
        f"{CT} \t{STUDY}",
        f'["{CT}", "{STUDY}"]',
        f"('{CT}', '{STUDY}')",
        f"{{'{CT}', '{STUDY}'}}",
        f"# 1.9.9 is not one of them\n\n  # nor 'this'\n{CT}\n\n{STUDY}\n",
        f"{CT}\n{STUDY}\n{CT}\n{STUDY},{CT}",
        f"\n\n\u00a0{CT}\u2028{STUDY}\f",
        [CT, STUDY],
        (CT, f" {STUDY} "),
        pd.Series([CT, STUDY, CT]),
        np.array([CT, STUDY]),
        {CT: 1, STUDY: 2}.keys(),
        [f"{CT}, {STUDY}"],
        iter([CT, STUDY]),
    ],
    ids=lambda text: repr(text)[:20],
)
def test_uids_however_they_are_set_apart(client: IDCClient, text: Any) -> None:
    found = client.find_uids(text)
    assert (found.known, found.prior, found.unknown) == ((CT, STUDY), {}, ())
    assert found.cohort == client.cohort(uids=[STUDY, CT])
    assert found.cohort == client.cohort().of_uids([CT, STUDY, CT])
    assert str(found) == "2 of 2 UIDs found"
    rows = whole_index().rows
    expected = rows.SeriesInstanceUID[rows.StudyInstanceUID == STUDY]
    assert CT in set(expected)
    assert list(found.cohort.select().uids) == sorted(expected)


def test_known_uids_keep_their_order(client: IDCClient) -> None:
    assert client.find_uids(f"{STUDY}\n{CT}\n{STUDY}").known == (STUDY, CT)


@pytest.mark.parametrize("column", ["SeriesInstanceUID", "StudyInstanceUID"])
def test_very_many_uids(client: IDCClient, column: str) -> None:
    table = whole_index()
    uids = table.rows[column].drop_duplicates().sample(50_000, random_state=25)
    given = [*uids, UNKNOWN, *uids[:100]]
    for form in (given, "\n".join(given), ", ".join(map(repr, given))):
        found = client.find_uids(form)
        assert found.known == tuple(uids)
        assert (found.prior, found.unknown) == ({}, (UNKNOWN,))
    # A few UIDs are those of a series and of a study.
    mask = table.matching([("uids", given)])
    summary, expected = found.cohort.summary(), table.summary(mask)
    assert summary.size_MB == pytest.approx(expected.pop("size_MB"), rel=1e-9)
    assert {name: getattr(summary, name) for name in expected} == expected
    assert list(found.cohort.select().uids) == sorted(table.rows.SeriesInstanceUID[mask])
    both = found.cohort.where(Modality="CT", uids=list(uids[:25_000]))
    half = table.matching([("uids", given[:25_000]), ("Modality", "CT")])
    assert both.summary().series == half.sum() > 100


@pytest.mark.parametrize("column", ["SeriesInstanceUID", "StudyInstanceUID"])
def test_uids_of_prior_versions(client: IDCClient, prior: pd.DataFrame, column: str) -> None:
    last = gone(prior, column)
    assert len(last) > 20
    some = dict(list(last.items())[:: max(1, len(last) // 2000)])
    found = client.find_uids([UNKNOWN, *some, CT])
    assert (found.known, found.unknown) == ((CT,), (UNKNOWN,))
    assert found.prior == some
    assert list(found.prior) == list(some)
    assert {type(version) for version in found.prior.values()} == {int}
    assert found.cohort.summary().series == 1
    first, version = next(iter(some.items()))
    assert str(found) == (
        f"1 of {len(some) + 2:,} UIDs found; {len(some):,} only in prior versions: "
        f"{first} until v{version}; 1 unknown: {UNKNOWN}"
    )


def test_uids_that_changed_but_are_still_there(client: IDCClient, prior: pd.DataFrame) -> None:
    still = prior.SeriesInstanceUID[
        prior.SeriesInstanceUID.isin(whole_index().rows.SeriesInstanceUID)
    ]
    uids = still.drop_duplicates()[:500].tolist()
    assert uids
    found = client.find_uids(uids)
    assert (found.known, found.prior, found.unknown) == (tuple(uids), {}, ())


def test_nothing_but_unknown_uids(client: IDCClient) -> None:
    found = client.find_uids(UNKNOWN)
    assert (found.known, found.prior, found.unknown) == ((), {}, (UNKNOWN,))
    assert found.cohort.summary().series == 0
    assert found.cohort.select().uids == ()
    assert {len(values) for values in found.cohort.facets().values()} == {0}
    assert str(found) == f"0 of 1 UID found; 1 unknown: {UNKNOWN}"


@pytest.mark.parametrize(
    ("text", "line", "piece"),
    [
        (f"{CT}\nhello", 2, "hello"),
        (f"\n\n{CT}\n# comment\n{STUDY}, nlst", 5, "nlst"),
        (f"{CT} # a comment behind it", 1, "#"),
        ("1.2.3..4", 1, "1.2.3..4"),
        ("1.2.3.", 1, "1.2.3."),
        (".1.2", 1, ".1.2"),
        ("123", 1, "123"),
        (f"{CT}.", 1, f"{CT}."),
        ("1.2." + "3" * 61, 1, "1.2." + "3" * 61),
        ("1.2.٣", 1, "1.2.٣"),
        ("1.2.a", 1, "1.2.a"),
        ("-1.2", 1, "-1.2"),
        ("x" * 1000, 1, "x" * 80),
        ("1.2\0", 1, "1.2\0"),
        (f"{CT}' OR '1'='1", 1, "OR"),
        ("%", 1, "%"),
        ("1.2.3\n1.2.4/../../etc", 2, "1.2.4/../../etc"),
        ("s3://idc-open-data/085e85b3-3780-47f6-8538-585bcca95336/*", 1, "s3://idc-open-data/"),
        (["1.2", 5], 2, "5"),
        (["1.2", None], 2, "None"),
        ("<script>alert(1)</script>", 1, "<script>alert"),
        (f"{CT}\n🫁", 2, "🫁"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_rubbish_names_its_line(client: IDCClient, text: Any, line: int, piece: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        client.find_uids(text)
    message = str(caught.value)
    assert message.startswith(f"line {line}: {repr(piece)[:-1]}"), message
    assert "is not a UID; expected numbers joined by dots" in message
    assert len(message) < 220


@pytest.mark.parametrize("text", ["", "  \n\t\r\n", "# nothing", "[]", "',;'", [], ["", " "], [[]]])
def test_no_uids(client: IDCClient, text: Any) -> None:
    with pytest.raises(InvalidQueryError, match="no UIDs: expected one per line"):
        client.find_uids(text)


def test_the_most_uids(client: IDCClient) -> None:
    many = [f"1.2.3.4.5.{number}" for number in range(100_001)]
    with pytest.raises(InvalidQueryError, match="100,001 UIDs; expected 100,000 at most"):
        client.find_uids("\n".join(many))
    assert len(client.find_uids(many[1:] * 2).unknown) == 100_000


def test_uids_of_an_own_table_need_not_be_uids(own: Callable[..., IDCClient]) -> None:
    client = own("Modality", "s-1,ST/1,P,c,CT", "1.2.3,ST/1,P,c,MR")
    found = client.find_uids("s-1\n1.2.3\n9.9")
    assert (found.known, found.unknown) == (("s-1", "1.2.3"), ("9.9",))
    assert client.find_uids("ST/1").cohort.summary().series == 2


# --- questions that are asked wrongly ------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda one: one.histogram("StudyDat"), "histogram 'StudyDat'; did you mean 'StudyDate'"),
        (lambda one: one.histogram("Modality"), "unknown column of a histogram 'Modality'; expec"),
        (lambda one: one.histogram("PatientAge", bins=0), "bins=0: expected 1 or more"),
        (lambda one: one.histogram("PatientAge", bins=-3), "bins=-3: expected 1 or more"),
        (lambda one: one.having(level="studies", Modality="CT"), "'studies'; did you mean 'study'"),
        (lambda one: one.having(level="series", Modality="CT"), "unknown level 'series'"),
        (lambda one: one.having(Modalty="CT"), "unknown column 'Modalty'; did you mean 'Modality'"),
        (lambda one: one.having(text="lung"), "unknown column 'text'"),
        (lambda one: one.having(Modality="ct"), "unknown Modality 'ct'; did you mean 'CT'"),
        (lambda one: one.having(Modality=["CT", "SEGG"]), "'SEGG'; did you mean 'SEG'"),
        (lambda one: one.having(Modality=5), "Modality=5: expected text"),
        (lambda one: one.having(instanceCount="5"), "expected a number, not str"),
        (lambda one: one.having(), "having: expected a column and its values"),
        (lambda one: one.having(level="patient"), "having: expected a column and its values"),
        (lambda one: one.where(having="CT"), "having='CT': expected a dict"),
        (lambda one: one.where(having={"level": ["study"], "Modality": "CT"}), "unknown level"),
        (lambda one: one.where(PatientAge=(60, 50)), "upside down, 60 > 50"),
        (lambda one: one.where(PatientAge=("002Y", "023M")), "upside down"),
        (lambda one: one.where(PatientAge=("abc", None)), "'abc' is no age; expected years"),
        (lambda one: one.where(PatientAge=(None, "0060Y")), "'0060Y' is no age"),
        (lambda one: one.where(PatientAge=(True, None)), "True is no age"),
        (lambda one: one.where(PatientAge=([60], None)), r"\[60\] is no age"),
        (lambda one: one.where(PatientAge=60), "PatientAge=60: expected text"),
        (lambda one: one.where(PatientAge="60Y"), "unknown PatientAge '60Y'"),
        (lambda one: one.where(series_size_MB=(2, 1)), "upside down, 2 > 1"),
        (lambda one: one.where(SeriesDate=("2010-04-02", "20100401")), "upside down"),
        (lambda one: one.where(StudyDate=("0000-01-01", None)), "is not a date"),
        (lambda one: one.where(commercial_use="yes"), "commercial_use='yes': expected True or F"),
        (lambda one: one.where(commercial_use=[True, 1]), "commercial_use=1: expected True or F"),
        (lambda one: one.where(commercial_use=(True, False, 0)), "commercial_use=0: expected"),
        (lambda one: one.where(originals_of="CT"), "originals_of='CT': expected a cohort"),
        (lambda one: one.where(derived_from=5), "derived_from=5: expected a cohort"),
        (lambda one: one.where(derived_from={"Modality": "ct"}), "did you mean 'CT'"),
        (lambda one: one.where(uids=[CT, UNKNOWN]), f"unknown UID '{UNKNOWN}'"),
        (lambda one: one.where(uids=["1.2", CT, "1.3"]), r"unknown UID '1.2' \(and 1 more\)"),
        (lambda one: one.where(uids=[5]), "uids=5: expected text, not int"),
        (lambda one: one.where(uids=[CT, None]), "uids=None: expected text"),
        (lambda one: one.where(cancer_types="Lung Cancr"), "'Lung Cancr'; did you mean 'Lung Canc"),
        (lambda one: one.where(cancer_types=["Breast Cancer", "x y z"]), "cancer_types 'x y z'"),
        (lambda one: one.where(species="human"), "unknown species 'human'; did you mean 'Human'"),
        (lambda one: one.where(species=1), "species=1: expected text, not int"),
        (lambda one: one.where(program="TCGA"), "program_id 'TCGA'; did you mean 'tcga'"),
        (lambda one: one.where(cancer_type="Lung Cancer"), "'cancer_type'; did you mean 'cancer_t"),
        (lambda one: one.where(tumor_locations="Breast, Lung"), "unknown tumor_locations"),
        (lambda one: one.where(patients=[("nlst",)]), "expected .collection_id, PatientID."),
        (lambda one: one.of_patients([("nlst", 100002)]), "expected .collection_id, PatientID."),
        (lambda one: one.of_patients("nlst"), "expected .collection_id, PatientID."),
        (lambda one: one.where(text=None), "text=None: expected one or more words"),
        (lambda one: one.where(text=["lung"]), "expected one or more words"),
        (lambda one: one.without("cancer_type"), "did you mean 'cancer_types'"),
        (lambda one: one.facets(["commercial"]), "unknown column 'commercial'; did you mean"),
        (lambda one: one.join("collection_index"), "did you mean 'collections_index'"),
        (lambda one: one.join("index"), "cannot be joined to series"),
        (lambda one: one.join("version_metadata_index"), "cannot be joined to series"),
        (
            lambda one: one.join("collections_index", columns=["cancer_type"]),
            "unknown column of collections_index 'cancer_type'; did you mean 'cancer_types'",
        ),
    ],
)
def test_bad_questions(client: IDCClient, ask: Callable[[Cohort], object], message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        ask(client.cohort())


def test_cohorts_of_two_clients_do_not_mix(client: IDCClient) -> None:
    other = IDCClient().cohort(Modality="CT")
    for name in ("originals_of", "derived_from"):
        with pytest.raises(InvalidQueryError, match=f"{name}: that cohort is of another client"):
            client.cohort(**{name: other})


def test_narrowing_to_nothing_can_be_written_down(client: IDCClient) -> None:
    for name, low, high in (
        ("instanceCount", (1, 2), (5, 6)),
        ("StudyDate", (None, "2000-01-01"), ("2010-01-01", None)),
        ("PatientAge", (70, None), (None, "060Y")),
    ):
        cohort = client.cohort(**{name: low}).where(**{name: high})
        assert cohort.summary().series == 0
        assert client.cohort(**cohort.filters) == cohort
        assert client.sql(cohort.sql).empty


# --- histograms ----------------------------------------------------------------------------


@pytest.mark.parametrize("column", RANGES)
@pytest.mark.parametrize("bins", [1, 20, 33])
def test_ranges_between_bins_hold_what_the_bins_count(
    client: IDCClient, column: str, bins: int
) -> None:
    for cohort in (client.cohort(), client.cohort(Modality=["CT", "SM"], PatientSex=["F", None])):
        histogram = cohort.histogram(column, bins)
        assert len(histogram.edges) == bins + 1
        assert sum(histogram.series) + histogram.missing == cohort.summary().series
        for first, last in {(0, 0), (0, bins - 1), (bins // 3, bins // 2), (bins - 1, bins - 1)}:
            within = cohort.where(**{column: histogram.between(first, last)})
            assert within.summary().series == sum(histogram.series[first : last + 1])
            assert within.histogram(column, bins) == histogram, "it ignores its own filter"
        assert histogram.between(0, bins - 1) == (None, None)
        missing = cohort.where(**{column: None})
        if column != "PatientAge":  # where what is there may be no age
            assert missing.summary().series == histogram.missing


def test_histogram_of_nothing(client: IDCClient) -> None:
    for column in RANGES:
        histogram = client.cohort(Modality=[]).histogram(column, 7)
        assert histogram.series == (0,) * 7
        assert histogram.missing == 0
        assert histogram.edges == client.cohort().histogram(column, 7).edges


def test_histogram_of_missing_values_only(own: Callable[..., IDCClient]) -> None:
    cohort = own("Modality", "1,2,3,4,CT", "5,2,3,4,CT").cohort()
    for column in RANGES:
        histogram = cohort.histogram(column)
        assert (histogram.edges, histogram.series, histogram.missing) == ((), (), 2)
        assert cohort.where(**{column: (None, None)}).summary().series == 0


def test_histogram_of_one_value(own: Callable[..., IDCClient]) -> None:
    client = own(
        "PatientAge,StudyDate,SeriesDate,series_size_MB,instanceCount",
        "1,2,3,4,060Y,2010-04-01,20100401,1.5,7",
    )
    for column, bins in ((column, bins) for column in RANGES for bins in (1, 2, 20)):
        histogram = client.cohort().histogram(column, bins)
        assert sum(histogram.series) == 1
        assert sorted(set(histogram.edges)) == list(histogram.edges)
        at = histogram.series.index(1)
        low, high = histogram.edges[at : at + 2]
        value = {"PatientAge": 60, "series_size_MB": 1.5, "instanceCount": 7}.get(column)
        assert low <= (value or "2010-04-01") < high


@pytest.mark.parametrize("year", ["0000", "0001", "1582", "9998", "9999"])
def test_histogram_of_odd_years(own: Callable[..., IDCClient], year: str) -> None:
    cohort = own("StudyDate", f"1,2,3,4,{year}-12-31").cohort()
    histogram = cohort.histogram("StudyDate", 5)
    assert sum(histogram.series) == 1
    assert sorted(histogram.edges) == list(histogram.edges)
    within = cohort.where(StudyDate=histogram.between(histogram.series.index(1), 4))
    assert within.summary().series == 1


def test_histogram_of_none_but_zero(own: Callable[..., IDCClient]) -> None:
    for column in ("series_size_MB", "instanceCount"):
        histogram = own(column, "1,2,3,4,0", "5,2,3,4,0").cohort().histogram(column)
        assert histogram.missing == 0


# --- ages ----------------------------------------------------------------------------------


def test_the_same_age_in_other_units(own: Callable[..., IDCClient]) -> None:
    ages = ["021D", "003W", "012M", "001Y", "1", "1y", "077D", "011W"]
    lines = [f"{row},2,3,4,{age}" for row, age in enumerate(ages)]
    client = own("PatientAge", *lines)
    for one, two in (("021D", "003W"), ("012M", "001Y"), ("077D", "011W"), ("1", "1Y")):
        for age in (one, two):
            cohort = client.cohort(PatientAge=(age, age))
            found = set(cohort.series().PatientAge)
            assert found >= {one, two} & set(ages), (age, found)


# --- sizes ---------------------------------------------------------------------------------


def test_sizes_need_not_be_whole_bytes(own: Callable[..., IDCClient]) -> None:
    client = own("series_size_MB", "1,2,3,4,0.1234567891", "5,2,3,4,1e-7")
    total = 0.1234567891 + 1e-7
    assert client.cohort().summary().size_MB == pytest.approx(total, rel=1e-9)
    assert client.cohort().patients().size_MB.tolist() == pytest.approx([total], rel=1e-9)


def test_counts_that_were_written_as_floats(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    names = ("StudyInstanceUID", "PatientID", "collection_id")
    columns: dict[str, list[Any]] = {name: ["1", "1"] for name in names}
    columns |= {"SeriesInstanceUID": ["1", "2"], "instanceCount": [3.0, math.nan]}
    pq.write_table(pa.table(columns), path)
    summary = IDCClient(path).cohort().summary()
    assert (summary.series, summary.instances) == (2, 3)


# --- joined tables -------------------------------------------------------------------------


def plain(column: pd.Series) -> list[Any]:
    values = column.astype(object)
    return values.where(column.notna(), None).tolist()


def test_join_is_a_merge(client: IDCClient) -> None:
    cohort = client.cohort(Modality=["PT", "NM"], PatientSex=["F", None])
    facts = ["species", "cancer_types", "subjects"]
    joined = cohort.join("collections_index", columns=facts).series()
    rows = whole_index().rows
    rows = rows[
        rows.Modality.isin(["PT", "NM"]) & (rows.PatientSex.isna() | (rows.PatientSex == "F"))
    ]
    merged = rows.merge(collections()[["collection_id", *facts]], on="collection_id", how="left")
    assert list(joined.columns) == [*COLUMNS, *facts]
    merged = merged.set_index("SeriesInstanceUID").loc[joined.SeriesInstanceUID].reset_index()
    assert len(joined) == len(merged) > 1000
    for name in joined.columns:
        assert plain(joined[name]) == plain(merged[name]), name
    assert plain(joined.SeriesInstanceUID) == plain(cohort.series().SeriesInstanceUID)
    in_sql = client.sql(cohort.join("collections_index", columns=facts).sql)
    assert sorted(in_sql.columns) == sorted(joined.columns)
    assert len(in_sql) == len(joined)


def test_a_join_changes_no_other_answer(client: IDCClient) -> None:
    plain_ = client.cohort(collection_id="nsclc_radiomics")
    joined = plain_.join("collections_index", columns=["cancer_types"])
    assert joined != plain_
    assert joined == plain_.join("collections_index", columns=["cancer_types"])
    assert joined.filters == plain_.filters
    assert joined.summary() == plain_.summary()
    assert joined.facets(FACETS) == plain_.facets(FACETS)
    assert joined.select().uids == plain_.select().uids
    assert "cancer_types" in joined.where(Modality="CT").series()
    assert "cancer_types" in joined.without("collection_id").where(Modality="PT").series()


def test_joins_of_two_tables_and_names_that_clash(client: IDCClient, prior: pd.DataFrame) -> None:
    cohort = client.cohort(collection_id="acrin_nsclc_fdg_pet", Modality="PT")
    joined = cohort.join("collections_index").join("prior_versions_index").series()
    assert len(joined) == cohort.summary().series
    assert len(set(joined.columns)) == len(joined.columns)
    rest = [name for name in collections() if name != "collection_id"]
    versions = [name for name in prior if name != "SeriesInstanceUID"]
    named = [f"prior_versions_index_{one}" if one in COLUMNS else one for one in versions]
    assert list(joined.columns) == [*COLUMNS, *rest, *named]
    assert set(joined.collection_name) == {"ACRIN-NSCLC-FDG-PET"}
    # Several versions a series are a list; none is missing.
    of_series = prior.groupby("SeriesInstanceUID").max_idc_version.apply(sorted).to_dict()
    for uid, versions_ in zip(joined.SeriesInstanceUID, joined.max_idc_version, strict=True):
        expected = of_series.get(uid)
        assert (None if expected is None else expected) == (
            sorted(versions_) if isinstance(versions_, (list, np.ndarray)) else None
        )


def test_the_same_table_joined_twice(client: IDCClient) -> None:
    cohort = client.cohort(collection_id="nsclc_radiomics", Modality="CT")
    for columns in (["species"], ["cancer_types"]):
        once = cohort.join("collections_index", columns=["cancer_types"])
        twice = once.join("collections_index", columns=columns).series()
        assert len(twice) == 422
        assert len(set(twice.columns)) == len(twice.columns)
        assert set(twice.cancer_types) == {"Lung Cancer"} or len(set(twice.cancer_types)) == 1
        assert len(twice.columns) >= len(COLUMNS) + 1
    assert once.join("collections_index", columns=[]).series().shape == (422, len(COLUMNS) + 1)


def test_dates_as_people_have_them(client: IDCClient) -> None:
    day = client.cohort(SeriesDate=("2010-04-01", "2010-04-30"))
    for low in (datetime.date(2010, 4, 1), "20100401", pd.Timestamp("2010-04-01 12:00")):
        assert client.cohort(SeriesDate=(low, np.datetime64("2010-04-30"))) == day

"""Lists of UIDs: how they are split, looked up in the index, and refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.bruteforce import data_folder, whole_index
from support.own_table import OwnTable

from idc_widgets import IDCClient, InvalidQueryError

CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"
STUDY = "1.3.6.1.4.1.32722.99.99.191411096482148278088383576909215626011"
UNKNOWN = "1.2.3.4.5.6.7"


@pytest.fixture(scope="module")
def prior() -> pd.DataFrame:
    """Return the table of the earlier versions of series."""
    return pd.read_parquet(data_folder() / "prior_versions_index.parquet")


def removed(prior: pd.DataFrame, column: str) -> dict[str, int]:
    """Return UID → last version, for the UIDs that only earlier versions of IDC have."""
    last = prior.groupby(column).max_idc_version.max()
    return last[~last.index.isin(whole_index().rows[column])].to_dict()


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
        f"# 1.9.9 in a comment\n\n  # and 'this' too\n{CT}\n\n{STUDY}\n",
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
def test_uids_are_split_at_any_separator(client: IDCClient, text: Any) -> None:
    result = client.find_uids(text)
    assert (result.known, result.prior, result.unknown) == ((CT, STUDY), {}, ())
    assert result.cohort == client.cohort(uids=[STUDY, CT])
    assert result.cohort == client.cohort().of_uids([CT, STUDY, CT])
    assert str(result) == "2 of 2 UIDs found"
    rows = whole_index().rows
    expected = rows.SeriesInstanceUID[rows.StudyInstanceUID == STUDY]
    assert CT in set(expected)
    assert list(result.cohort.select().uids) == sorted(expected)


def test_known_uids_keep_their_order(client: IDCClient) -> None:
    assert client.find_uids(f"{STUDY}\n{CT}\n{STUDY}").known == (STUDY, CT)


@pytest.mark.parametrize("column", ["SeriesInstanceUID", "StudyInstanceUID"])
def test_50_000_uids(client: IDCClient, column: str) -> None:
    table = whole_index()
    uids = table.rows[column].drop_duplicates().sample(50_000, random_state=25)
    given = [*uids, UNKNOWN, *uids[:100]]
    for form in (given, "\n".join(given), ", ".join(map(repr, given))):
        result = client.find_uids(form)
        assert result.known == tuple(uids)
        assert (result.prior, result.unknown) == ({}, (UNKNOWN,))
    # Some UIDs are the UID of a series and also the UID of a study.
    mask = table.matching([("uids", given)])
    summary, expected = result.cohort.summary(), table.summary(mask)
    assert summary.size_MB == pytest.approx(expected.pop("size_MB"), rel=1e-9)
    assert {name: getattr(summary, name) for name in expected} == expected
    assert list(result.cohort.select().uids) == sorted(table.rows.SeriesInstanceUID[mask])
    both = result.cohort.where(Modality="CT", uids=list(uids[:25_000]))
    half = table.matching([("uids", given[:25_000]), ("Modality", "CT")])
    assert both.summary().series == half.sum() > 100


@pytest.mark.parametrize("column", ["SeriesInstanceUID", "StudyInstanceUID"])
def test_uids_of_prior_versions(client: IDCClient, prior: pd.DataFrame, column: str) -> None:
    last = removed(prior, column)
    assert len(last) > 20
    some = dict(list(last.items())[:: max(1, len(last) // 2000)])
    result = client.find_uids([UNKNOWN, *some, CT])
    assert (result.known, result.unknown) == ((CT,), (UNKNOWN,))
    assert result.prior == some
    assert list(result.prior) == list(some)
    assert {type(version) for version in result.prior.values()} == {int}
    assert result.cohort.summary().series == 1
    first, version = next(iter(some.items()))
    assert str(result) == (
        f"1 of {len(some) + 2:,} UIDs found; {len(some):,} only in earlier versions: "
        f"{first} until v{version}; 1 unknown: {UNKNOWN}"
    )


def test_uids_with_a_prior_and_a_current_version_are_known(
    client: IDCClient, prior: pd.DataFrame
) -> None:
    current = prior.SeriesInstanceUID[
        prior.SeriesInstanceUID.isin(whole_index().rows.SeriesInstanceUID)
    ]
    uids = current.drop_duplicates()[:500].tolist()
    assert uids
    result = client.find_uids(uids)
    assert (result.known, result.prior, result.unknown) == (tuple(uids), {}, ())


def test_only_unknown_uids(client: IDCClient) -> None:
    result = client.find_uids(UNKNOWN)
    assert (result.known, result.prior, result.unknown) == ((), {}, (UNKNOWN,))
    assert result.cohort.summary().series == 0
    assert result.cohort.select().uids == ()
    assert {len(values) for values in result.cohort.facets().values()} == {0}
    assert str(result) == f"0 of 1 UID found; 1 unknown: {UNKNOWN}"


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
def test_an_error_has_the_number_of_the_line(
    client: IDCClient, text: Any, line: int, piece: str
) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        client.find_uids(text)
    message = str(caught.value)
    assert message.startswith(f"line {line}: {repr(piece)[:-1]}"), message
    assert "is not a UID; expected numbers joined by dots" in message
    assert len(message) < 220


@pytest.mark.parametrize("text", ["", "  \n\t\r\n", "# nothing", "[]", "',;'", [], ["", " "], [[]]])
def test_a_list_without_uids_is_refused(client: IDCClient, text: Any) -> None:
    with pytest.raises(InvalidQueryError, match="no UIDs: expected one per line"):
        client.find_uids(text)


def test_more_than_100_000_uids_are_refused(client: IDCClient) -> None:
    many = [f"1.2.3.4.5.{number}" for number in range(100_001)]
    with pytest.raises(InvalidQueryError, match="100,001 UIDs; expected 100,000 at most"):
        client.find_uids("\n".join(many))
    assert len(client.find_uids(many[1:] * 2).unknown) == 100_000


def test_identifiers_of_an_own_table_can_have_any_form(own_table: OwnTable) -> None:
    client = own_table("Modality", "s-1,ST/1,P,c,CT", "1.2.3,ST/1,P,c,MR")
    result = client.find_uids("s-1\n1.2.3\n9.9")
    assert (result.known, result.unknown) == (("s-1", "1.2.3"), ("9.9",))
    assert client.find_uids("ST/1").cohort.summary().series == 2

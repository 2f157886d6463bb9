"""Tables that users add to a client: what is read, what is refused, who sees them."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from support.forks import in_a_child
from support.own_table import opened_index

from idc_widgets import IDCClient, IDCError, IndexFileError, InvalidQueryError
from idc_widgets.query import table_reader

LABELS = pd.DataFrame(
    {
        "PatientID": ["P1", " 12 ", "X", "P1"],
        "grade": [1, 3, 2, None],
        "PatientAge": ["a", "b", "c", "d"],
    }
)

#: A small index: two patients with the same PatientID in two collections, and numbers as IDs.
SERIES = [
    ("1.1", "1", "P1", "a", "CT"),
    ("1.2", "1", "P1", "a", "SEG"),
    ("2.1", "2", "P1", "b", "CT"),
    ("3.1", "3", "007", "b", "MR"),
    ("4.1", "4", "12", "b", ""),
    ("5.1", "5", "13", "a_1", "MR"),
]
NAMES = ["SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id", "Modality"]
INDEX = pd.DataFrame(SERIES, columns=NAMES)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with opened_index(tmp_path_factory.mktemp("small"), INDEX) as path:
        yield path


def test_a_table_can_be_joined_queried_and_described(small: Path) -> None:
    client = IDCClient(small)
    facts = client.add_table("labels", LABELS)
    assert (facts.rows, facts.keys, facts.unknown, facts.repeated) == (4, 3, 1, 1)
    assert facts.unknown_keys == ("'X'",)
    assert "so `join` adds lists" in repr(facts)
    joined = client.cohort().join("labels")
    rows = joined.series().set_index("SeriesInstanceUID")
    assert len(rows) == len(SERIES)
    assert rows.grade["4.1"] == [3.0]
    assert rows.labels_PatientAge["2.1"].tolist() == ["a", "d"]
    assert client.sql(joined.to_sql()).grade.notna().sum() == 4
    assert client.sql('SELECT grade FROM "LABELS" ORDER BY grade').grade.tolist()[:3] == [1, 2, 3]
    assert client.describe("labels").column.tolist() == ["PatientID", "grade", "PatientAge"]
    last = client.tables().iloc[-1]
    assert (last.table, last.available, last.rows) == ("labels", True, 4)
    assert last.description == "Added by you, joined by PatientID."


def test_only_its_client_sees_a_table(small: Path) -> None:
    first, second = IDCClient(small), IDCClient(small)
    first.add_table("labels", LABELS)
    assert first.engine is second.engine
    with pytest.raises(InvalidQueryError, match="labels does not exist"):
        second.sql("SELECT * FROM labels")
    with pytest.raises(InvalidQueryError, match="unknown table 'labels'"):
        second.cohort().join("labels")
    with pytest.raises(InvalidQueryError, match="unknown table 'labels'"):
        second.describe("labels")
    second.add_table("labels", LABELS[["PatientID"]].assign(other=1))
    saved = first.load(first.cohort().save(small.with_name("saved.json")))
    manifest = first.read_manifest("1.1\n")
    found = first.find_uids("1.1").cohort
    for cohort in (found, saved.cohort, manifest.selection.cohort, first.cohort()):
        assert cohort.join("labels").joins[0].columns == ("grade", "PatientAge")
    assert second.cohort().join("labels").joins[0].columns == ("other",)


def test_a_table_is_replaced_only_on_request(small: Path) -> None:
    client = IDCClient(small)
    client.add_table("labels", LABELS)
    before = client.cohort(PatientID="P1", Modality="SEG").join("labels", ["grade"])
    client.add_table("Labels", LABELS.copy())  # the same content is no change
    other = LABELS.assign(grade=7)
    with pytest.raises(InvalidQueryError, match=r"'labels' already; .*replace=True"):
        client.add_table("labels", other)
    client.add_table("labels", other, replace=True)
    after = client.cohort(PatientID="P1", Modality="SEG").join("labels", ["grade"])
    assert after != before
    assert after.series().grade[0].tolist() == [7, 7]
    assert before.series().grade[0][0] == 1, "a cohort never changes"


def test_changes_of_the_frame_do_not_matter(small: Path) -> None:
    client, frame = IDCClient(small), LABELS.copy()
    client.add_table("labels", frame)
    frame.loc[:, "grade"] = 99
    assert client.sql("SELECT max(grade) AS most FROM labels").most[0] == 3


def test_a_table_ends_with_its_last_user(small: Path) -> None:
    client = IDCClient(small)
    client.add_table("labels", LABELS)
    joined = client.cohort().join("labels", ["grade"])
    [added] = client._added_tables
    whole, kept = weakref.ref(added), weakref.ref(joined.joins[0].added)
    del client, added
    joined = joined.__class__(joined.engine, joined.conditions, joined.joins)
    gc.collect()
    assert whole() is None
    assert kept() is not None
    del joined
    gc.collect()
    assert kept() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_forked_children_see_a_table(small: Path) -> None:
    client = IDCClient(small)
    client.add_table("labels", LABELS)
    joined = client.cohort(PatientID=["P1", "12"], Modality=["SEG", None]).join("labels")
    client.sql("SELECT * FROM labels")

    def check() -> None:
        assert len(client.sql("SELECT * FROM labels")) == 4
        assert joined.series().grade.map(len).tolist() == [2, 1]
        client.add_table("more", LABELS)

    in_a_child(check)
    assert client._added_tables.get("more") is None


def test_a_pickled_cohort_has_the_columns_that_it_joins(small: Path) -> None:
    client = IDCClient(small)
    client.add_table("labels", LABELS.assign(secret="do not copy"))
    joined = client.cohort(PatientID="12").join("labels", ["grade"])
    pickled = pickle.dumps(joined)
    assert pickle.loads(pickled) == joined
    assert pickle.loads(pickled).joins[0].added is joined.joins[0].added
    assert b"do not copy" not in pickled
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).series().grade[0])"
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickled, capture_output=True, check=True
    )
    assert done.stdout.strip() == b"[3.]"


@pytest.mark.parametrize(
    ("name", "table", "on", "message"),
    [
        ("index", LABELS, None, "'index' is a table of IDC; choose another name"),
        ("seg_index", LABELS, None, "is a table of IDC"),
        ("a b", LABELS, None, "'a b' is no name for a table"),
        (7, LABELS, None, "7 is no name"),
        ("x", LABELS[["grade"]], None, "none of the columns .* on={'grade': 'PatientID'}"),
        ("x", LABELS, "grade", "on={'grade': 'PatientID'}"),
        ("x", LABELS, {"case": "PatientID"}, "unknown column of the table 'case'"),
        ("x", LABELS, ["StudyInstanceUID", "PatientID"], "collection_id together with PatientID"),
        ("x", LABELS, {"PatientID": "StudyInstanceUID"}, "on={'PatientID': 'PatientID'}"),
        ("x", [1], None, r"\[1\] is no table: expected a pandas DataFrame"),
        ("x", LABELS.assign(PatientID=[1, 2.5, 3, 4]), None, "has fractions"),
        ("x", LABELS.assign(PatientID=True), None, "the type bool; expected each PatientID as"),
        ("x", LABELS.assign(PatientID=["a", 1, "b", "c"]), None, "a column of several types"),
        ("x", LABELS.assign(PatientID=None), None, "no row with a value of PatientID"),
        ("x", LABELS.assign(PatientID="p1"), None, "letter case matters"),
        ("x", LABELS.assign(PatientID="Y"), None, "none of the 1 values of PatientID is in"),
        ("x", LABELS.assign(collection_id="z"), None, "on={'PatientID': 'PatientID'}"),
        ("x", pd.DataFrame({"collection_id": ["A-1"]}), None, "lower case with '_', such as"),
        ("x", LABELS.assign(PatientID=7), None, "read the column as text, such as"),
        ("x", LABELS.rename(columns={"grade": 0}), None, "a column of the table is called 0"),
        ("x", LABELS.assign(GRADE=1), None, "names are equal in SQL, grade, GRADE"),
        ("x", "/no/where.csv", None, "does not exist; expected"),
        ("x", "/", None, "is no file"),
        ("x", sys.executable, None, "expected a name that ends with .csv"),
    ],
)
def test_what_is_refused(small: Path, name: Any, table: Any, on: Any, message: str) -> None:
    client = IDCClient(small)
    with pytest.raises(IDCError, match=message):
        client.add_table(name, table, on)
    assert not list(client._added_tables)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: Path) -> None:
    monkeypatch.setattr(table_reader, "MAX_TABLE_BYTES", 1000)
    frame = pd.DataFrame({"PatientID": [f"P{number}" for number in range(1000)]})
    frame.to_csv(tmp_path / "large.csv", index=False)
    for table in (frame, pa.Table.from_pandas(frame), tmp_path / "large.csv"):
        with pytest.raises(IndexFileError, match=r"of memory or more; expected at most 1\.0 kB"):
            IDCClient(small).add_table("large", table)


def test_files_are_read(tmp_path: Path, small: Path) -> None:
    client = IDCClient(small)
    path = tmp_path / "labels.csv"
    path.write_text("case;n;when\n007;3;2020-01-01\n12;4;\n", encoding="utf-8")
    facts = client.add_table("labels", path, {"case": "PatientID"})
    assert (facts.keys, facts.unknown) == (2, 0)
    rows = client.cohort(Modality="MR").join("labels").series()
    assert rows.set_index("PatientID").n["007"] == 3
    assert client.describe("labels").type.tolist() == ["VARCHAR", "BIGINT", "DATE"]
    frame = client.sql("SELECT * FROM labels")
    frame.to_parquet(tmp_path / "labels.parquet")
    client.add_table("again", str(tmp_path / "labels.parquet"), {"case": "PatientID"})
    assert client.sql("SELECT * FROM again").equals(frame)
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(IndexFileError, match="cannot read"):
        client.add_table("broken", tmp_path / "broken.parquet")
    path.write_bytes(b"PatientID\n\xff\xfe\n")
    with pytest.raises(IndexFileError, match="not UTF-8"):
        client.add_table("broken", path)
    pq.write_table(pa.table({"PatientID": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    with pytest.raises(InvalidQueryError, match="no row with a value"):
        client.add_table("broken", tmp_path / "empty.parquet")


def test_numbers_as_keys_and_keys_in_the_index_of_a_frame(small: Path) -> None:
    client = IDCClient(small)
    numbers = pd.DataFrame({"PatientID": [12, 13, np.nan], "n": [1, 2, 3]})
    facts = client.add_table("numbers", numbers)
    assert (facts.keys, facts.unknown, facts.without_key) == (2, 0, 1)
    assert "1 row without a key matches no series" in str(facts)
    assert client.add_table("indexed", numbers.set_index("PatientID")).keys == 2
    assert client.cohort(PatientID="13").join("indexed").series().n.tolist() == [2]


KEYS = (
    ["SeriesInstanceUID"],
    ["StudyInstanceUID"],
    ["collection_id", "PatientID"],
    ["PatientID"],
    ["collection_id"],
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], pd.DataFrame]:
    """Draw a key and a table by it, in which some keys are repeated, unknown or missing."""
    key = draw(st.sampled_from(KEYS))
    places = draw(st.lists(st.integers(0, len(SERIES) - 1), min_size=1, max_size=8))
    frame = INDEX.loc[places, key].reset_index(drop=True).astype(object)
    for place in draw(st.sets(st.integers(1, 8))):
        if place < len(frame):
            frame.loc[place, draw(st.sampled_from(key))] = draw(st.sampled_from(["?", None, ""]))
    values = st.lists(st.sampled_from([1, 2, None]), min_size=len(frame), max_size=len(frame))
    return key, frame.assign(n=pd.array(draw(values), dtype="Int64"))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tables())
def test_random_tables_are_joined_as_pandas_does(
    small: Path, drawn: tuple[list[str], pd.DataFrame]
) -> None:
    key, frame = drawn
    client = IDCClient(small)
    facts = client.add_table("extra", frame, key)
    given_keys = frame.replace({"": None}).dropna(subset=key)
    groups = given_keys.groupby(key)
    known = set(INDEX[key].itertuples(index=False, name=None))
    found = {tuple(one) for one in given_keys[key].itertuples(index=False, name=None)}
    assert facts.without_key == len(frame) - len(given_keys)
    assert (facts.keys, facts.unknown) == (len(found), len(found - known))
    assert facts.repeated == (groups.size() > 1).sum()
    joined = client.cohort().join("extra", ["n"])
    rows = joined.series()
    assert sorted(rows.SeriesInstanceUID) == sorted(INDEX.SeriesInstanceUID)
    rows = rows.set_index("SeriesInstanceUID").loc[INDEX.SeriesInstanceUID]
    assert joined.joins[0].is_many == bool(facts.repeated)
    for place, row in enumerate(INDEX[key].itertuples(index=False, name=None)):
        matching = given_keys[[tuple(one) == row for one in given_keys[key].to_numpy()]].n
        got = rows.n.iloc[place]
        if not facts.repeated:
            got = [] if not len(matching) else [got]
        elif not isinstance(got, (list, np.ndarray)):
            got = []
        assert sorted(map(str, matching.fillna(-1).tolist())) == sorted(
            str(-1 if pd.isna(one) else int(one)) for one in got
        )

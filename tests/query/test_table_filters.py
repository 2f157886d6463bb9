"""Filters and counts on the columns of other tables, compared with pandas."""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from support.own_table import opened_index

from idc_widgets import Cohort, IDCClient, InvalidQueryError

SERIES = [
    (f"{patient}.{study}.{series}", f"{patient}.{study}", patient, "ab"[number % 2], modality)
    for number, (patient, study, (series, modality)) in enumerate(
        itertools.product("PQRS", "12", enumerate(("CT", "SEG", "")))
    )
]
INDEX = pd.DataFrame(
    SERIES,
    columns=["SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id", "Modality"],
)
KEYS = (["SeriesInstanceUID"], ["StudyInstanceUID"], ["collection_id", "PatientID"], ["PatientID"])
COLUMNS = {
    "n": st.sampled_from([1, 2, 3, None]),
    "size": st.sampled_from([0.5, 2.25, 7.0, None]),
    "site": st.sampled_from(["left", "right", "it's", None]),
    "is_good": st.sampled_from([True, False, None]),
}
TYPES = {"n": "Int64", "size": "Float64", "site": "string", "is_good": "boolean"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with opened_index(tmp_path_factory.mktemp("small"), INDEX) as path:
        yield path


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], pd.DataFrame]:
    """Draw a key and a table, which may have several rows, or none, for a series."""
    key = draw(st.sampled_from(KEYS))
    places = draw(st.lists(st.integers(0, len(SERIES) - 1), min_size=2, max_size=12))
    frame = INDEX.loc[places, key].reset_index(drop=True)
    for name, values in COLUMNS.items():
        drawn = draw(st.lists(values, min_size=len(frame), max_size=len(frame)))
        frame[name] = pd.array(drawn, dtype=TYPES[name])
    return key, frame


@st.composite
def filters(draw: st.DrawFn, frame: pd.DataFrame) -> tuple[str, Any]:
    """Draw a filter on a column of a table."""
    name = draw(st.sampled_from(sorted(COLUMNS)))
    known = sorted({value for value in frame[name].tolist() if not pd.isna(value)}, key=str)
    if name in ("n", "size") and draw(st.booleans()):
        low, high = sorted([draw(st.sampled_from([0, 1, 2.25, 9])), draw(st.sampled_from([1, 3]))])
        return name, draw(st.sampled_from([(low, high), (low, None), (None, high), (None, None)]))
    values = draw(st.lists(st.sampled_from([*known, None]), max_size=2))
    return name, values[0] if len(values) == 1 and draw(st.booleans()) else values


def fulfilling(key: list[str], frame: pd.DataFrame, name: str, argument: Any) -> set[str]:
    """Return the series of which one row fulfills a filter, by brute force."""
    found = set()
    for row in INDEX.itertuples(index=False):
        wanted = tuple(getattr(row, column) for column in key)
        values = [
            value
            for *of_row, value in frame[[*key, name]].itertuples(index=False, name=None)
            if tuple(of_row) == wanted and not pd.isna(value)
        ]
        if isinstance(argument, tuple):
            low, high = (-math.inf if argument[0] is None else argument[0]), argument[1]
            is_in = any(low <= value <= (math.inf if high is None else high) for value in values)
        else:
            listed = argument if isinstance(argument, list) else [argument]
            is_in = any(value in listed for value in values) or (None in listed and not values)
        if is_in:
            found.add(row.SeriesInstanceUID)
    return found


def check(cohort: Cohort, expected: set[str], client: IDCClient) -> None:
    """Check a cohort in memory, by SQL, by its code, and after pickling."""
    assert set(cohort.select().uids) == expected
    assert cohort.summary().series == len(expected)
    rows, sql = cohort.series(), client.sql(cohort.to_sql())
    assert sorted(rows.SeriesInstanceUID) == sorted(sql.SeriesInstanceUID) == sorted(expected)
    again = client.cohort(**cohort.filters)
    assert again.conditions == cohort.conditions
    assert pickle.loads(pickle.dumps(cohort)) == cohort
    assert hash(again.conditions) == hash(cohort.conditions)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_random_filters_are_those_of_pandas(small: Path, data: st.DataObject) -> None:
    key, frame = data.draw(tables())
    client = IDCClient(small)
    client.add_table("extra", frame, key)
    joined = client.cohort().join("extra")
    everything = set(INDEX.SeriesInstanceUID)
    (name, argument), (other, second) = data.draw(filters(frame)), data.draw(filters(frame))
    ours, theirs = (fulfilling(key, frame, *one) for one in ((name, argument), (other, second)))
    ct = set(INDEX.SeriesInstanceUID[INDEX.Modality == "CT"])
    qualified = {f"extra.{other}": second}
    kinds: list[Callable[[], tuple[Cohort, set[str]]]] = [
        lambda: (joined.where(**{name: argument}), ours),
        lambda: (client.cohort(**qualified), theirs),
        lambda: (joined.where(**{name: argument}).where(**{other: second}), ours & theirs),
        lambda: (joined.exclude(**{name: argument}), everything - ours),
        lambda: (~joined.where(**{name: argument}), everything - ours),
        lambda: (joined.where(**{name: argument}) | joined.where(**qualified), ours | theirs),
        lambda: (joined.where(any_of=[{name: argument}, {"Modality": "CT"}]), ours | ct),
        lambda: (joined.having(**{name: argument}), same_study(ours)),
        lambda: (joined.lacking(**qualified), everything - same_study(theirs)),
        lambda: (joined.where(**{name: argument}, Modality="CT").without("Modality"), ours),
        lambda: (joined.where(**{name: argument}).where(Modality="CT").without(name), ct),
    ]
    cohort, expected = data.draw(st.sampled_from(kinds))()
    check(cohort, expected, client)
    check_counts(cohort, expected, key, frame, other)


def same_study(uids: set[str]) -> set[str]:
    studies = INDEX.StudyInstanceUID[INDEX.SeriesInstanceUID.isin(uids)]
    return set(INDEX.SeriesInstanceUID[INDEX.StudyInstanceUID.isin(studies)])


def check_counts(
    cohort: Cohort, expected: set[str], key: list[str], frame: pd.DataFrame, name: str
) -> None:
    """Check the counts of the values of a column: each series counts once per value."""
    column = f"extra.{name}"
    values = sorted({value for value in frame[name].tolist() if not pd.isna(value)})
    counts = {value: expected & fulfilling(key, frame, name, value) for value in values}
    counts[None] = expected & fulfilling(key, frame, name, None)
    counts = {value: uids for value, uids in counts.items() if uids}
    found = cohort.value_counts(column)
    assert dict(found.items()) == {value: len(uids) for value, uids in counts.items()}
    assert cohort.unique(column) == list(counts)
    pairs = cohort.value_counts(column, "PatientID", unit="patients")
    assert set(pairs) <= {1, 2}, "a PatientID is in at most two collections"
    groups = {value: set(group.select().uids) for value, group in cohort.groupby(column)}
    assert groups == counts
    if name in ("n", "size"):
        histogram = cohort.histogram(column, bins=3)
        assert histogram.missing == len(counts.get(None, ()))
        assert sum(histogram.counts) >= len(expected) - histogram.missing
        if histogram.edges:
            low, high = histogram.edges[0], histogram.edges[1]
            within = [value for value in values if low <= value < high]
            uids = set().union(*(counts.get(value, set()) for value in within))
            if len(within) <= 1:
                assert histogram.counts[0] == len(uids)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"n": "many"}, r"extra\.n='many': expected a number, not str"),
        ({"n": True}, "expected a number"),
        ({"site": 5}, "expected text"),
        ({"site": "lefd"}, "unknown extra.site 'lefd'; did you mean 'left'"),
        ({"site": ("a", "b")}, "a range needs a column of numbers or dates"),
        ({"is_good": "yes"}, "expected True or False"),
        ({"n": (5, 1)}, "upside down"),
        ({"n": (1, 2, 3)}, "has two ends"),
        ({"many": [1]}, "which can be neither filtered nor counted"),
        ({"when": ("2020", None)}, "Conversion Error|date"),
        ({"m": 5}, "unknown column 'm'"),
        ({"extra.m": 5}, "unknown column of extra 'm'"),
        ({"extr.n": 5}, "unknown table 'extr'; did you mean 'extra'"),
    ],
)
def test_wrong_filters(small: Path, filters: dict[str, Any], message: str) -> None:
    client = IDCClient(small)
    frame = pd.DataFrame(
        {
            "PatientID": ["P", "Q"],
            "n": [1, 2],
            "site": ["left", "right"],
            "is_good": [True, False],
            "many": [[1], [2]],
            "when": pd.to_datetime(["2020-01-01", "2021-01-01"]),
        }
    )
    client.add_table("extra", frame)
    joined = client.cohort().join("extra")
    with pytest.raises(InvalidQueryError, match=message):
        joined.where(**filters).summary()
    assert joined.where(when=("2020-06-01", None)).unique("PatientID") == ["Q"]
    assert joined.where(when="2020-01-01").unique("PatientID") == ["P"]
    with pytest.raises(InvalidQueryError, match="unknown column 'n'"):
        client.cohort(n=1)


def test_code_says_which_table_is_needed(small: Path) -> None:
    client = IDCClient(small)
    frame = pd.DataFrame({"case": ["P", "Q"], "n": [1, 2]})
    client.add_table("extra", frame, on={"case": "PatientID"})
    cohort = client.cohort(Modality="CT").join("extra").exclude(n=1)
    code = cohort.to_code()
    assert "# your_extra is your table of 2 rows." in code
    names = {"your_extra": frame}
    exec(code, names)
    assert names["selection"].uids == cohort.select().uids
    assert "extra" not in client.cohort().join("extra").to_code()


def test_the_flow_and_the_tables_of_idc(client: IDCClient) -> None:
    joined = client.cohort(Modality=["PT", "NM"]).join("prior_versions_index")
    rows = joined.series()
    narrowed = joined.where(min_idc_version=(None, 5))
    expected = [
        uid
        for uid, versions in zip(rows.SeriesInstanceUID, rows.min_idc_version, strict=True)
        if hasattr(versions, "__iter__") and min(versions) <= 5
    ]
    assert sorted(narrowed.select().uids) == sorted(expected)
    step = narrowed.flow().iloc[-1]
    assert step["filter"] == "prior_versions_index.min_idc_version=(None, 5)"
    assert step.missing == rows.min_idc_version.isna().sum()
    assert narrowed.left_out()["prior_versions_index.min_idc_version"] == step.missing
    assert len(client.sql(narrowed.to_sql())) == len(expected)
    assert "# This needs the table prior_versions_index." in narrowed.to_code()

"""Set algebra of cohorts: laws, simplifications, and missing values."""

from __future__ import annotations

import itertools

import pytest

from idc_widgets import Cohort, IDCClient


@pytest.fixture(scope="module")
def cohorts(client: IDCClient) -> list[Cohort]:
    """Return cohorts of all kinds; PatientAge, PatientSex and BodyPartExamined have gaps."""
    women = client.cohort(PatientSex="F")
    return [
        client.cohort(Modality="CT"),
        client.cohort(Modality=["MR", "SEG"]),
        women,
        client.cohort(PatientSex="F", PatientAge=(60, None)),
        client.cohort(BodyPartExamined="CHEST").exclude(PatientAge=(0, 60)),
        client.cohort().exclude(PatientSex="M"),
        women | client.cohort(Modality="CT", BodyPartExamined=None),
        client.cohort().having(Modality="SEG").lacking(women),
        client.cohort(),
    ]


def size(cohort: Cohort) -> int:
    return cohort.summary().series


def count_by_sql(client: IDCClient, cohort: Cohort) -> int:
    return int(client.sql(f"SELECT count(*) AS n FROM ({cohort.to_sql()})").n[0])


def test_a_series_is_in_a_cohort_or_in_its_complement(
    client: IDCClient, cohorts: list[Cohort]
) -> None:
    everything = client.cohort()
    for cohort in cohorts:
        others = ~cohort
        assert size(cohort) + size(others) == size(everything), cohort
        assert count_by_sql(client, others) == size(others)
        assert ~others == cohort
        assert size(cohort & others) == 0
        assert (cohort | others).select() == everything.select()
        for combined in (others, cohort - others, cohort | others):
            assert client.cohort(**combined.filters) == combined


def test_pairs_of_cohorts(client: IDCClient, cohorts: list[Cohort]) -> None:
    for a, b in itertools.combinations(cohorts, 2):
        either, both, only = a | b, a & b, a - b
        assert size(either) == size(a) + size(b) - size(both)
        assert size(only) == size(a) - size(both)
        assert (either, both) == (b | a, b & a)
        assert hash(either) == hash(b | a)
        assert only == a & ~b
        for combined in (either, both, only, ~either, ~both, ~only):
            assert client.cohort(**combined.filters) == combined
            # The complement of a complement may be simpler.
            assert ~~combined == combined or (~~combined).select() == combined.select()


def test_parts_in_any_order_make_equal_cohorts(cohorts: list[Cohort]) -> None:
    for a, b, c in itertools.permutations(cohorts[:7], 3):
        assert (a | b) | c == a | (b | c) == (c | a) | b
        assert (a & b) & c == a & (b & c)
        assert a - b - c == a - c - b
    for a, b, c in itertools.combinations(cohorts[2:7], 3):
        assert (a - b - c).select() == (a - (b | c)).select()


def test_what_is_obvious_is_simplified(client: IDCClient) -> None:
    ct, mr, old = (
        client.cohort(Modality="CT"),
        client.cohort(Modality="MR"),
        client.cohort(PatientAge=(60, None)),
    )
    everything, nothing = client.cohort(), ~client.cohort()
    assert ct | ct == ct & ct == ct
    assert ct | mr == client.cohort(Modality=["CT", "MR"])
    assert ct & old == client.cohort(Modality="CT", PatientAge=(60, None))
    assert ct | (ct & old) == ct
    assert (ct & old) | (mr & old) | mr == mr | (old & ct)
    assert ~ct == everything.exclude(Modality="CT")
    assert ct - old == ct.exclude(PatientAge=(60, None))
    assert ~(ct | old) == everything.exclude(Modality="CT", PatientAge=(60, None))
    assert ct | everything == everything | nothing == everything
    assert ct | nothing == ct
    assert ct - nothing == ct
    assert nothing.filters == {"any_of": []}
    assert size(nothing) == count_by_sql(client, nothing) == size(ct & nothing) == 0
    assert client.cohort(any_of=[ct, {"Modality": "MR"}]) == ct | mr
    assert everything.exclude(any_of=[ct & old]) == ~(ct & old)


def test_joined_columns_are_kept(client: IDCClient) -> None:
    joined = client.cohort(collection_id="rider_lung_ct").join("collections_index", ["program_id"])
    other = client.cohort(collection_id="lung_pet_ct_dx")
    for cohort in (joined | other, other | joined, joined & other, joined - other, ~joined):
        assert cohort.joins == joined.joins

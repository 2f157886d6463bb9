"""Random filters, as arguments of `Cohort` and `BruteForce.matching`."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
from support.bruteforce import (
    FILTERED,
    IN_COLLECTIONS,
    TEXTS,
    BruteForce,
    Step,
    age_in_years,
    collections,
    is_date,
)

from idc_widgets import Cohort, IDCClient
from idc_widgets.index import COLUMNS

__all__ = ["are_all_looked_up", "narrowed", "random_steps"]

#: Columns to filter by values.
EQUAL = (
    "collection_id",
    "analysis_result_id",
    "Modality",
    "BodyPartExamined",
    "PatientSex",
    "PatientAge",
    "Manufacturer",
    "ManufacturerModelName",
    "license_short_name",
    "sop_class_name",
    "transfer_syntax_name",
    "PhotometricInterpretation",
    "series_init_idc_version",
    "instanceCount",
    "SeriesNumber",
    "StudyDate",
    "StudyDescription",
    "SeriesDescription",
    "aws_bucket",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)
#: Columns to filter by a range.
BETWEEN = (
    "PatientAge",
    "StudyDate",
    "SeriesDate",
    "instanceCount",
    "series_size_MB",
    "series_init_idc_version",
    "series_revised_idc_version",
)
#: Words to search for, with the special characters of SQL, patterns and HTML.
WORDS = (
    *("lung", "CT", "Chest KERNEL", "mr sag t2", "1.3.6.1.4.1.14519.5.2.1", ".99.", "lung1-", "%"),
    *("_", "'", '"', "\\", "<MIP", "(", "4d-lung", "NSCLC-Radiomics", "Rider lung", "é", "µ", "Ã"),
    *(
        "nlst 1.2.840.113654.2.55",
        "tcga-LUAD slide",
        "no-such-word",
        "a",
        "2",
        "qin ct",
        "cc-tumor",
    ),
)


class RandomFilters:
    """Random filters on a table. Most match the series `anchor`, so that few cohorts are empty.

    Args:
        draw: The function that Hypothesis draws values with.
        table: The table to filter.
        anchor: The row of the series that the filters should match; None for any filters.
    """

    def __init__(self, draw: st.DrawFn, table: BruteForce, anchor: int | None) -> None:
        self.draw, self.table, self.anchor = draw, table, anchor

    def step(self, depth: int = 0) -> Step:
        kinds: list[Callable[[], Step]] = [self.equal] * 6 + [self.between] * 4 + [self.text] * 2
        kinds += [self.uids, self.patients, self.commercial, self.collection, self.collection]
        kinds += [self.original, self.unchecked]
        if depth == 0:
            kinds += [
                self.having,
                self.having,
                self.any_of,
                self.any_of,
                self.exclude,
                self.exclude,
            ]
        return self.pick(kinds)()

    def equal(self, name: str | None = None) -> Step:
        name = name or self.pick(EQUAL)
        values = self.some_values(name)
        if self.anchor is not None:
            values.append(self.table.column(name).at(self.anchor))
        return name, self.one_or_list(values)

    def between(self, name: str | None = None) -> Step:
        name = name or self.pick(BETWEEN)
        column = self.table.column(name)
        bounds = self.some_values(name, most=2)
        at = None if self.anchor is None else column.at(self.anchor)

        def size(value: Any) -> Any:
            return age_in_years(value) if name == "PatientAge" else value

        if "Date" in name:
            bounds = [bound for bound in bounds if bound is not None and is_date(bound)]
            at = at if at is not None and is_date(at) else None
        bounds = [bound for bound in bounds if size(bound) is not None]
        at = None if size(at) is None else at
        if at is not None:
            low = self.pick([None, at, *(bound for bound in bounds if size(bound) <= size(at))])
            high = self.pick([None, at, *(bound for bound in bounds if size(bound) >= size(at))])
        else:
            ends: list[Any] = [*sorted(bounds, key=size), None, None]
            low, high = ends[0], ends[1]
        return name, (self.spelled(name, low), self.spelled(name, high))

    def spelled(self, name: str, bound: Any) -> Any:
        """Return the same bound in one of the types that users pass."""
        if bound is None:
            return None
        if name == "PatientAge":
            return self.pick([bound, age_in_years(bound)])
        if "Date" in name:
            spellings = [bound, bound.replace("-", ""), datetime.date.fromisoformat(bound)]
            return self.pick(spellings)
        return self.pick([bound, float(bound), np.float64(bound)])

    def text(self) -> Step:
        if self.anchor is None:
            words = self.some(WORDS, least=1, most=2)
        else:  # a part of a text of the anchor, and a text that most series contain
            code = self.table.column("collection_id").codes[self.anchor]
            texts = [self.table.column(name).at(self.anchor) or "" for name in TEXTS]
            texts.append(self.table.collection_name(code))
            text = self.pick(texts)
            start = self.draw(st.integers(0, max(0, len(text) - 1)))
            piece = text[start : start + self.draw(st.integers(1, 12))]
            words = [*self.some(["1.2", "1.3.6", "c", "-"], most=1), piece]
        text = self.pick([" ", "  ", "\t"]).join(words)
        text = self.pick([text, text.swapcase(), text.lower()])
        return "text", text if text.split() else "ct"

    def uids(self) -> Step:
        series = self.some_values("SeriesInstanceUID")
        studies = self.some_values("StudyInstanceUID")
        uids = [*series, *studies]
        if self.anchor is not None:
            name = self.pick(["SeriesInstanceUID", "StudyInstanceUID"])
            uids.append(self.table.column(name).at(self.anchor))
        if self.draw(st.booleans()):
            return "of_uids", [*uids, "1.2.3.4.5.6.unknown"]
        return "uids", uids

    def patients(self) -> Step:
        rows = self.some(self.table_rows(), most=4)
        if self.anchor is not None:
            rows.append(self.anchor)
        collection, patient = (self.table.column(name) for name in ("collection_id", "PatientID"))
        pairs = [(collection.at(row), patient.at(row)) for row in rows]
        if len(rows) > 1:  # a collection and a PatientID of two patients
            pairs.append((collection.at(rows[0]), patient.at(rows[1])))
        return self.pick(["patients", "of_patients"]), [*pairs, ("no", "body")]

    def commercial(self) -> Step:
        values = self.some([True, False, None], most=2)
        if self.anchor is not None:
            values.append(self.table.column("commercial_use").at(self.anchor))
        return "commercial_use", self.one_or_list(values)

    def original(self) -> Step:
        values = self.some([True, False], most=2)
        if self.anchor is not None:
            values.append(bool(self.table.column("original").at(self.anchor)))
        return "original", self.one_or_list(values)

    def collection(self, name: str | None = None) -> Step:
        name = name or self.pick([*IN_COLLECTIONS, "program"])
        facts = collections()[FILTERED.get(name, name)]
        known = sorted({value.strip() for fact in facts for value in fact.split(",")} - {""})
        values: list[Any] = self.some([*known, None], most=3)
        if self.anchor is not None:
            code = self.table.column("collection_id").codes[self.anchor]
            of_anchor = self.table.facts_per_collection(FILTERED.get(name, name))[code]
            values.append(self.pick(sorted(of_anchor) or [None]))
        return name, self.one_or_list(values)

    def having(self) -> Step:
        level = self.pick(["study", "patient"])
        group = self.table.study if level == "study" else self.table.patient
        near = None
        if self.anchor is not None:
            near = int(self.pick(np.flatnonzero(group == group[self.anchor])))
        filters = self.filters_near(near)
        return "having", filters if level == "study" else {"level": level, **filters}

    def any_of(self) -> Step:
        alternatives = [
            self.filters_near(self.pick(self.table_rows()))
            for _ in range(self.draw(st.integers(0, 2)))
        ]
        if self.anchor is not None:
            alternatives.append(self.filters_near(self.anchor))
        return "any_of", alternatives

    def filters_near(self, row: int | None) -> dict[str, Any]:
        """Return keyword arguments of `Cohort.where`, most of which match a row."""
        steps = RandomFilters(self.draw, self.table, row).steps(depth=1)
        filters = {name: argument for name, argument in steps if not name.startswith("of_")}
        return filters or {"Modality": None}

    def exclude(self) -> Step:
        # Most of what is excluded is not near the anchor, so that most cohorts are not empty.
        near = self.pick([None, None, self.pick(self.table_rows())])
        others = RandomFilters(self.draw, self.table, near)
        kinds = [others.equal] * 5 + [others.between] * 2
        kinds += [others.text, others.uids, others.patients, others.commercial]
        kinds += [others.collection, others.original, others.having, others.any_of]
        steps = [self.pick(kinds)() for _ in range(self.draw(st.integers(1, 2)))]
        excluded = {name: argument for name, argument in steps if not name.startswith("of_")}
        return "exclude", excluded or {"Modality": "SR"}

    def unchecked(self) -> Step:
        name, column = self.pick(
            [("of_series", "SeriesInstanceUID"), ("of_studies", "StudyInstanceUID")]
        )
        uids = [value for value in self.some_values(column) if value is not None]
        if self.anchor is not None:
            uids.append(self.table.column(column).at(self.anchor))
        return name, [*uids, "1.2.3.4.5.6.unknown"]

    def steps(self, depth: int = 0) -> list[Step]:
        most = 2 if depth else self.pick([1, 2, 2, 3, 3, 4])
        steps = [self.step(depth) for _ in range(self.draw(st.integers(0 if depth else 1, most)))]
        if steps and self.draw(st.integers(0, 3)) == 0:  # filter the same column again
            again = FILTERED.get(steps[0][0], steps[0][0])
            if again in COLUMNS:
                among = [
                    name
                    for name in (self.equal, self.between)
                    if again in (EQUAL if name == self.equal else BETWEEN)
                ]
                steps += [self.pick(among)(again)] if among else []
            elif again in IN_COLLECTIONS:
                steps.append(self.collection(again))
            else:
                kinds = {
                    "text": self.text,
                    "uids": self.uids,
                    "patients": self.patients,
                    "commercial_use": self.commercial,
                    "having": self.having,
                    "any_of": self.any_of,
                    "original": self.original,
                    "exclude": self.exclude,
                }
                steps.append(kinds[again]())
        return steps

    # --- values

    def pick(self, values: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(values if isinstance(values, list) else list(values)))

    def some(self, values: Sequence[Any], least: int = 0, most: int = 3) -> list[Any]:
        return self.draw(st.lists(st.sampled_from(list(values)), min_size=least, max_size=most))

    def some_values(self, name: str, most: int = 3) -> list[Any]:
        return self.some(drawable_values(self.table, name), most=most)

    def one_or_list(self, values: list[Any]) -> Any:
        return values[0] if len(values) == 1 and self.draw(st.booleans()) else values

    def table_rows(self) -> list[int]:
        return drawable_rows(self.table)


@functools.lru_cache(maxsize=200)
def drawable_values(table: BruteForce, name: str) -> list[Any]:
    """Return all values of a column if they are few; else the most frequent and some others."""
    column = table.column(name)
    values: list[Any] = column.values
    if len(values) > 40:
        frequent = np.argsort(-np.bincount(column.codes[column.codes >= 0]), kind="stable")[:15]
        others = np.linspace(0, len(values) - 1, 25).astype(int)
        values = [values[at] for at in dict.fromkeys([*frequent.tolist(), *others.tolist()])]
    return [*values, None] if (column.codes < 0).any() else list(values) or [None]


@functools.lru_cache(maxsize=200)
def drawable_rows(table: BruteForce) -> list[int]:
    """Return rows that random filters should match: some per collection, and all kinds of odd ones.

    Random filters are drawn to match one of these rows.
    """
    if len(table.rows) < 1000:
        return list(range(len(table.rows)))
    random = np.random.default_rng(25)
    anchors: list[int] = []
    collection = table.column("collection_id").codes
    order = np.argsort(collection, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(collection[order])) + 1):
        anchors += random.choice(rows, min(3, len(rows)), replace=False).tolist()
    # Studies of two patients, PatientIDs in two collections, and ages with unusual units.
    patients = pd.DataFrame({"patient": table.patient, "study": table.study})
    twice = patients.drop_duplicates().study.value_counts()
    anchors += np.flatnonzero(np.isin(table.study, twice.index[twice > 1])).tolist()
    patients = pd.DataFrame({"patient": table.patient, "id": table.column("PatientID").codes})
    twice = patients.drop_duplicates().id.value_counts()
    two = np.flatnonzero(np.isin(table.column("PatientID").codes, twice.index[twice > 1]))
    anchors += random.choice(two, 20).tolist()
    ages = table.column("PatientAge")
    for odd in ("D", "M", "y", "0", "A"):
        rows = np.flatnonzero(ages.is_in([age for age in ages.values if age.endswith(odd)]))
        anchors += random.choice(rows, min(15, len(rows))).tolist()
    for name in ("PatientSex", "Modality", "analysis_result_id", "license_short_name"):
        for value in table.column(name).values:
            anchors.append(int(random.choice(np.flatnonzero(table.column(name).is_in([value])))))
    return anchors


@st.composite
def random_steps(draw: st.DrawFn, table: BruteForce) -> list[Step]:
    """Draw a sequence of filters on a table."""
    anchor = draw(st.sampled_from(drawable_rows(table))) if draw(st.integers(0, 5)) else None
    return RandomFilters(draw, table, anchor).steps()


def narrowed(client: IDCClient, steps: Sequence[Step]) -> Cohort:
    """Return the cohort that results from applying the filters one after the other."""
    cohort = client.cohort()
    for name, argument in steps:
        if name.startswith("of_"):
            cohort = getattr(cohort, name)(argument)
        elif name == "exclude":
            cohort = cohort.exclude(**argument)
        else:
            cohort = cohort.where(**{name: argument})
    return cohort


def are_all_looked_up(steps: Sequence[Step]) -> bool:
    """Return whether all steps are arguments of `Cohort.where`, which looks up their UIDs."""
    return all(name not in ("of_series", "of_studies", "of_uids") for name, _ in steps)

"""The methods of a cohort that narrow it by filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .._util import as_keys
from ..errors import InvalidQueryError
from .cohort_base import CohortBase
from .condition import sorted_unique
from .exclusion import Excluded
from .filter_keywords import KEYWORDS, takes_filters
from .filters import OneOf
from .joins import parse_join
from .key_lists import Uids
from .set_algebra import complement
from .table_filters import table_column, with_table_filters
from .where_parser import (
    Filtered,
    parse_filters,
    parse_having,
    parse_patients,
    resolve_column,
)

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CohortFilters"]


class CohortFilters(CohortBase):
    """The filters of a `Cohort`. Each method returns a new cohort."""

    @takes_filters
    def where(self, /, *_given: object, **filters: object) -> Self:
        """Narrow the cohort: all filters, old and new, must hold.

        Args:
            **filters: Column and value. A single value means equality, a list any of its values,
                and a pair (low, high) a closed range. Ranges are for columns of numbers and dates,
                and for PatientAge in years; an end that is None leaves the range open. Elsewhere,
                None means a missing value. The columns are those of the index; the facts of
                collections ``cancer_types``, ``tumor_locations``, ``species`` and ``program_id``,
                of which a collection may have several values; and ``commercial_use`` and
                ``original``, which are True or False. These keywords are special:

                - ``text="lung kernel"``: every word must be a substring, in any letter case, of
                  a description, an identifier or the name of the collection (`TEXT_COLUMNS`);
                - ``uids=[...]``: UIDs of series and studies, all of which must be known;
                - ``patients=[...]``: as for `of_patients`;
                - ``having={"Modality": "SEG", "level": "patient"}``: as for `having`; a list of
                  dicts for several series;
                - ``any_of=[{"Modality": "CT"}, {"PatientSex": "F", "Modality": "MR"}]``: all
                  filters of at least one dict hold. A cohort may take the place of a dict;
                - ``exclude={"Modality": "SR"}``: as for `exclude`;
                - a column that `join` has added, such as ``grade=(2, None)``; and, for any table
                  that can be joined, ``**{"labels.grade": (2, None)}``. A series matches if one of
                  its rows in the table does;
                - ``part=``, ``ranked=``: what `filters` has after `sample`, `split`, `largest`,
                  `latest` or `earliest`.

        Returns:
            The narrowed cohort.

        Raises:
            InvalidQueryError: A column or value is unknown (the message names the nearest), a
                range is upside down or on a column of text, or a value has the wrong type.
        """
        _refuse_positional("where", _given)
        return self._and(*parse_filters(self.engine, self._parsed(filters)))

    def _parsed(self, filters: Mapping[str, object]) -> dict[str, object]:
        """Return filters in which those on columns of other tables are conditions."""
        return with_table_filters(self, filters, KEYWORDS)

    @takes_filters
    def exclude(self, /, *_given: object, **filters: object) -> Self:
        """Leave out the series that a filter matches; each filter excludes by itself.

        ``exclude(Modality="SR", BodyPartExamined="CHEST")`` leaves out all reports and all series
        of the chest. A series without a value is kept, unless the filter lists None: a series of
        unknown age is not excluded by ``exclude(PatientAge=(0, 18))``.

        Args:
            **filters: Column and value, as for `where`: a list excludes any of its values, a pair
                (low, high) a closed range. An empty list excludes nothing. To leave out only
                series that several filters match together, subtract their cohort (``a - b``).

        Raises:
            InvalidQueryError: As for `where`.

        >>> from idc_widgets import IDCClient
        >>> IDCClient().cohort().exclude(Modality=["SR", "SEG"], PatientAge=(0, 18)).filters
        {'exclude': {'Modality': ['SEG', 'SR'], 'PatientAge': (0, 18)}}
        """
        _refuse_positional("exclude", _given)
        return self.where(exclude=filters)

    def without(self, *columns: str) -> Self:
        """Return the cohort without its filters on these columns, those of `exclude` included.

        Args:
            *columns: Columns or special keywords of `where`, such as ``"text"``. ``"exclude"``
                stands for everything that is excluded.

        Raises:
            InvalidQueryError: There is no such column.
        """
        names = {self._column_name(name) for name in columns}
        kept = tuple(
            condition
            for condition in self.conditions
            if condition.column not in names
            and not ("exclude" in names and isinstance(condition, Excluded))
        )
        return replace(self, conditions=kept)

    def _column_name(self, name: str) -> str:
        """Return the name that the conditions on a column have."""
        column = None if name in KEYWORDS else table_column(self, name)
        return column.name if column is not None else resolve_column(self.engine, name)

    @takes_filters
    def having(
        self, other: CohortBase | None = None, /, *, level: str = "study", **filters: object
    ) -> Self:
        """Narrow the cohort to studies or patients that have a certain series, anywhere in IDC.

        All filters of one call describe one series, and mean the same as in `where`. To ask for
        several series, call this several times: ``cohort(Modality="CT").having(Modality="PT",
        instanceCount=(100, None)).having(Modality="SEG")`` has the CT series of the studies that
        have a PET series of at least 100 files and a segmentation.

        Args:
            other: A cohort that must have the series.
            level: "study" or "patient".
            **filters: As for `where`.

        Raises:
            InvalidQueryError: There is no filter, the level, a column or a value is unknown, or
                `other` belongs to another client.

        >>> from idc_widgets import IDCClient
        >>> client = IDCClient()
        >>> lung = client.cohort(collection_id="nsclc_radiomics")
        >>> lung.originals().having(Modality="SEG").summary().studies
        422
        """
        return self._and(*parse_having(self.engine, level, self._parsed(filters), other))

    @takes_filters
    def lacking(
        self, other: CohortBase | None = None, /, *, level: str = "study", **filters: object
    ) -> Self:
        """Narrow the cohort to studies or patients without a certain series: see `having`.

        >>> from idc_widgets import IDCClient
        >>> IDCClient().cohort(Modality="CT").lacking(Modality=["SEG", "RTSTRUCT"]).filters
        {'Modality': 'CT', 'exclude': {'having': {'Modality': ['RTSTRUCT', 'SEG']}}}
        """
        return self._and(
            *complement(parse_having(self.engine, level, self._parsed(filters), other))
        )

    def originals(self) -> Self:
        """Narrow the cohort to original images.

        A series is derived from images, and so no original, if it is an analysis result
        (``analysis_result_id``) or if its modality is one of objects that describe images, such as
        SEG, RTSTRUCT or SR (`DERIVED_MODALITIES`).

        The images of the studies that a cohort has: ``client.cohort().originals().having(cohort)``.
        """
        return self.where(original=True)

    def derived(self) -> Self:
        """Narrow the cohort to what is derived from images, such as segmentations and reports."""
        return self.where(original=False)

    def of_patients(self, keys: Iterable[tuple[str, str]]) -> Self:
        """Narrow the cohort to these patients; unlike `where`, do not look them up.

        Args:
            keys: Pairs (collection_id, PatientID).

        Raises:
            InvalidQueryError: A key is not such a pair.
        """
        return self._and(parse_patients(self.engine, keys))

    def of_studies(self, uids: str | Iterable[str]) -> Self:
        """Narrow the cohort to these StudyInstanceUIDs; unlike `where`, do not look them up."""
        return self._and(OneOf("StudyInstanceUID", sorted_unique(as_keys(uids))))

    def of_series(self, uids: str | Iterable[str]) -> Self:
        """Narrow the cohort to these SeriesInstanceUIDs; unlike `where`, do not look them up."""
        return self._and(OneOf("SeriesInstanceUID", sorted_unique(as_keys(uids))))

    def of_uids(self, uids: str | Iterable[str]) -> Self:
        """Narrow the cohort to these UIDs of series or studies; do not look them up."""
        return self._and(Uids((sorted_unique(as_keys(uids)),)))

    def join(self, table: str, columns: Sequence[str] | None = None) -> Self:
        """Add columns of another table, such as ct_index, to the data frame of `series`.

        Tables of IDC are joined by the first of SeriesInstanceUID, StudyInstanceUID,
        dicom_patient_id (of clinical tables) and collection_id that the table has. If the table has
        several rows per series, the added values are lists. If the series already have a column of
        the same name, the new one is ``<table>_<column>``. From then on, `where`, `exclude`,
        `value_counts`, `unique`, `histogram` and `groupby` take these columns, too.

        >>> from idc_widgets import IDCClient
        >>> cohort = IDCClient().cohort(Modality="PT").join("collections_index", ["subjects"])
        >>> cohort.where(subjects=(800, 1000)).unique("collection_id")
        ['fdg_pet_ct_lesions']

        Args:
            table: A table that is available (see ``client.tables()`` and `IDCClient.fetch_table`),
                or one of your own (see `IDCClient.add_table`).
            columns: The columns to add; by default all.

        Raises:
            InvalidQueryError: There is no such table or column, or no column to join by.
        """
        join = parse_join(self.engine, self.added_tables, table, columns)
        return replace(self, joins=(*self.joins, join))


def _refuse_positional(name: str, given: Sequence[object]) -> None:
    """Refuse filters that are not keyword arguments.

    Args:
        name: The name of the method.
        given: The positional arguments.

    Raises:
        InvalidQueryError: There is one; the message says how to write it.
    """
    if not given:
        return
    first = given[0]
    shown = repr(first) if isinstance(first, (str, Mapping)) else type(first).__name__
    problem = f"{name}({shown[:200]}): filters are keyword arguments"
    if isinstance(first, Filtered):
        operator = "a - b" if name == "exclude" else "a & b"
        raise InvalidQueryError(f"{problem}; to combine two cohorts, write {operator}")
    if isinstance(first, Mapping):
        raise InvalidQueryError(f"{problem}; pass the dict with two stars: {name}(**filters)")
    raise InvalidQueryError(
        f"{problem}, such as {name}(Modality='CT', instanceCount=(100, None)); "
        "for a condition in SQL, call client.sql(...)"
    )

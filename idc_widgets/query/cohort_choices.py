"""The methods of a cohort that choose some of its patients, studies or series."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .cohort_base import CohortBase
from .random_parts import sampled, split
from .ranking import Ranked, checked_ranking

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CohortChoices"]


class CohortChoices(CohortBase):
    """Random and ranked choices from a `Cohort`. Each method returns new cohorts."""

    def sample(self, n: int, *, level: str = "patient", random_state: int | None = None) -> Self:
        """Return a random sample of the patients, studies or series.

        The sample depends only on `random_state` and on which patients there are, so it is the same
        on every database. A larger sample with the same `random_state` contains the smaller one.

        Args:
            n: The number of patients, studies or series.
            level: "patient", "study" or "series". All their series in this cohort are kept.
            random_state: A whole number, for the same sample every time. By default, a random one,
                which `filters` has.

        Raises:
            InvalidQueryError: There are fewer than `n`, or the level is unknown.

        >>> from idc_widgets import IDCClient
        >>> lung = IDCClient().cohort(collection_id="nsclc_radiomics")
        >>> lung.sample(20, random_state=0).summary().patients
        20
        """
        return replace(
            self, conditions=sampled(self.engine, self.conditions, n, level, random_state)
        )

    def split(
        self,
        *,
        level: str = "patient",
        stratify: str | None = None,
        random_state: int = 0,
        **shares: float,
    ) -> dict[str, Self]:
        """Divide the cohort at random into parts, such as those for training and for testing.

        Every series is in one part, and so are all series of a patient, who is recognized by the
        PatientID, also in two collections. The hash of the PatientID decides, so a patient stays in
        the same part when IDC grows, whatever else the cohort contains. The parts therefore have
        their shares only on average: of 1,000 patients, ``test=0.2`` has some 200. To split a part
        again, call this on the part.

        Args:
            level: "patient", "study" or "series".
            stratify: A column of the index. For each of its values, the patients with this value
                are divided separately, so that the shares are as exact as possible. A patient with
                several values belongs to the lowest of them. Such parts may change when IDC grows.
            random_state: A whole number. Another number gives other parts.
            **shares: Name and share of each part. The shares add up to 1.

        Returns:
            Name → cohort.

        Raises:
            InvalidQueryError: The shares do not add up to 1, the level or column is unknown, or the
                column has more than 1,000 values.

        >>> from idc_widgets import IDCClient
        >>> lung = IDCClient().cohort(collection_id="nsclc_radiomics")
        >>> parts = lung.split(train=0.8, test=0.2, stratify="PatientSex")
        >>> {name: part.summary().patients for name, part in parts.items()}
        {'train': 338, 'test': 84}
        """
        parts = split(self.engine, self.conditions, shares, level, stratify, random_state)
        return {name: replace(self, conditions=conditions) for name, conditions in parts.items()}

    def largest(self, n: int = 1, per: str = "study", by: str = "instanceCount") -> Self:
        """Return the largest series of each study, patient or collection.

        Series without a value come last; of equal series, the one with the lowest SeriesInstanceUID
        comes first. The series are chosen among those of this cohort: filters that you add later
        narrow the choice.

        Args:
            n: The number of series per study, patient or collection.
            per: "study", "patient" or "collection".
            by: A column of numbers or dates. With "SeriesDate", the newest series are chosen.

        Raises:
            InvalidQueryError: An argument is not valid; the message says what is.

        >>> from idc_widgets import IDCClient
        >>> ct = IDCClient().cohort(collection_id="nsclc_radiomics", Modality="CT")
        >>> (ct.largest().summary().series, ct.summary().studies)
        (422, 422)
        """
        return self._ranked("largest", n, per, by)

    def latest(self, n: int = 1, per: str = "patient") -> Self:
        """Return the series of the latest studies of each patient or collection.

        Studies are compared by StudyDate. Studies without a date come last. If several studies have
        the same date, the one with the lowest StudyInstanceUID comes first. As for `largest`, later
        filters narrow the choice.

        Args:
            n: The number of studies per patient or collection.
            per: "patient" or "collection".

        Raises:
            InvalidQueryError: An argument is not valid; the message says what is.
        """
        return self._ranked("latest", n, per, "StudyDate")

    def earliest(self, n: int = 1, per: str = "patient") -> Self:
        """Return the series of the earliest studies of each patient or collection: see `latest`."""
        return self._ranked("earliest", n, per, "StudyDate")

    def _ranked(self, order: str, n: int, per: str, by: str) -> Self:
        ranking = checked_ranking(order, n, per, by, self.conditions)
        return replace(self, conditions=(Ranked((ranking,)),))

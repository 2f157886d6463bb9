"""The columns of patients and studies, computed from their matching series."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa

from .arrow import Array, ArrowArray, BoolArray
from .encoded import EncodedColumn
from .matches import Matches

__all__ = ["Aggregate", "python_numbers"]

#: The columns that are numbers.
_NUMBER_COLUMNS = ("studies", "series", "instances", "size_MB")

#: Level → column → separator. Such a column joins all distinct values of the series in one text.
_SEPARATORS = {
    "patient": {"PatientSex": ",", "PatientAge": ","},
    "study": {"Modality": ", "},
}

#: Up to this number of patients or studies, only the parts of the index around them are searched.
_MAX_SEARCHED = 1_000

#: If more pairs than this are possible, the distinct pairs are found by sorting, not by flags.
_MAX_FLAGS = 32_000_000


class Aggregate:
    """The columns of some patients or studies, computed from their matching series.

    Args:
        level: "patient" or "study".
        matches: The matching series.
        numbers: The numbers of the patients or studies, in ascending order.
    """

    def __init__(self, level: str, matches: Matches, numbers: Array) -> None:
        memory = matches.memory
        self._memory, self._level, self._numbers = memory, level, numbers
        rows = matches.rows
        if 0 < len(numbers) <= _MAX_SEARCHED:
            rows = matches.rows_around(level, numbers)
        place_of_number = np.full(memory.count(level), -1, dtype=np.int32)
        place_of_number[numbers] = np.arange(len(numbers), dtype=np.int32)
        if level == "patient":
            places = place_of_number[memory.patient_of_rows(rows)]
        else:
            places = place_of_number[memory.study_of_series[rows]]
        is_wanted = places >= 0
        #: The rows of the series; and per row, the place of its patient or study in `numbers`.
        self._rows, self._places = rows[is_wanted], places[is_wanted]

    def values(self, column: str) -> list[Any]:
        """Return a column as Python values, in the order of `numbers`; None for missing values."""
        if column in _NUMBER_COLUMNS:
            return python_numbers(self._sums(column), column)
        if column == "StudyInstanceUID":
            return self._memory.keys_of("study", self._numbers)
        if column in _SEPARATORS[self._level]:
            return self._joined(column)
        encoded, lowest = self._lowest(column)
        return encoded.decode(lowest)

    def arrow(self, column: str) -> ArrowArray:
        """Return a column as an Arrow array, in the order of `numbers`."""
        if column in _NUMBER_COLUMNS:
            sums = self._sums(column)
            is_missing = np.isnan(sums)
            if column != "size_MB":
                sums = np.where(is_missing, 0, sums).astype(np.int64)
            return pa.array(sums, mask=is_missing)
        if column == "StudyInstanceUID":
            return self._memory.study_uids.take(pa.array(self._numbers))
        if column in _SEPARATORS[self._level]:
            return pa.array(self._joined(column), pa.string())
        encoded, lowest = self._lowest(column)
        return encoded.values.take(pa.array(lowest, mask=lowest == encoded.missing_code))

    def sort_keys(self, column: str) -> tuple[Array, BoolArray]:
        """Return a column as an array that numpy can sort, and flags of its missing values."""
        if column == "StudyInstanceUID" or column in _SEPARATORS[self._level]:
            texts = np.array(self.values(column), dtype=object)
            is_missing = np.array([text is None for text in texts], dtype=bool)
            return np.where(is_missing, "", texts), is_missing
        if column in _NUMBER_COLUMNS:
            sums = self._sums(column)
            return sums, np.isnan(sums)
        encoded, lowest = self._lowest(column)
        return lowest, lowest == encoded.missing_code

    def lowest_codes(self, column: str) -> Array:
        """Return, for each patient or study, the lowest code of a column in its series (int32)."""
        return self._lowest(column)[1]

    def _lowest(self, column: str) -> tuple[EncodedColumn, Array]:
        encoded, codes = self._memory.encoded_rows(column, self._rows)
        lowest = np.full(len(self._numbers), encoded.missing_code, dtype=np.int32)
        np.minimum.at(lowest, self._places, codes.astype(np.int32))
        return encoded, lowest

    def _sums(self, column: str) -> Array:
        """Return a column of counts or sums; NaN where all values are missing."""
        count = len(self._numbers)
        if column == "series":
            return np.bincount(self._places, minlength=count)
        if column == "studies":
            studies = self._memory.study_of_series[self._rows]
            pairs = _distinct(self._places.astype(np.int64) << 32 | studies)
            return np.bincount(pairs >> 32, minlength=count)
        summed = {"size_MB": "series_size_MB", "instances": "instanceCount"}[column]
        numbers = self._memory.series_numbers[summed][self._rows]
        sums = np.bincount(self._places, np.nan_to_num(numbers), count).astype(float)
        present = np.bincount(self._places[~np.isnan(numbers)], minlength=count)
        sums[present == 0] = np.nan
        return sums

    def _joined(self, column: str) -> list[str | None]:
        """Return one text per patient or study: all distinct values of its series, ascending."""
        separator = _SEPARATORS[self._level][column]
        encoded, codes = self._memory.encoded_rows(column, self._rows)
        places, codes = _distinct_pairs(
            self._places, codes, len(self._numbers), encoded.missing_code + 1
        )
        is_present = codes != encoded.missing_code
        texts: list[str | None] = [None] * len(self._numbers)
        value_of_code = encoded.value_of_code
        for place, code in zip(
            places[is_present].tolist(), codes[is_present].tolist(), strict=True
        ):
            text, before = value_of_code[code], texts[place]
            texts[place] = text if before is None else f"{before}{separator}{text}"
        return texts


def _distinct_pairs(
    places: Array, codes: Array, place_count: int, code_count: int
) -> tuple[Array, Array]:
    """Return the distinct pairs of a place and a code, in ascending order."""
    pairs = places.astype(np.int64) * code_count + codes
    if place_count * code_count <= _MAX_FLAGS and len(pairs) > _MAX_SEARCHED:
        flags = np.zeros(place_count * code_count, dtype=bool)
        flags[pairs] = True
        pairs = np.flatnonzero(flags)
    else:
        pairs = _distinct(pairs)
    return np.divmod(pairs, code_count)


def _distinct(numbers: Array) -> Array:
    """Return the distinct numbers in ascending order.

    `np.unique` would import numpy.ma, for which the first screen would wait 40 ms.
    """
    ordered = np.sort(numbers)
    is_first = np.ones(len(ordered), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    distinct: Array = ordered[is_first]
    return distinct


def python_numbers(numbers: Array, column: str) -> list[Any]:
    """Return numbers as Python values: sizes as float, counts as int; None for NaN."""
    kind = float if column in ("size_MB", "series_size_MB") else int
    return [None if math.isnan(number) else kind(number) for number in numbers.tolist()]

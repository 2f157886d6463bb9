"""Random tables of series, as users may pass them, and how they should be read."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from support.bruteforce import NUMBERS, day

from idc_widgets.index import COLUMNS

__all__ = ["as_index", "random_tables", "write_table"]

#: Texts that break careless quoting. Their only control characters are tabs and line ends. No
#: text has a Greek sigma, because its lower case depends on its place in a word.
HOSTILE = (
    *("", " ", "a", "A", "it's", '"quoted"', "a,b", "a, b", ";|\t", "%", "_", "100%_", "\\", "\\n"),
    *("Ä ö", "ß", "日本", "é", "NULL", "None", "nan", "--", "$1", "{x}", "[1]", "line\nbreak"),
    *("' OR 1=1 --", "?", "*", "x" * 300, "0", "true", "\u00a0", "🫁"),
)
IDS = ("P1", "p1", "P'2", "", None, "a, b", "日本", "%", "1")
#: Column → values to draw from.
VALUES: dict[str, Sequence[Any]] = {
    "collection_id": ("nsclc_radiomics", "4d_lung", "nlst", "midi_b_synthetic_validation", *IDS),
    "PatientID": IDS,
    "StudyInstanceUID": ("1.2", "1.2.3", "1.2.30", "A.b", "a.B", "1 2", "", None),
    "analysis_result_id": (None, None, "a", "A", ""),
    "source_DOI": (None, "10.1/x"),
    "PatientAge": (
        *("060Y", "60", "060y", "012M", "001Y", "018M", "1", "010D", "003W", "021D", "", None),
        *("N/A", "0060Y", "-10Y", " 60", "60 Y", "6.5", "٣Y", "000Y", "052W", "999Y"),
    ),
    "PatientSex": ("M", "F", "O", "m", "", None),
    "StudyDate": (
        *(
            "2010-04-01",
            "20100401",
            "2010-04-02",
            "1899-12-31",
            "20240229",
            None,
            None,
            "2009-12-31",
        ),
        *("2010-01-01", "", "2010", "x", "201004011"),
    ),
    "StudyDescription": HOSTILE,
    "BodyPartExamined": ("LUNG", "lung", "", None, "a,b"),
    "Modality": ("CT", "SEG", "SR", "ct", "MR", "", None, "a, b", "ANN", "KO", "REG", "RWV", "OT"),
    "sop_class_name": HOSTILE,
    "transfer_syntax_name": ("x", None),
    "Manufacturer": HOSTILE,
    "ManufacturerModelName": HOSTILE,
    "SeriesDate": ("2010-04-01", "20100401", "2011-04-01", None),
    "SeriesDescription": HOSTILE,
    "SeriesNumber": ("1", "2", "10", "010", "-3", "0", "x", "X", "", None, "99999999999999"),
    "instanceCount": (0, 1, 1, 2, 500, -3, None, 2**40),
    "license_short_name": ("CC BY 4.0", "CC BY-NC 4.0", "cc by-nc", "x-NC", "-nc", "", None),
    "series_init_idc_version": (1, 2, 25, -1, None),
    "aws_bucket": ("b", None),
    "series_size_MB": (0.0, 1.5, 1.5, 1e-6, 1e9, 0.1, 0.2, -1.0, None, math.nan, math.inf),
}


@st.composite
def random_tables(draw: st.DrawFn) -> tuple[pd.DataFrame, bool]:
    """Draw a table, and whether it is written as CSV or as Parquet."""
    count = draw(st.integers(1, 40))
    uids = st.sampled_from(["", None, "a", "A", "x'y"]) | st.integers(0, 200).map("1.2.{}".format)
    unique = st.lists(uids, min_size=count, max_size=count, unique_by=lambda uid: uid or "")
    columns: dict[str, list[Any]] = {"SeriesInstanceUID": draw(unique)}
    keys = ("collection_id", "PatientID", "StudyInstanceUID")
    optional = draw(st.lists(st.sampled_from([*VALUES]), unique=True, min_size=len(VALUES) // 2))
    for name in dict.fromkeys([*keys, *optional]):
        # Few values per column, so that rows are often alike.
        values = draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=6))
        some = st.sampled_from(values)
        columns[name] = draw(st.lists(some, min_size=count, max_size=count))
    frame = pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})
    return frame, draw(st.booleans())


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, depending on the suffix."""
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(frame.columns)
            writer.writerows(frame.itertuples(index=False))
        return
    types = {**dict.fromkeys(NUMBERS, pa.int64()), "series_size_MB": pa.float64()}
    arrays = {name: pa.array(frame[name].tolist(), types.get(name, pa.string())) for name in frame}
    pq.write_table(pa.table(arrays), path)


def as_index(frame: pd.DataFrame, is_csv: bool) -> pd.DataFrame:
    """Return the rows of the index that the package should make from a user's own table."""
    columns: dict[str, list[Any]] = {}
    for name in COLUMNS:
        values: list[Any] = frame[name].tolist() if name in frame else [None] * len(frame)
        if name in NUMBERS:
            values = [
                None if value is None or not math.isfinite(value) or value < 0 else value
                for value in values
            ]
        elif is_csv:
            values = [value or None for value in values]
        if "Date" in name:
            values = [day(value) for value in values]
        if name in ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id"):
            values = [value or "" for value in values]
        columns[name] = values
    return pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})

"""Compare ways to hold the index in memory by the time that they take to count facets.

Each layout counts the series and patients per value of all facets that are columns of the index,
under the same four filters, which apply to all facets alike. Each layout runs in a process of its
own, and all layouts must return the same counts. Then the benchmark compares DuckDB on the file
with the layout of idc_widgets in sorting, in reading a window of rows, and in finding pasted UIDs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from _measure import ProcessMemory, answer, heading, in_a_process, number, print_table, task

#: The facets that are counted.
COLUMNS = (
    "collection_id",
    "Modality",
    "BodyPartExamined",
    "PatientSex",
    "Manufacturer",
    "license_short_name",
    "analysis_result_id",
    "ManufacturerModelName",
    "sop_class_name",
    "transfer_syntax_name",
    "series_init_idc_version",
)

#: Name of a state → its filters, as arguments of `IDCClient.cohort`.
STATES: dict[str, dict[str, Any]] = {
    "no filter": {},
    "nlst": {"collection_id": "nlst"},
    "CT, F": {"Modality": "CT", "PatientSex": "F"},
    "“lung”": {"text": "lung"},
}

#: A measurement is repeated at most for this long.
MAX_SECONDS = 5

PATIENT = "(collection_id, PatientID)"

#: The order of series in SQL, as in `Cohort.series`.
SERIES_ORDER = (
    "collection_id, PatientID, StudyDate, StudyDescription, StudyInstanceUID, Modality,"
    " TRY_CAST(SeriesNumber AS BIGINT), SeriesDescription, SeriesInstanceUID"
)

#: The order of series in the window of the benchmark.
BY_DESCRIPTION = f"ORDER BY SeriesDescription NULLS LAST, {SERIES_ORDER}"

#: The same query on the file, and in memory.
Pair = tuple[Callable[[], object], Callable[[], object]]

#: Column → value → number of series and of patients.
Counts = dict[str, dict[Any, tuple[int, int]]]


class Layout:
    """A way to hold the index and to count facets."""

    def __init__(self) -> None:
        """Prepare everything for the first count."""
        from idc_widgets import IDCClient

        self.client = IDCClient()

    def count(self, state: dict[str, Any]) -> Counts:
        """Count all facets under these filters."""
        raise NotImplementedError

    def held(self) -> float | None:
        """Return the memory in MB that the layout holds; None if unknown."""
        return None


# --- DuckDB on the file --------------------------------------------------------------------


class ParquetByFacet(Layout):
    """DuckDB, the Parquet in place: a query per facet"""

    def count(self, state: dict[str, Any]) -> Counts:
        where, params = self.client.cohort(**state).predicate
        return {
            column: _counts(
                self.client.engine.rows(
                    f"SELECT {column}, count(*), count(DISTINCT {PATIENT}) FROM index"
                    f" WHERE {where} GROUP BY 1",
                    params,
                )
            )
            for column in COLUMNS
        }


class ParquetAtOnce(Layout):
    """DuckDB, the Parquet in place: GROUPING SETS"""

    def count(self, state: dict[str, Any]) -> Counts:
        where, params = self.client.cohort(**state).predicate
        sql = _grouping_sets(f"index WHERE {where}", "count(*)", PATIENT)
        return _by_column(self.client.engine.rows(sql, params))


# --- DuckDB on tables in memory ------------------------------------------------------------


class EnumByFacet(Layout):
    """DuckDB, a table of ENUMs: a query per facet"""

    #: The table, and the SQL that counts its series.
    table, series = "codes", "count(*)"

    def __init__(self) -> None:
        super().__init__()
        import duckdb

        self.database = duckdb.connect(":memory:")
        self.database.execute("SET enable_progress_bar = false")
        path = str(self.client.engine.plain_parquet)
        self.database.execute(
            "CREATE VIEW file AS SELECT *, file_row_number AS _row"
            f" FROM read_parquet('{path}', file_row_number = true)"
        )
        columns = []
        for name in COLUMNS:
            values = f"SELECT DISTINCT {name}::VARCHAR FROM file WHERE {name} IS NOT NULL"
            self.database.execute(f"CREATE TYPE _{name} AS ENUM ({values} ORDER BY 1)")
            columns.append(f"CAST(file.{name}::VARCHAR AS _{name}) AS {name}")
        self.database.execute(
            "CREATE TABLE codes AS WITH patients AS"
            " (SELECT collection_id, PatientID, min(_row) AS patient FROM file GROUP BY ALL)"
            f" SELECT CAST(_row AS INTEGER) AS _row, {', '.join(columns)},"
            " CAST(patient AS INTEGER) AS patient"
            " FROM file JOIN patients USING (collection_id, PatientID)"
        )

    def rows(self, state: dict[str, Any]) -> tuple[str, list[Any]]:
        """Return the SQL of the matching rows, and its parameters; only the file has the texts."""
        cohort = self.client.cohort(**state)
        where, params = cohort.predicate
        if "text" in state:
            where = f"_row IN (SELECT _row FROM file WHERE {where})"
        return f"{self.table} WHERE {where}", params

    def count(self, state: dict[str, Any]) -> Counts:
        rows, params = self.rows(state)
        return {
            column: _counts(
                self.database.execute(
                    f"SELECT {column}, {self.series}, count(DISTINCT patient) FROM {rows}"
                    " GROUP BY 1",
                    params,
                ).fetchall()
            )
            for column in COLUMNS
        }

    def held(self) -> float:
        [(size,)] = self.database.execute(
            "SELECT sum(memory_usage_bytes) FROM duckdb_memory()"
        ).fetchall()
        return float(size) / 1e6


class EnumAtOnce(EnumByFacet):
    """DuckDB, a table of ENUMs: GROUPING SETS"""

    def count(self, state: dict[str, Any]) -> Counts:
        rows, params = self.rows(state)
        sql = _grouping_sets(rows, self.series, "patient")
        return _by_column(self.database.execute(sql, params).fetchall())


class GroupsByFacet(EnumByFacet):
    """DuckDB, groups of equal facets and patient: a query per facet"""

    table, series = "groups", "CAST(sum(series) AS BIGINT)"

    def __init__(self) -> None:
        super().__init__()
        keys = ", ".join([*COLUMNS, "patient"])
        self.database.execute(
            f"CREATE TABLE groups AS SELECT {keys}, count(*) AS series,"
            " CAST(row_number() OVER () AS INTEGER) AS id FROM codes GROUP BY ALL"
        )
        same = " AND ".join(
            f"codes.{name} IS NOT DISTINCT FROM groups.{name}" for name in (*COLUMNS, "patient")
        )
        self.database.execute(
            "CREATE TABLE group_of AS SELECT _row, id FROM codes JOIN groups ON " + same
        )
        self.database.execute("DROP TABLE codes")

    def rows(self, state: dict[str, Any]) -> tuple[str, list[Any]]:
        where, params = self.client.cohort(**state).predicate
        if "text" not in state:
            return f"groups WHERE {where}", params
        columns = ", ".join(COLUMNS)
        return (
            f"(SELECT {columns}, patient, matches.series FROM groups JOIN"
            " (SELECT id, count(*) AS series FROM group_of WHERE _row IN"
            f" (SELECT _row FROM file WHERE {where}) GROUP BY id) AS matches USING (id))",
            params,
        )


class GroupsAtOnce(GroupsByFacet):
    """DuckDB, groups of equal facets and patient: GROUPING SETS"""

    count = EnumAtOnce.count


# --- pandas --------------------------------------------------------------------------------


class Categories(Layout):
    """pandas, categories: groupby"""

    def __init__(self) -> None:
        super().__init__()
        texts = ("StudyDescription", "SeriesDescription", "PatientID")
        names = ", ".join([*COLUMNS, *texts])
        frame = self.client.sql(f"SELECT {names} FROM index")
        patients = frame.groupby(["collection_id", "PatientID"], observed=True).ngroup()
        self.frame = frame.astype(dict.fromkeys([*COLUMNS, *texts], "category"))
        self.frame["patient"] = patients.astype("int32")

    def count(self, state: dict[str, Any]) -> Counts:
        import numpy as np

        frame = self.frame
        kept = np.ones(len(frame), dtype=bool)
        for column, value in state.items():
            if column == "text":
                kept &= self._has_word(value)
            else:
                kept &= (frame[column] == value).to_numpy()
        frame = frame[kept] if state else frame
        counts = {}
        for column in COLUMNS:
            by_value = frame.groupby(column, observed=True, dropna=False)["patient"]
            both = by_value.agg(["size", "nunique"])
            counts[column] = {
                None if value != value else value: (int(series), int(patients))
                for value, series, patients in both.itertuples()
            }
        return counts

    def _has_word(self, word: str) -> Any:
        import numpy as np

        matches = np.zeros(len(self.frame), dtype=bool)
        for column in ("collection_id", "PatientID", "StudyDescription", "SeriesDescription"):
            values = self.frame[column].cat
            flags = values.categories.str.lower().str.contains(word, regex=False)
            matches |= np.append(flags, False)[values.codes]
        return matches

    def held(self) -> float:
        return float(self.frame.memory_usage(deep=True).sum()) / 1e6


# --- numpy ---------------------------------------------------------------------------------


class Groups(Layout):
    """numpy, groups of equal facets and patient (idc_widgets)"""

    def __init__(self) -> None:
        super().__init__()
        from idc_widgets.query.memory.loading import memory_index_of

        self.memory = memory_index_of(self.client.engine)

    def count(self, state: dict[str, Any]) -> Counts:
        self.memory.forget_recent()  # nothing is cached
        matches = self.client.cohort(**state).matches
        return {
            column: {
                value: (series, patients)
                for value, series, patients in matches.count_values(column)
            }
            for column in COLUMNS
        }

    def held(self) -> float:
        return _held(self.memory)


class Series(Groups):
    """numpy, series"""

    def __init__(self) -> None:
        super().__init__()
        import numpy as np

        memory = self.memory
        # `arrays` has three arrays per column. The first two have one number per series: the code
        # of its value, and the number of its pair (value, patient). The third has the value of
        # each pair.
        self.coded, self.arrays = {}, {}
        for column in COLUMNS:
            pair, value_of_pair = memory.value_patient_pairs[column]
            coded = memory.group_columns[column]
            codes = coded.codes[memory.group_of_series]
            self.coded[column] = coded
            self.arrays[column] = (
                codes,
                pair[memory.group_of_series].astype(np.int32),
                value_of_pair,
            )

    def count(self, state: dict[str, Any]) -> Counts:
        import numpy as np

        self.memory.forget_recent()
        rows = None
        if state:
            flags = np.ones(self.memory.series_count, dtype=bool)
            for column, value in state.items():
                if column == "text":
                    [condition] = self.client.cohort(text=value).conditions
                    flags &= self.memory.mask_of(condition).per_series
                else:
                    flags &= self.coded[column].codes_in([value])[self.arrays[column][0]]
            rows = np.flatnonzero(flags)
        counts: Counts = {}
        for column in COLUMNS:
            codes, pair, value_of_pair = self.arrays[column]
            many = len(self.coded[column].values) + 1
            if rows is not None:
                codes, pair = codes[rows], pair[rows]
            series = np.bincount(codes, minlength=many)
            seen = np.zeros(len(value_of_pair), dtype=bool)
            seen[pair] = True
            patients = np.bincount(value_of_pair[seen], minlength=many)
            texts = self.coded[column].value_of_code
            counts[column] = {
                texts[code]: (int(series[code]), int(patients[code]))
                for code in np.flatnonzero(series)
            }
        return counts

    def held(self) -> float:
        arrays = [array for arrays in self.arrays.values() for array in arrays]
        return sum(array.nbytes for array in arrays) / 1e6


LAYOUTS: tuple[type[Layout], ...] = (
    ParquetByFacet,
    ParquetAtOnce,
    EnumByFacet,
    EnumAtOnce,
    GroupsByFacet,
    GroupsAtOnce,
    Categories,
    Series,
    Groups,
)


def main() -> None:
    todo = task()
    if todo is not None:
        name, turns = todo["what"], todo["turns"]
        by_name = {layout.__name__: layout for layout in LAYOUTS}
        answer(others(turns) if name == "others" else measure(by_name[name], turns))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--turns", type=int, default=3, help="repetitions of each count (%(default)s)"
    )
    turns = parser.parse_args().turns

    results = {}
    with tempfile.TemporaryDirectory() as folder:
        # An empty cache, so that the cost of preparing one is measured.
        os.environ["IDC_WIDGETS_CACHE_DIR"] = folder
        for layout in LAYOUTS:
            print(f"... {layout.__doc__}", file=sys.stderr)
            todo = {"what": layout.__name__, "turns": turns}
            results[layout.__doc__] = in_a_process(__file__, todo)
        rest = in_a_process(__file__, {"what": "others", "turns": turns})
    answers = {json.dumps(result["answers"]) for result in results.values()}
    assert len(answers) == 1, f"the layouts do not agree: {answers}"

    limit = rest["limit"] * 1e3
    heading(
        f"{len(COLUMNS)} facets, series and patients per value, by layout "
        f"(ms, medians of {turns} turns)"
    )
    table = []
    for name, result in results.items():
        times = [median(result["seconds"][state]) * 1e3 for state in STATES]
        held = "" if result["held"] is None else number(result["held"])
        figures = [number(result["build"]), held, number(result["peak"])]
        table.append([str(name), *map(number, times), f"{times[0] / limit:,.0f}", *figures])
    names = [*STATES, "no filter / limit", "prepared in, s", "holds, MB", "peak RSS, MB"]
    print_table(["layout", *names], table)
    print(f"\nlimit: numpy counts one column of codes of all series in {number(limit)} ms")
    print_table(
        ["other queries, ms", "DuckDB on the file", "in memory", "ratio"],
        [
            [name, number(theirs * 1e3), number(ours * 1e3), number(theirs / ours)]
            for name, theirs, ours in rest["rows"]
        ],
    )
    print()


def measure(layout: type[Layout], turns: int) -> dict[str, Any]:
    """Measure the time and memory of one layout."""
    before = time.perf_counter()
    held = layout()
    held.count({})  # includes what is prepared at the first count
    build = time.perf_counter() - before
    peak = ProcessMemory.of_this_process().peak
    answers, seconds = [], {}
    for name, state in STATES.items():
        answers.append(_fingerprint(held.count(state)))
        seconds[name] = _seconds(lambda state=state: held.count(state), turns)
    return {
        "build": build,
        "held": held.held(),
        "peak": peak,
        "answers": answers,
        "seconds": seconds,
    }


def others(turns: int) -> dict[str, Any]:
    """Measure a bare scan; then a sort, a window and a UID look-up, on the file and in memory."""
    import numpy as np

    from idc_widgets import IDCClient
    from idc_widgets.query.memory.loading import memory_index_of

    client = IDCClient()
    memory = memory_index_of(client.engine)
    codes = memory.group_columns["Modality"].codes[memory.group_of_series]
    limit = median(_seconds(lambda: np.bincount(codes, minlength=256), 51))
    pairs = {**_sorts_and_windows(client, memory), **_uid_lookup(client, memory)}
    return {
        "limit": limit,
        "rows": [
            # The first turn fills caches and is left out.
            [name, *(median(_seconds(query, turns + 1)[-turns:]) for query in both)]
            for name, both in pairs.items()
        ],
    }


def _sorts_and_windows(client: Any, memory: Any) -> dict[str, Pair]:
    """Return what is sorted and shown → the query on the file, and that in memory."""
    from idc_widgets.query import Sort, row_source
    from idc_widgets.widgets.grid.columns import USUAL_COLUMNS

    engine, everything = client.engine, client.cohort()
    names = [column.name for column in USUAL_COLUMNS["series"]]
    unsorted = row_source(everything, "series", columns=names)
    rows = row_source(everything, "series", Sort("SeriesDescription"), columns=names)
    columns = ", ".join(names)
    middle = memory.series_count // 2
    shown = f"SELECT {columns} FROM _rows {BY_DESCRIPTION} LIMIT 40 OFFSET {middle}"
    window = rows.window(middle, middle + 40)
    as_shown = [dict(zip(window, row, strict=True)) for row in zip(*window.values(), strict=True)]
    assert engine.query(shown).to_pylist() == as_shown, "the two windows differ"
    return {
        "all series by SeriesDescription": (
            lambda: engine.query(f"SELECT _row FROM _rows {BY_DESCRIPTION}"),
            lambda: row_source(everything, "series", Sort("SeriesDescription")),
        ),
        "all series by size": (
            lambda: engine.query(f"SELECT _row FROM _rows ORDER BY series_size_MB, {SERIES_ORDER}"),
            lambda: row_source(everything, "series", Sort("series_size_MB")),
        ),
        f"40 rows from {middle:,} on, without a sort": (
            lambda: engine.query(
                f"SELECT {columns} FROM _rows ORDER BY {SERIES_ORDER} LIMIT 40 OFFSET {middle}"
            ),
            lambda: unsorted.window(middle, middle + 40),
        ),
        f"40 rows from {middle:,} on, by SeriesDescription": (
            lambda: engine.query(shown),
            lambda: rows.window(middle, middle + 40),
        ),
    }


def _uid_lookup(client: Any, memory: Any) -> dict[str, Pair]:
    """Return the look-up of many UIDs on the file, and that in memory."""
    import numpy as np

    engine = client.engine
    every = engine.query(f"SELECT SeriesInstanceUID FROM _rows {BY_DESCRIPTION}").column(0)
    uids = every.take(np.random.default_rng(1).permutation(len(every))[:50_000]).to_pylist()
    by_uid = "SELECT _row FROM _rows WHERE SeriesInstanceUID IN (SELECT unnest(?)) ORDER BY 1"
    rows_of_uids = engine.query(by_uid, [uids]).column(0).to_numpy()
    assert np.array_equal(rows_of_uids, np.sort(memory.rows_of_series(uids))), "UIDs differ"
    return {
        "50,000 SeriesInstanceUIDs": (
            lambda: engine.query(by_uid, [uids]),
            lambda: memory.rows_of_series(uids),
        ),
    }


def _seconds(query: Callable[[], object], turns: int) -> list[float]:
    """Return the time of each turn; slow queries have fewer turns."""
    seconds: list[float] = []
    while len(seconds) < turns and sum(seconds) < MAX_SECONDS:
        before = time.perf_counter()
        query()
        seconds.append(time.perf_counter() - before)
    return seconds


def _counts(rows: Sequence[tuple[Any, int, int]]) -> dict[Any, tuple[int, int]]:
    return {value: (series, patients) for value, series, patients in rows}


def _grouping_sets(rows: str, series: str, patient: str) -> str:
    """Return one query for all facets; its first column tells the facet of a row."""
    keys = ", ".join(COLUMNS)
    sets = ", ".join(f"({column})" for column in COLUMNS)
    return (
        f"SELECT GROUPING({keys}), {keys}, {series}, count(DISTINCT {patient}) FROM {rows}"
        f" GROUP BY GROUPING SETS ({sets})"
    )


def _by_column(rows: Sequence[tuple[Any, ...]]) -> Counts:
    counts: Counts = {column: {} for column in COLUMNS}
    # GROUPING has one bit per column, the highest bit for the first column. A bit is 0 if rows are
    # grouped by its column.
    all_bits = (1 << len(COLUMNS)) - 1
    index_of = {all_bits ^ 1 << (len(COLUMNS) - 1 - index): index for index in range(len(COLUMNS))}
    for grouping, *values, series, patients in rows:
        index = index_of[grouping]
        counts[COLUMNS[index]][values[index]] = (series, patients)
    return counts


def _fingerprint(counts: Counts) -> str:
    """Return a hash of the counts."""
    lines = [
        f"{column}\t{value}\t{series}\t{patients}"
        for column in COLUMNS
        for value, (series, patients) in counts[column].items()
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _held(memory: Any) -> float:
    """Return the memory in MB of all arrays of an in-memory index."""
    import numpy as np
    import pyarrow as pa

    total, todo, seen = 0, [vars(memory)], set()
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, (np.ndarray, pa.Array)):
            total += part.nbytes
        elif isinstance(part, dict):
            todo += part.values()
        elif isinstance(part, (list, tuple)):
            todo += part
        elif type(part).__name__ in ("EncodedColumn", "Mask", "Matches", "Recent"):
            todo.append(vars(part))
    return total / 1e6


if __name__ == "__main__":
    main()

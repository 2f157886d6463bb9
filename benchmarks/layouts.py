"""Which layout answers the facets quickest: the numbers behind docs/performance.md.

All facets that are columns of the index, each value with its series and its patients, are counted
by each layout under the same four filters (of all facets alike: no cross-filter here). A layout has
a process of its own, which holds nothing else; before it is timed, its counts are looked at: all
layouts must agree. Then what grids and pasted lists need: an order, a window, a look-up.
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

#: What is counted.
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

#: The filters: a name, and what the client takes.
STATES: dict[str, dict[str, Any]] = {
    "no filter": {},
    "nlst": {"collection_id": "nlst"},
    "CT, F": {"Modality": "CT", "PatientSex": "F"},
    "“lung”": {"text": "lung"},
}

#: Seconds after which a question is asked no more.
PATIENCE = 5

PATIENT = "(collection_id, PatientID)"

#: Column → value → its series and its patients.
Counts = dict[str, dict[Any, tuple[int, int]]]


class Layout:
    """One way to hold the index, and to count in it."""

    def __init__(self) -> None:
        """Gets all ready for the first question."""
        from idc_widgets import IDCClient

        self.client = IDCClient()

    def count(self, state: dict[str, Any]) -> Counts:
        """All facets under these filters."""
        raise NotImplementedError

    def held(self) -> float | None:
        """MB that it holds beside the file, as far as it can tell itself."""
        return None


# --- DuckDB on the file --------------------------------------------------------------------


class ParquetByFacet(Layout):
    """DuckDB, the Parquet in place: a query a facet"""

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
    """DuckDB, a table of ENUMs: a query a facet"""

    #: The table, and how its series are counted.
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
        """What to count in, and its parameters: the file is asked for a text, the table else."""
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
    """DuckDB, groups of equal facets and patient: a query a facet"""

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
            f"(SELECT {columns}, patient, found.series FROM groups JOIN"
            " (SELECT id, count(*) AS series FROM group_of WHERE _row IN"
            f" (SELECT _row FROM file WHERE {where}) GROUP BY id) AS found USING (id))",
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
                kept &= self._found(value)
            else:
                kept &= (frame[column] == value).to_numpy()
        frame = frame[kept] if state else frame
        found = {}
        for column in COLUMNS:
            by_value = frame.groupby(column, observed=True, dropna=False)["patient"]
            both = by_value.agg(["size", "nunique"])
            found[column] = {
                None if value != value else value: (int(series), int(patients))
                for value, series, patients in both.itertuples()
            }
        return found

    def _found(self, word: str) -> Any:
        import numpy as np

        found = np.zeros(len(self.frame), dtype=bool)
        for column in ("collection_id", "PatientID", "StudyDescription", "SeriesDescription"):
            values = self.frame[column].cat
            flags = values.categories.str.lower().str.contains(word, regex=False)
            found |= np.append(flags, False)[values.codes]
        return found

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
        self.memory.forget_recent()  # every question is the first one
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
        # Per column: of each series its value, and its pair of value and patient.
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
        found: Counts = {}
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
            found[column] = {
                texts[code]: (int(series[code]), int(patients[code]))
                for code in np.flatnonzero(series)
            }
        return found

    def held(self) -> float:
        arrays = [array for three in self.arrays.values() for array in three]
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
    parser.add_argument("--turns", type=int, default=3, help="of each question (%(default)s)")
    turns = parser.parse_args().turns

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        # What an earlier session prepared would hide what it costs to make.
        os.environ["IDC_WIDGETS_CACHE_DIR"] = folder
        for layout in LAYOUTS:
            print(f"... {layout.__doc__}", file=sys.stderr)
            todo = {"what": layout.__name__, "turns": turns}
            found[layout.__doc__] = in_a_process(__file__, todo)
        rest = in_a_process(__file__, {"what": "others", "turns": turns})
    answers = {json.dumps(one["answers"]) for one in found.values()}
    assert len(answers) == 1, f"they do not agree: {answers}"

    limit = rest["limit"] * 1e3
    heading(
        f"{len(COLUMNS)} facets, series and patients of each value, by layout "
        f"(ms, medians of {turns} turns)"
    )
    table = []
    for name, one in found.items():
        times = [median(one["seconds"][state]) * 1e3 for state in STATES]
        held = "" if one["held"] is None else number(one["held"])
        figures = [number(one["build"]), held, number(one["peak"])]
        table.append([str(name), *map(number, times), f"{times[0] / limit:,.0f}", *figures])
    names = [*STATES, "no filter / limit", "made in, s", "holds, MB", "peak RSS, MB"]
    print_table(["layout", *names], table)
    print(f"\nlimit: one column of codes of all series counted with numpy, {number(limit)} ms")
    print_table(
        ["beside facets, ms", "DuckDB on the file", "in memory", "ratio"],
        [
            [name, number(theirs * 1e3), number(ours * 1e3), number(theirs / ours)]
            for name, theirs, ours in rest["rows"]
        ],
    )
    print()


def measure(layout: type[Layout], turns: int) -> dict[str, Any]:
    """What one layout costs and takes."""
    before = time.perf_counter()
    held = layout()
    held.count({})  # what is made at the first question
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
    """The bare scan; then an order, a window and a look-up: of the file, and in memory."""
    import numpy as np

    from idc_widgets import IDCClient
    from idc_widgets.query import Sort, row_source
    from idc_widgets.query.memory.loading import memory_index_of
    from idc_widgets.widgets.grid.columns import COLUMNS as GRID

    client = IDCClient()
    engine, memory = client.engine, memory_index_of(client.engine)
    codes = memory.group_columns["Modality"].codes[memory.group_of_series]
    limit = median(_seconds(lambda: np.bincount(codes, minlength=256), 51))

    everything = client.cohort()
    everything_rows = row_source(everything, "series")
    columns = ", ".join(column.name for column in GRID["series"])
    middle = memory.series_count // 2
    sort = "ORDER BY SeriesDescription NULLS LAST, _row"
    rows = row_source(everything, "series", Sort("SeriesDescription"))
    every = engine.query(f"SELECT SeriesInstanceUID FROM _rows {sort}").column(0)
    shown = engine.query(f"SELECT {columns} FROM _rows {sort} LIMIT 40 OFFSET {middle}").to_pylist()
    window = rows.window(middle, middle + 40)
    as_shown = [dict(zip(window, row, strict=True)) for row in zip(*window.values(), strict=True)]
    assert shown == as_shown, "they do not agree on a window"
    uids = every.take(np.random.default_rng(1).permutation(len(every))[:50_000]).to_pylist()
    asked = "SELECT _row FROM _rows WHERE SeriesInstanceUID IN (SELECT unnest(?)) ORDER BY 1"
    found = engine.query(asked, [uids]).column(0).to_numpy()
    assert np.array_equal(found, np.sort(memory.rows_of_series(uids))), "they do not agree on UIDs"

    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "all series by SeriesDescription": (
            lambda: engine.query(f"SELECT _row FROM _rows {sort}"),
            lambda: row_source(everything, "series", Sort("SeriesDescription")),
        ),
        "all series by size": (
            lambda: engine.query("SELECT _row FROM _rows ORDER BY series_size_MB, _row"),
            lambda: row_source(everything, "series", Sort("series_size_MB")),
        ),
        f"40 rows from {middle:,} on, as they are": (
            lambda: engine.query(f"SELECT {columns} FROM _rows LIMIT 40 OFFSET {middle}"),
            lambda: everything_rows.window(middle, middle + 40),
        ),
        f"40 rows from {middle:,} on, by SeriesDescription": (
            lambda: engine.query(f"SELECT {columns} FROM _rows {sort} LIMIT 40 OFFSET {middle}"),
            lambda: rows.window(middle, middle + 40),
        ),
        "50,000 SeriesInstanceUIDs": (
            lambda: engine.query(asked, [uids]),
            lambda: memory.rows_of_series(uids),
        ),
    }
    return {
        "limit": limit,
        "rows": [
            # The first of each is not counted: it fills caches.
            [name, *(median(_seconds(ask, turns + 1)[-turns:]) for ask in both)]
            for name, both in pairs.items()
        ],
    }


def _seconds(ask: Callable[[], object], turns: int) -> list[float]:
    """How long each turn took; fewer turns of what is slow anyway."""
    found: list[float] = []
    while len(found) < turns and sum(found) < PATIENCE:
        before = time.perf_counter()
        ask()
        found.append(time.perf_counter() - before)
    return found


def _counts(rows: Sequence[tuple[Any, int, int]]) -> dict[Any, tuple[int, int]]:
    return {value: (series, patients) for value, series, patients in rows}


def _grouping_sets(rows: str, series: str, patient: str) -> str:
    """One query for all facets, and which of them a row is about."""
    keys = ", ".join(COLUMNS)
    sets = ", ".join(f"({column})" for column in COLUMNS)
    return (
        f"SELECT GROUPING({keys}), {keys}, {series}, count(DISTINCT {patient}) FROM {rows}"
        f" GROUP BY GROUPING SETS ({sets})"
    )


def _by_column(rows: Sequence[tuple[Any, ...]]) -> Counts:
    found: Counts = {column: {} for column in COLUMNS}
    # The bit of a column is unset where rows are grouped by it; the first has the highest.
    every = (1 << len(COLUMNS)) - 1
    place = {every ^ 1 << (len(COLUMNS) - 1 - at): at for at in range(len(COLUMNS))}
    for which, *values, series, patients in rows:
        at = place[which]
        found[COLUMNS[at]][values[at]] = (series, patients)
    return found


def _fingerprint(counts: Counts) -> str:
    """The same for the same counts."""
    lines = [
        f"{column}\t{value}\t{two[0]}\t{two[1]}"
        for column in COLUMNS
        for value, two in counts[column].items()
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _held(memory: Any) -> float:
    """MB of all arrays that the memory of an engine has."""
    import numpy as np
    import pyarrow as pa

    total, todo, seen = 0, [vars(memory)], set()
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, (np.ndarray, pa.Array)):
            total += one.nbytes
        elif isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, (list, tuple)):
            todo += one
        elif type(one).__name__ in ("EncodedColumn", "Mask", "Matches", "Recent"):
            todo.append(vars(one))
    return total / 1e6


if __name__ == "__main__":
    main()

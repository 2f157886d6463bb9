"""The SQL for BigQuery. No test can run it, but every query must parse as SQL of BigQuery."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ibis
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from idc_widgets import IbisEngine, IDCClient, InvalidQueryError
from idc_widgets.index import COLUMNS, FACETS, LEVELS, MORE_FACETS, RANGES
from idc_widgets.query.sql_translation import translate

TYPES = {"VARCHAR": "string", "BIGINT": "int64", "DOUBLE": "float64"}
TABLE = "my-project.my_dataset.idc_index"
UID = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


class RecordingEngine(IbisEngine):
    """Records the SQL for BigQuery, and takes the results from DuckDB."""

    def __init__(self, client: IDCClient) -> None:
        schema = {name: TYPES[column.sql_type] for name, column in COLUMNS.items()}
        # In BigQuery, columns of dates usually have the type DATE.
        table = ibis.table({**schema, "StudyDate": "date", "series_size_MB": "decimal"})
        con: Any = SimpleNamespace(
            name="bigquery", dialect="bigquery", table=lambda name, database: table
        )
        super().__init__(con, TABLE)
        self.client = client
        self.queries: list[str] = []

    def query(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        if "collections_index" not in sql:
            self.queries.append(translate(sql, params, self._relations, "bigquery"))
        return self.client.engine.query(sql, params)


@pytest.fixture(scope="module")
def queries(client: IDCClient) -> list[str]:
    """Return every kind of filter and query as SQL for BigQuery."""
    engine = RecordingEngine(client)
    bigquery = IDCClient(engine=engine)
    rows = client.engine.rows("SELECT DISTINCT collection_id, PatientID FROM index LIMIT 60")
    cohort = bigquery.cohort(
        collection_id=["nsclc_radiomics", "rider_lung_ct"],
        Modality=["CT", None],
        PatientAge=("006M", 80),
        StudyDate=("2000-01-01", None),
        series_size_MB=(0.5, 99.5),
        instanceCount=(2, None),
        text="lung it's%",
        uids=[UID],
        having=[{"Modality": "SEG"}, {"Modality": "CT", "level": "patient"}],
        any_of=[{"Modality": "SEG", "PatientSex": "F"}, {"original": True}],
        cancer_types="Lung Cancer",
        commercial_use=[False, None],
    )
    for queried in (bigquery.cohort(), cohort, bigquery.cohort(patients=rows)):
        queried.summary()
        queried.facets((*FACETS, *MORE_FACETS))
        for column in RANGES:
            queried.histogram(column)
    ct = bigquery.cohort(Modality="CT")
    choices = [ct.sample(9, random_state=1), ct.largest(2), ct.latest(), ~ct | ct.earliest()]
    for queried in (*choices, *ct.split(a=0.5, b=0.5, stratify="PatientSex").values()):
        queried.histogram("PatientAge", unit="patients")
        queried.value_counts("Modality", "original", unit="studies")
        assert len(queried.flow()) > 1
    for level in LEVELS:
        cohort.level_sql(level)
        engine.query(*cohort.level_sql(level))
    selection = bigquery.cohort(
        SeriesInstanceUID=UID, original=False, having={"uids": UID}
    ).select()
    assert selection.uids == () and selection.viewer_urls() == {}
    bigquery.get_patients("rider_lung_ct")
    bigquery.get_patient_study("rider_lung_ct")
    bigquery.get_series("rider_lung_ct")
    return engine.queries


def test_bigquery_can_parse_every_query(queries: list[str]) -> None:
    assert len(queries) > 50
    for sql in queries:
        [statement] = sqlglot.parse(sql, read="bigquery", error_level=sqlglot.ErrorLevel.RAISE)
        assert {table.sql("bigquery") for table in statement.find_all(exp.Table)} <= {
            "`my-project`.`my_dataset`.`idc_index`"
        }
        # sqlglot does not change the names of functions that it does not know.
        unknown = {str(node.this).upper() for node in statement.find_all(exp.Anonymous)}
        assert unknown <= {"LOG10"}, sql
        assert not statement.find(exp.Placeholder, exp.Parameter)
        for node in statement.find_all(exp.In):
            query = node.args.get("query")
            assert query is None or len(query.this.expressions) == 1
            assert not isinstance(node.this, exp.Tuple)
        for order in statement.find_all(exp.Order):
            if isinstance(order.parent, exp.Select):
                for ordered in order.expressions:
                    assert ordered.args.get("nulls_first") is False or ordered.args.get("desc"), sql


def test_syntax_that_bigquery_lacks_is_replaced(queries: list[str]) -> None:
    everything = "\n".join(queries)
    for name in (
        "TRY_CAST",
        "CONCAT_WS",
        " CONTAINS",
        "CONTAINS_",
        "LISTAGG",
        "UNNEST",
        "VARCHAR",
        "::",
    ):
        assert name not in everything
    for name in ("SAFE_CAST", "INSTR", "REGEXP_CONTAINS", "STRING_AGG", "NULLS LAST", "INT64"):
        assert name in everything
    assert "CAST(`StudyDate` AS STRING) AS `StudyDate`" in everything
    assert "CAST(`series_size_MB` AS FLOAT64) AS `series_size_MB`" in everything
    assert "it\\'s%" in everything


def test_the_shipped_sql_makes_the_table_in_bigquery() -> None:
    spec = importlib.util.find_spec("idc_index_data")
    assert spec is not None and spec.submodule_search_locations
    sql = Path(spec.submodule_search_locations[0], "idc_index.sql").read_text(encoding="utf-8")
    for text in (sql, f"CREATE TABLE `my_dataset.idc_index` AS\n{sql}"):
        [statement] = sqlglot.parse(text, read="bigquery", error_level=sqlglot.ErrorLevel.RAISE)
        select = statement if isinstance(statement, exp.Query) else statement.expression
        assert select.named_selects == list(COLUMNS)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "DELETE"),
        ("SELECT * INTO mine FROM index", "INTO"),
        ("COPY index TO 'file'", "COPY"),
        ("EXPLAIN ANALYZE SELECT 1", "COMMAND"),
        ("SELECT * FROM read_csv('/etc/passwd')", "only tables of the index"),
        ("SELECT * FROM '/etc/passwd'", "unknown table '/etc/passwd'"),
        ("SELECT * FROM other.index", "unknown table 'other.index'"),
        ("SELECT * FROM x WHERE EXISTS (WITH x AS (SELECT 1) SELECT 2)", "unknown table 'x'"),
        ("WITH x AS (SELECT * FROM x) SELECT * FROM x", "unknown table 'x'"),
        ("SELECT ?", "expected a value for each of 1 parameters, got 0"),
        ("SELECT $1", "expected a value"),
        ("", "got 0"),
        ("SELECT 'abc", "tokenizing"),
    ],
)
def test_queries_that_write_or_read_elsewhere_are_refused(sql: str, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        translate(sql, [], {"index": exp.select("*").from_("t")}, "postgres")


def test_values_become_literals_of_the_dialect() -> None:
    relations = {"index": exp.select("*").from_("t")}

    def condition(sql: str, *params: object) -> str:
        return translate(sql, params, relations, "spark").split(" WHERE ")[-1]

    # The first value replaces the first ?, and so on. A ? in a literal or a comment stays as it is.
    sql = "SELECT ?, '?' /* ? */ FROM index WHERE a = ? AND b IN (SELECT unnest(?)) ORDER BY ?"
    text = translate(sql, [1, "?", ["x", "y"], -0.5], relations, "spark")
    assert text.startswith("SELECT 1, '?' FROM")
    assert text.endswith("WHERE `a` = '?' AND `b` IN ('x', 'y') ORDER BY -0.5e0 NULLS LAST")
    assert condition("SELECT 1 FROM index WHERE a IN (SELECT unnest(?))", []) == "FALSE"
    assert condition("SELECT 1 FROM index WHERE a = ?", None) == "`a` = NULL"
    assert condition("SELECT 1 FROM index WHERE a = ?", True) == "`a` = TRUE"
    assert condition("SELECT 1 FROM index WHERE a = ?", "a${b}") == "`a` = ('a' || '$' || '{b}')"
    for value in (float("nan"), b"bytes", object()):
        with pytest.raises(InvalidQueryError, match="cannot be written as SQL"):
            condition("SELECT 1 FROM index WHERE a = ?", value)


def test_hashes_are_hexadecimal_texts(queries: list[str]) -> None:
    # In BigQuery, MD5 returns bytes.
    hashes = [query for query in queries if "MD5(" in query]
    assert len(hashes) > 5
    assert all(query.count("TO_HEX(MD5(") == query.count("MD5(") for query in hashes)

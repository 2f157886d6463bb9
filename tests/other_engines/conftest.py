"""The same index in other databases, each behind a client of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from idc_widgets import IDCClient, Index

# `make test` does without Spark and ibis; `make test-engines` sets the variable, and then what is
# missing is an error, not a skip.
if importlib.util.find_spec("ibis") is None and "IDC_WIDGETS_ENGINES" not in os.environ:
    collect_ignore_glob = ["test_*.py"]


class Database:
    """A connection of ibis, and how a Parquet file becomes one of its tables."""

    def __init__(self, con: Any, read: Callable[[Path, str], object]) -> None:
        self.con, self.read = con, read

    def client(self, path: Path, name: str, **options: Any) -> IDCClient:
        from idc_widgets import IbisEngine

        self.read(path, name)
        return IDCClient(engine=IbisEngine(self.con, name, **options))


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """One session for all tests, in this process' own JVM."""
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        pytest.fail(
            "these tests run Apache Spark, which needs Java 17 or later, and there is none: on "
            "Debian: apt-get install openjdk-17-jre-headless",
            pytrace=False,
        )
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2]")
        .appName("secret of the application")  # see the hostile texts
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.adaptive.enabled", "false")  # planning anew takes longer than it saves
        .config("spark.driver.memory", "2g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture(scope="session", params=["duckdb", "spark"])
def database(request: pytest.FixtureRequest) -> Database:
    import ibis

    if request.param == "duckdb":
        con = ibis.duckdb.connect()
        return Database(con, lambda path, name: con.read_parquet(str(path), table_name=name))
    session = request.getfixturevalue("spark")

    def read(path: Path, name: str) -> None:
        session.read.parquet(str(path)).createOrReplaceTempView(name)
        session.catalog.cacheTable(name)

    return Database(ibis.pyspark.connect(session), read)


@pytest.fixture(scope="session")
def other(database: Database) -> IDCClient:
    """A client of the real index in the other database."""
    return database.client(Index.default().tables["index"], "idc_index", data_version="25.0.5")

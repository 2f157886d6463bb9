"""Fixtures: the same index in other databases, each with its own client."""

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

# `make test` does not need Spark and ibis. `make test-engines` sets IDC_WIDGETS_ENGINES, so that a
# missing package is an error instead of a skip.
if importlib.util.find_spec("ibis") is None and "IDC_WIDGETS_ENGINES" not in os.environ:
    collect_ignore_glob = ["test_*.py"]


class Database:
    """An ibis connection, and the function that makes a Parquet file one of its tables."""

    def __init__(self, con: Any, read: Callable[[Path, str], object]) -> None:
        self.con, self.read = con, read

    def client(self, path: Path, name: str, **options: Any) -> IDCClient:
        from idc_widgets import IbisEngine

        self.read(path, name)
        return IDCClient(engine=IbisEngine(self.con, name, **options))


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """Start one session for all tests, in a JVM of this process."""
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        pytest.fail(
            "these tests run Apache Spark, which needs Java 17 or later: on Debian, run "
            "apt-get install openjdk-17-jre-headless",
            pytrace=False,
        )
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2]")
        .appName("secret of the application")  # a hostile text tries to read it
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.adaptive.enabled", "false")  # re-planning costs more than it saves
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
    """Return a client of the real index in the other database."""
    return database.client(Index.default().tables["index"], "idc_index", data_version="25.0.5")

"""Fixtures of all tests: clients, a small index, a server of tables, Chromium, and the wheel."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browsers import find_chromium
from support.own_table import OwnTable
from support.small_index import installed as installed_package
from support.small_index import write_package
from support.wheel import ROOT, build, install

if TYPE_CHECKING:
    from support.fileserver import FileServer

    from idc_widgets import IDCClient


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if ROOT / "tests" / "browser" in item.path.parents:
            item.add_marker("browser")


def pytest_runtest_setup(item: pytest.Item) -> None:
    # Fail instead of skipping, so that missing browser tests do not go unnoticed.
    if item.get_closest_marker("browser") and find_chromium() is None:
        pytest.fail(
            "this test needs Chromium or Chrome, and none was found: install one (on Debian: "
            "apt-get install chromium), set $CHROMIUM to its path, or run pytest -m 'not browser'",
            pytrace=False,
        )


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Use empty cache and data folders instead of the user's own; return the cache folder."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDC_WIDGETS_CACHE_DIR", str(folder))
        patch.setenv("IDC_WIDGETS_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        patch.setenv("IDC_WIDGETS_AUTO_CACHE", "0")  # no process in the background
        yield folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of Chromium, for Playwright's `executable_path`."""
    path = find_chromium()
    assert path is not None
    return path


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Return the folder in which browser tests leave screenshots."""
    folder = ROOT / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def client():
    """Return a client of the installed index. It cannot change, so all tests share it."""
    from idc_widgets import IDCClient

    return IDCClient()


@pytest.fixture(scope="session")
def small_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the tables of idc-index-data, in which the index is small."""
    return write_package(tmp_path_factory.mktemp("small"))


@pytest.fixture
def small_index(small_package: Path, tmp_path: Path) -> Iterator[Path]:
    """Use a copy of `small_package` that may change, and an empty cache folder; return the copy."""
    package = tmp_path / "idc_index_data"
    shutil.copytree(small_package, package)
    with installed_package(package, tmp_path / "cache"):
        yield package


@pytest.fixture
def own_table(tmp_path: Path) -> OwnTable:
    """Return a function that writes a small table of series and opens a client of it."""
    return OwnTable(tmp_path)


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty data folder, and return the folder in it for tables of this release."""
    from support.table_server import use_data_folder

    return use_data_folder(tmp_path, monkeypatch)


@pytest.fixture
def mirror(data_folder: Path) -> Iterator[FileServer]:
    """Start a server of the tables that can be fetched."""
    from support.table_server import table_server

    with table_server() as server:
        yield server


@pytest.fixture
def own_path(data_folder: Path, tmp_path: Path) -> Path:
    """Write a small table of series and return its path."""
    from support.table_server import write_own_table

    return write_own_table(tmp_path)


@pytest.fixture
def fetching_client(own_path: Path, mirror: FileServer) -> IDCClient:
    """Return a client of `own_path` that fetches tables from `mirror`."""
    from support.table_server import client_of

    return client_of(own_path, mirror.url)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout and return its path."""
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a folder and return it, for PYTHONPATH."""
    return install(wheel, tmp_path_factory.mktemp("installed"))

"""What all tests share: one client, and a real browser for those that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lab import find_chromium
from support.own_table import OwnTable
from support.wheel import ROOT, build, install


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if ROOT / "tests" / "browser" in item.path.parents:
            item.add_marker("browser")


def pytest_runtest_setup(item: pytest.Item) -> None:
    # A failure, not a skip: nobody would notice that what users see is no longer tested.
    if item.get_closest_marker("browser") and find_chromium() is None:
        pytest.fail(
            "this test drives Chromium or Chrome, and there is none: install one (on Debian: "
            "apt-get install chromium), name one in $CHROMIUM, or run pytest -m 'not browser'",
            pytrace=False,
        )


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test sees, or leaves, a copy of the index or a fetched table of whoever runs it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDC_WIDGETS_CACHE_DIR", str(folder))
        patch.setenv("IDC_WIDGETS_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the Chromium to drive, for Playwright's `executable_path`."""
    path = find_chromium()
    assert path is not None
    return path


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where browser tests leave pictures for people to look at."""
    folder = ROOT / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def client():
    """A client of the installed index; nothing can change it, so one serves all tests."""
    from idc_widgets import IDCClient

    return IDCClient()


@pytest.fixture
def own_table(tmp_path: Path) -> OwnTable:
    """Return a function that writes a small table of series and opens a client of it."""
    return OwnTable(tmp_path)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs, for PYTHONPATH."""
    return install(wheel, tmp_path_factory.mktemp("installed"))

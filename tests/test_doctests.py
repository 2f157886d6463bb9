"""Run the examples in the docstrings of the package.

An example can use the names of the module, the public names of `idc_widgets`, and `client`, an
`IDCClient` on the installed index. Examples that need a network are marked ``# doctest: +SKIP``.
"""

from __future__ import annotations

import ast
import doctest
import importlib
from pathlib import Path

import pytest

import idc_widgets

PACKAGE = Path(idc_widgets.__file__).parent
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples(path: Path) -> list[doctest.DocTest]:
    """Return the docstrings of a module that have at least one example to run."""
    parser = doctest.DocTestParser()
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        name = getattr(node, "name", path.stem)
        line = node.body[0].lineno - 1 if node.body else 0
        test = parser.get_doctest(ast.get_docstring(node) or "", {}, name, str(path), line)
        if any(not example.options.get(doctest.SKIP) for example in test.examples):
            found.append(test)
    return found


EXAMPLES = [test for path in sorted(PACKAGE.rglob("*.py")) for test in examples(path)]


def _id(test: doctest.DocTest) -> str:
    return f"{Path(str(test.filename)).relative_to(PACKAGE).as_posix()}:{test.name}"


@pytest.mark.parametrize("test", EXAMPLES, ids=_id)
def test_the_examples_run(
    test: doctest.DocTest, client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")  # a port on which nothing listens
    parts = Path(str(test.filename)).relative_to(PACKAGE.parent).with_suffix("").parts
    module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
    public = {name: getattr(idc_widgets, name) for name in idc_widgets.__all__}
    test.globs = {**vars(module), **public, "client": client}
    report: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append)
    if report:
        pytest.fail("".join(report), pytrace=False)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 10

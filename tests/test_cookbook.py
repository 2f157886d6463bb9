"""Run the examples of docs/cookbook.md, and compare their output with the text."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.s3server import S3Server, series_objects

from idc_widgets import IDCClient

TEXT = (Path(__file__).parents[1] / "docs" / "cookbook.md").read_text(encoding="utf-8")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

#: The lines that all examples need, and then the chapters.
START, *CHAPTERS = re.split(r"^## ", TEXT, flags=re.MULTILINE)


@pytest.fixture
def server(client: IDCClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """Return a server with the files that the cookbook downloads."""
    rows = client.cohort(PatientID="LUNG1-365", Modality="SR").series().to_dict("records")
    with S3Server(series_objects(rows)) as server:
        monkeypatch.setenv("S3_ENDPOINT_URL", server.url)
        yield server


def code_of(text: str) -> str:
    """Return the blocks of code in Markdown, without the text around them."""
    return "\n".join(re.findall(r"^```pycon\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def problems(text: str) -> str:
    """Run the examples of a chapter, and return a report of those that print something else."""
    example = doctest.DocTestParser().get_doctest(
        code_of(START) + code_of(text), {}, text.partition("\n")[0], "docs/cookbook.md", 0
    )
    report: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=report.append)
    return "".join(report)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda text: text.partition("\n")[0])
def test_the_examples_print_what_the_text_shows(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chapter: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = problems(chapter)
    if found:
        pytest.fail(found, pytrace=False)


def test_a_wrong_output_is_found(client: IDCClient) -> None:
    wrong = (
        "Wrong\n\n```pycon\n>>> client.cohort(PatientID='LUNG1-365').summary().series\n13\n```\n"
    )
    assert "Got:\n    12" in problems(wrong)


def test_each_task_has_an_example_and_a_sentence() -> None:
    tasks = [task for chapter in CHAPTERS for task in chapter.split("\n### ")[1:]]
    assert len(tasks) >= 36
    for task in tasks:
        assert re.fullmatch(
            r"[^\n]+\n\n```pycon\n>>> .+?\n```\n\n[A-Z`N].+\.\s*", task, re.DOTALL
        ), task

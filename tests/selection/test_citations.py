"""Citations of a selection, fetched from a resolver of DOIs on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.fileserver import Answer, FileServer, HangUp

from idc_widgets import FetchError, IDCClient, InvalidQueryError


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    with FileServer() as files:
        yield files


def test_a_citation_per_doi(client: IDCClient, server: FileServer) -> None:
    selection = client.cohort(PatientID="LUNG1-365").select()
    dois = [*selection.dois, "10.1148/rg.230180"]
    assert len(dois) > 2
    server.files |= {doi: f"Müller, A.\x1b {doi}.\n".encode() for doi in dois}
    expected = {doi: f"Müller, A.  {doi}." for doi in dois}
    for style, accept in (
        ("apa", "text/x-bibliography; style=apa"),
        ("bibtex", "application/x-bibtex"),
    ):
        server.requests.clear()
        citations = selection.citations(style, resolver=server.url)
        assert citations == expected and list(citations) == dois
        assert [request.accept for request in server.requests] == [accept] * len(dois)
    with pytest.raises(InvalidQueryError, match="is not the name of a style"):
        selection.citations("apa; x", resolver=server.url)
    empty = client.cohort().of_series([]).select()
    assert list(empty.citations(resolver=server.url + "/")) == ["10.1148/rg.230180"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404), "answers HTTP 404"),
        (Answer(200, b"<!DOCTYPE html>"), "something else than a citation"),
        (Answer(200), "something else than a citation"),
        (Answer(200, b"x" * 100_001), "answers with more than 100,000 bytes"),
        (HangUp(), "broke off before it answered"),
    ],
)
def test_a_failed_request_raises_an_error_with_the_doi(
    client: IDCClient, server: FileServer, answer: Answer | HangUp, reason: str
) -> None:
    server.fault = lambda _: answer
    empty = client.cohort().of_series([]).select()
    with pytest.raises(FetchError, match=rf"the citation of 10\.1148/rg\.230180: .*{reason}"):
        empty.citations(resolver=server.url)

"""Manifests as text and as files: encodings, line ends, and sources that are not manifests."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from support.manifests import CT, Series

from idc_widgets import IDCClient, InvalidQueryError


@pytest.mark.parametrize(
    ("encoding", "bom"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("latin-1", b""),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(
    client: IDCClient, rows: list[Series], tmp_path: Path, encoding: str, bom: bytes, end: str
) -> None:
    text = f"# é\x85 ü{end}{CT}{end}\xe9{end}{rows[1].uid}{end}"
    path = tmp_path / "list"
    path.write_bytes(bom + text.encode(encoding))
    manifest = client.read_manifest(path)
    assert set(manifest.selection) == {CT, rows[1].uid}
    assert [(line.number, line.text) for line in manifest.unknown] == [(3, "é")]


def test_sources_that_are_not_a_manifest(client: IDCClient, tmp_path: Path) -> None:
    for text in ("", " ", "\n", "  \n \r\n"):
        with pytest.raises(InvalidQueryError, match="empty"):
            client.read_manifest(text)
    for source in (tmp_path, tmp_path / "none", "none.s5cmd", "x" * 5000, "a\0b", "~a\0b"):
        with pytest.raises(InvalidQueryError, match="is not a file"):
            client.read_manifest(source)
    for wrong in (5, None, b"1.2.3", [CT]):
        with pytest.raises(InvalidQueryError, match="neither a path nor the text"):
            client.read_manifest(wrong)  # type: ignore[arg-type]
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(200_000_001)  # sparse: takes no space on the disk
    with pytest.raises(InvalidQueryError, match=r"a manifest of 200\.0 MB; expected 200\.0 MB"):
        client.read_manifest(large)

"""Manifests of any format: .tcia manifests, and texts of no known format."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.manifests import ADDRESS, CT, EXAMPLES, Series, reasons

from idc_widgets import IDCClient, InvalidQueryError
from idc_widgets.selection.manifests import UnknownLine


def test_tcia_manifests(client: IDCClient, rows: list[Series], tmp_path: Path) -> None:
    text = (
        "downloadServerUrl=https://public.cancerimagingarchive.net/nbia-download/servlet/Download\n"
        "includeAnnotation=true\nnoOfrRetry=4\ndatabasketId=manifest-1561766528292.tcia\n"
        "manifestVersion=3.0\nListOfSeriesToDownload=\n"
        + "\n".join(row.uid for row in rows[:4])
        + "\n1.2.3\nx=1\n"
    )
    path = tmp_path / "manifest.tcia"
    path.write_text(text)
    manifest = client.read_manifest(path)
    assert set(manifest.selection) == {row.uid for row in rows[:4]}
    assert [number for number, _ in reasons(manifest)] == [11, 12]


@pytest.mark.parametrize(
    "text", ["hello\nworld\n", "rm -rf /\n", "PK\x03\x04\0\0\n\0", "a,b\n1,2\n"]
)
def test_files_of_other_formats_are_refused(client: IDCClient, tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(
        InvalidQueryError, match=r"nothing in the manifest is recognized: expected an s5cmd.*line 1"
    ):
        client.read_manifest(path)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.text() | st.lists(st.sampled_from([CT, ADDRESS, "cp ", '"', ",", "\n", "[", "{", "=", "'"]))
)
def test_any_text_is_either_read_or_refused(client: IDCClient, text: str | list[str]) -> None:
    text = "".join(text) + "\n"
    try:
        manifest = client.read_manifest(text)
    except InvalidQueryError:
        return
    assert len(manifest.selection) <= 2
    assert all(isinstance(line, UnknownLine) for line in manifest.unknown)
    assert {line.number for line in manifest.unknown} <= set(range(1, len(text) + 2))

"""A server of the tables that can be fetched, and clients that fetch from it."""

from __future__ import annotations

import hashlib
import io
import socket
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from idc_widgets import IDCClient

from .fileserver import FileServer

#: The installed version of idc-index-data.
RELEASE = version("idc-index-data")

#: The beginning of the keys of clinical tables.
CLINICAL = f"bigquery_export/idc_v{RELEASE.split('.')[0]}_clinical"

#: The content of a file that takes many reads to send: 512,000 bytes.
BIG = bytes(range(256)) * 2000

_held_sockets: list[socket.socket] = []


def parquet(**columns: list[object]) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


SEG = parquet(
    SeriesInstanceUID=["1.2.1", "1.2.2"],
    SegmentationType=["BINARY", "FRACTIONAL"],
    total_segments=[3, 1],
    segmented_SeriesInstanceUID=["1.1.1", "1.1.2"],
)
CLINICAL_INDEX = parquet(
    collection_id=["c1", "c1", "c2", "c2"],
    table_name=["p.d.c1_clinical", "p.d.c1_clinical", "p.d.Index", "p.d.../../x"],
    short_table_name=["c1_clinical", "c1_clinical", "Index", "../../x"],
    column=["dicom_patient_id", "age", "a", "a"],
    column_label=["", "Age at diagnosis", "", ""],
)


def with_checksums(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return these files, and for each of them one more file, with the SHA-256."""
    sums = {
        f"{path}.sha256": f"{hashlib.sha256(body).hexdigest()}  {Path(path).name}\n".encode()
        for path, body in files.items()
    }
    return {**files, **sums}


def table_server() -> FileServer:
    """Return a server that has seg_index, clinical tables and a file "big"."""
    files = {
        f"{RELEASE}/seg_index.parquet": SEG,
        f"{RELEASE}/clinical_index.parquet": CLINICAL_INDEX,
        "big": BIG,
    }
    folder = f"idc-open-metadata/{CLINICAL}"
    parts = {
        f"{folder}/c1_clinical/000000000000.parquet": parquet(dicom_patient_id=["P1"], age=[61]),
        f"{folder}/c1_clinical/000000000001.parquet": parquet(
            dicom_patient_id=["P2"], age=[47], grade=["II"]
        ),
        f"{folder}/c1_clinical_too/000000000000.parquet": b"another table",
    }
    return FileServer({**with_checksums(files), **parts})


def client_of(own: Path, *servers: str) -> IDCClient:
    """Return a client of a user's own table, which fetches other tables from these servers."""
    mirrors = [f"{url}/{{version}}/{{name}}.parquet" for url in servers]
    return IDCClient(own, mirrors=mirrors, metadata_endpoint_url=servers[0])


def names_below(folder: Path) -> list[str]:
    """Return the names of all files and folders below a folder, sorted."""
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


def unused_url() -> str:
    """Return an address on which no server listens."""
    # The socket does not listen. It stays open, so that no server gets its port.
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    _held_sockets.append(held)
    return f"http://127.0.0.1:{held.getsockname()[1]}"


def use_data_folder(folder: Path, monkeypatch) -> Path:
    """Set a data folder whose name needs quoting, and return the folder in it for this release."""
    monkeypatch.setenv("NO_PROXY", "*")  # servers of tests are on 127.0.0.1
    monkeypatch.setenv("IDC_WIDGETS_DATA_DIR", str(folder / "it's [1] data"))
    return folder / "it's [1] data" / RELEASE


def write_own_table(folder: Path) -> Path:
    """Write a small index, which opens faster than the installed one; return its path."""
    path = folder / "mine.csv"
    path.write_text(
        "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality\n"
        "1.2.1,1.2,P1,c1,SEG\n"
        "1.1.1,1.2,P1,c1,CT\n"
    )
    return path

"""Run the notebooks, before and after a click and a download."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from support.dicom import ct_series, new_dataset, set_pixels, to_bytes
from support.s3server import S3Server

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# LUNG1-365's CT in nsclc_radiomics: 134 files, 70,513,634 bytes
CT = "1.3.6.1.4.1.32722.99.99.459644025247509819689655120845267405"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder to run notebooks in, with empty Jupyter and IPython settings."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter" / name.lower()))
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # a missing package is an error here
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """Start the S3 server that downloads use. It is empty and records requests."""
    with S3Server() as server:
        monkeypatch.setenv("S3_ENDPOINT_URL", server.url)
        yield server


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Execute all cells in a kernel of this Python; raise the error of a cell that fails."""
    # Ignore the kernelspecs of the machine, so that "python3" is the kernel of this Python.
    manager = AsyncKernelManager(
        kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[])
    )
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, km=manager, timeout=360, resources=resources)
    client.execute(cleanup_kc=True)  # otherwise, a kernel of our own manager keeps running


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook from a file."""
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def insert_after(notebook: nbformat.NotebookNode, cell_id: str, source: str) -> None:
    """Insert a code cell after another cell, to act as the user would."""
    at = next(i for i, cell in enumerate(notebook.cells) if cell.id == cell_id)
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(source, id=f"after-{cell_id}"))


def outputs(notebook: nbformat.NotebookNode, cell_id: str) -> list[nbformat.NotebookNode]:
    """Return the outputs of a cell."""
    return next(cell.outputs for cell in notebook.cells if cell.id == cell_id)


def text(notebook: nbformat.NotebookNode, cell_id: str) -> str:
    """Return the text that a cell printed."""
    return "".join(output.get("text", "") for output in outputs(notebook, cell_id))


def pictures(notebook: nbformat.NotebookNode, cell_id: str) -> list[bytes]:
    """Return the PNG images that a cell displayed."""
    data = [output.get("data", {}) for output in outputs(notebook, cell_id)]
    return [base64.b64decode(item["image/png"]) for item in data if "image/png" in item]


def assert_no_warnings(notebook: nbformat.NotebookNode) -> None:
    """Check that no cell wrote to stderr: no warnings, no log messages."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", f"cell {cell.id} wrote to stderr: {output.text}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestEveryNotebook:
    def test_it_has_no_outputs_and_a_neutral_kernel(self, path: Path) -> None:
        notebook = read(path)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3"
        for cell in notebook.cells:
            assert not cell.get("outputs") and cell.get("execution_count") is None, cell.id

    def test_it_runs_before_the_first_click(self, path: Path, folder: Path, s3: S3Server) -> None:
        notebook = read(path)
        run(notebook, folder)
        assert_no_warnings(notebook)
        assert s3.requests == []
        assert list(folder.iterdir()) == []


class TestBrowse:
    PATH = ROOT / "notebooks" / "browse.ipynb"

    def test_it_tells_what_to_do_first(self, folder: Path, s3: S3Server) -> None:
        notebook = read(self.PATH)
        run(notebook, folder)
        assert "choose some above" in text(notebook, "selection")
        assert "press Download" in text(notebook, "files")
        assert "press Download" in text(notebook, "picture")
        assert "choose fewer" in text(notebook, "manifest")
        assert "IDCClient().cohort().select()" in text(notebook, "code")

    def test_it_shows_the_downloaded_files(self, client, folder: Path, s3: S3Server) -> None:
        rows = client.engine.query("SELECT * FROM index WHERE SeriesInstanceUID = ?", [CT])
        (row,) = rows.to_pylist()
        s3.objects.update(ct_series(row))
        notebook = read(self.PATH)
        insert_after(
            notebook,
            "browser",
            f"browser.pick(patients=['LUNG1-365'], series=['{CT}'])\n"
            "assert browser.download().wait() == 'complete', browser.job.log",
        )
        run(notebook, folder)
        assert_no_warnings(notebook)
        assert "1 series, 70.5 MB" in text(notebook, "selection")
        assert "LUNG1-365" in outputs(notebook, "selection")[-1].data["text/html"]
        assert "1 series, 134 files" in text(notebook, "files")
        (picture,) = pictures(notebook, "picture")
        assert picture.startswith(b"\x89PNG") and len(picture) > 20_000
        assert CT in text(notebook, "code")
        *header, line = (folder / "manifest.s5cmd").read_text().splitlines()
        assert line == f"cp {row['series_aws_url']} ."
        assert all(comment.startswith("#") for comment in header)

    def test_it_handles_every_kind_of_object(self, folder: Path, s3: S3Server) -> None:
        for name, dataset in kinds_of_objects().items():
            (folder / f"{name}.dcm").write_bytes(to_bytes(dataset))
        notebook = read(self.PATH)
        insert_after(
            notebook,
            "picture",
            "from pathlib import Path\n"
            "for file in sorted(Path().glob('*.dcm')):\n"
            "    print(f'-- {file.stem}:')\n"
            "    show([file])",
        )
        run(notebook, folder)
        assert_no_warnings(notebook)
        names = sorted(kinds_of_objects())
        shown = [name for name in names if name.startswith("image")]
        assert len(pictures(notebook, "after-picture")) == len(shown)
        printed = text(notebook, "after-picture")
        for name in set(names).difference(shown):
            sentence = printed.partition(f"-- {name}:\n")[2].partition("-- ")[0]
            assert sentence.count("\n") == 1, f"printed for {name}: {sentence!r}"


def kinds_of_objects() -> dict[str, object]:
    """Return name → data set, one per kind of object. Those named "image…" have pixels to show."""
    report = new_dataset("1.2.840.10008.5.1.4.1.1.88.33", "SR")
    contours = new_dataset("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT")
    segmentation = new_dataset("1.2.840.10008.5.1.4.1.1.66.4", "SEG", NumberOfFrames=2)
    set_pixels(segmentation, np.ones((2, 32, 32), np.uint8), "MONOCHROME2")
    no_pixels = new_dataset("1.2.840.10008.5.1.4.1.1.4", "MR", Rows=32, Columns=32)
    cine = new_dataset("1.2.840.10008.5.1.4.1.1.3.1", "US", NumberOfFrames=5)
    set_pixels(cine, np.arange(5 * 32 * 32).reshape(5, 32, 32).astype(np.uint8), "MONOCHROME2")
    slide = new_dataset("1.2.840.10008.5.1.4.1.1.77.1.6", "SM", NumberOfFrames=4)
    set_pixels(slide, np.full((4, 32, 32, 3), 200, np.uint8), "RGB")
    photo = new_dataset("1.2.840.10008.5.1.4.1.1.77.1.4", "XC")
    set_pixels(photo, np.full((32, 32, 3), 200, np.uint8), "RGB")
    mammogram = new_dataset("1.2.840.10008.5.1.4.1.1.1.2", "MG", PixelSpacing=[0.1, 0.2])
    set_pixels(mammogram, np.arange(32 * 32).reshape(32, 32).astype("<u2"), "MONOCHROME1")
    palette = new_dataset("1.2.840.10008.5.1.4.1.1.6.1", "US")
    set_pixels(palette, np.arange(32 * 32).reshape(32, 32).astype(np.uint8), "PALETTE COLOR")
    for color in ("Red", "Green", "Blue"):
        setattr(palette, f"{color}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(palette, f"{color}PaletteColorLookupTableData", bytes(range(256)))
    return {
        "report": report,
        "contours": contours,
        "segmentation": segmentation,
        "no-pixels": no_pixels,
        "image-cine": cine,
        "image-slide": slide,
        "image-photo": photo,
        "image-mammogram": mammogram,
        "image-palette": palette,
    }

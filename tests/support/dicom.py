"""Synthetic DICOM files, for tests that read downloaded files."""

from __future__ import annotations

import io
import math
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

__all__ = ["ct_series", "new_dataset", "set_pixels", "to_bytes"]

#: The number of bytes of a file that are not pixels.
HEADER_SPACE = 1800

#: The bytes of the header (tag, VR and length) of the padding element that ends a file.
PADDING_HEADER = 12

#: Ellipses, later ones on top: center and half axes as fractions of the width, and the value in
#: Hounsfield units.
CHEST = (
    ((0.50, 0.50), (0.40, 0.28), 40),  # soft tissue
    ((0.34, 0.48), (0.13, 0.19), -850),  # lungs
    ((0.66, 0.48), (0.13, 0.19), -850),
    ((0.54, 0.42), (0.11, 0.10), 60),  # heart
    ((0.50, 0.68), (0.045, 0.045), 600),  # spine
)


def ct_series(row: Mapping[str, Any]) -> dict[tuple[str, str], bytes]:
    """Return (bucket, key) → file, for a CT series that agrees with its row of the index.

    They are instanceCount valid DICOM files with exactly round(series_size_MB * 1e6) bytes in
    total. Each is a slice of a chest, 512 x 512 pixels or as many as fit. As in IDC, the order of
    the keys is not that of the slices.

    Raises:
        ValueError: No image fits into files of that size.
    """
    bucket, prefix = row["series_aws_url"].removeprefix("s3://").removesuffix("/*").split("/")
    count, total = row["instanceCount"], round(row["series_size_MB"] * 1e6)
    side = min(512, math.isqrt(max(0, total // count - HEADER_SPACE) // 2))
    if side < 16:
        raise ValueError(f"{count} images do not fit into {total} bytes")
    chest = _chest(side)
    objects = {}
    for i in range(count):
        # A DICOM file has an even number of bytes. If the total is odd, the last file gets an extra
        # byte at its end, which readers ignore.
        size = 2 * (total // 2 * (i + 1) // count - total // 2 * i // count)
        size += total % 2 if i == count - 1 else 0
        key = f"{prefix}/{uuid.uuid5(uuid.NAMESPACE_OID, f'{prefix}/{i}')}.dcm"
        objects[bucket, key] = to_bytes(_slice(row, i, chest), size)
    return objects


def new_dataset(sop_class_uid: str, modality: str, **elements: Any) -> Dataset:
    """Return a dataset with these elements and those that every DICOM file must have."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = modality
    dataset.PatientID = "synthetic"
    dataset.update({keyword: value for keyword, value in elements.items() if value is not None})
    return dataset


def set_pixels(dataset: Dataset, pixels: np.ndarray, interpretation: str) -> None:
    """Add unsigned pixels ([frames,] rows, columns [, colors]) and their description."""
    bits = pixels.dtype.itemsize * 8
    colors = 3 if interpretation == "RGB" else 1
    rows, columns = pixels.shape[-3:-1] if colors == 3 else pixels.shape[-2:]
    dataset.update(
        {
            "SamplesPerPixel": colors,
            "PhotometricInterpretation": interpretation,
            "Rows": rows,
            "Columns": columns,
            "BitsAllocated": bits,
            "BitsStored": bits,
            "HighBit": bits - 1,
            "PixelRepresentation": 0,
            **({"PlanarConfiguration": 0} if colors == 3 else {}),
        }
    )
    dataset.PixelData = pixels.tobytes()


def to_bytes(dataset: Dataset, size: int | None = None) -> bytes:
    """Return the file of a dataset, padded to `size` bytes if that is given.

    Raises:
        ValueError: The file is larger than `size`, even without padding.
    """
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    if size is None:
        return buffer.getvalue()
    room = size - size % 2 - len(buffer.getvalue()) - PADDING_HEADER
    if room < 0:
        raise ValueError(f"{len(buffer.getvalue())} bytes cannot be padded to {size}")
    dataset.DataSetTrailingPadding = bytes(room)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue() + bytes(size % 2)


def _slice(row: Mapping[str, Any], i: int, chest: np.ndarray) -> Dataset:
    spacing = 500 / len(chest)  # the field of view is 50 cm wide
    dataset = new_dataset(
        CTImageStorage,
        "CT",
        PatientID=row["PatientID"],
        PatientName="Synthetic^Chest",
        PatientSex=row.get("PatientSex"),
        PatientAge=row.get("PatientAge"),
        StudyInstanceUID=row["StudyInstanceUID"],
        SeriesInstanceUID=row["SeriesInstanceUID"],
        SOPInstanceUID=generate_uid(entropy_srcs=[row["SeriesInstanceUID"], str(i)]),
        FrameOfReferenceUID=generate_uid(entropy_srcs=[row["SeriesInstanceUID"]]),
        SeriesDescription=row.get("SeriesDescription"),
        SeriesNumber=row.get("SeriesNumber"),
        BodyPartExamined=row.get("BodyPartExamined"),
        PatientPosition="HFS",
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        ImagePositionPatient=[-250, -250, 3 * i],
        PixelSpacing=[f"{spacing:.6f}"] * 2,
        SliceThickness=3,
        InstanceNumber=i + 1,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        RescaleType="HU",
        WindowCenter=[40, -600],  # soft tissue, then lung
        WindowWidth=[400, 1500],
    )
    noise = np.random.default_rng(i).integers(-20, 21, chest.shape, dtype=np.int16)
    set_pixels(dataset, (chest + noise + 1024).astype("<u2"), "MONOCHROME2")
    return dataset


def _chest(side: int) -> np.ndarray:
    """Return a slice of a chest in Hounsfield units."""
    y, x = np.mgrid[:side, :side] / side
    values = np.full((side, side), -1000, np.int16)
    for (x0, y0), (a, b), hounsfield in CHEST:
        values[((x - x0) / a) ** 2 + ((y - y0) / b) ** 2 < 1] = hounsfield
    return values

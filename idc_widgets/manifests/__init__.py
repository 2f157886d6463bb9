"""Manifests: lists of series in files, as other tools write them and as we do.

What is read is only parsed and looked up in the index. No line of it is ever run, and no path or
address of it is used.
"""

from .parse import UnknownLine
from .read import Manifest, read_manifest
from .write import ManifestFormat, write_manifest

__all__ = ["Manifest", "ManifestFormat", "UnknownLine", "read_manifest", "write_manifest"]

from .entries import UnknownLine as UnknownLine
from .resolve import resolve_manifest as resolve_manifest
from .write import ManifestFormat as ManifestFormat
from .write import write_manifest as write_manifest

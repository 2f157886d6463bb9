from .parse import UnknownLine as UnknownLine
from .read import Manifest as Manifest
from .read import expanded as expanded
from .read import read_manifest as read_manifest
from .read import text_of_file as text_of_file
from .write import ManifestFormat as ManifestFormat
from .write import write_manifest as write_manifest

from .identifiers import FoundUids as FoundUids
from .identifiers import find_uids as find_uids
from .manifest import Manifest as Manifest
from .manifest import read_manifest as read_manifest
from .prior_versions import plan_prior as plan_prior
from .selection import License as License
from .selection import Selection as Selection

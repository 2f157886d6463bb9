from .identifiers import FoundUids as FoundUids
from .identifiers import find_uids as find_uids
from .licenses import License as License
from .prior_versions import plan_prior as plan_prior
from .selection import Selection as Selection
from .selection_from_manifest import Manifest as Manifest
from .selection_from_manifest import read_manifest as read_manifest
from .viewers import viewer_url as viewer_url

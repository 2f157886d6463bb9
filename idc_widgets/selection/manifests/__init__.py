"""Manifests: files that list series, in the formats of other tools and in ours.

Only `selection` imports from here. A manifest is only parsed and looked up in the index. None of
its commands is run. Its paths are ignored, and its addresses only identify series.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

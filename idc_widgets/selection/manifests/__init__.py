"""Manifests: lists of series in files, as other tools write them and as we do.

Only `selection` imports from here. A manifest is parsed and looked up in the index; no line of it
is ever run, and no path or address in it is used.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

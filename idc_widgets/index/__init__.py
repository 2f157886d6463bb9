"""The index: which tables exist, where their files are, and what their columns mean.

`query` and all folders above it import from here. Nothing here reads rows of a table or
runs a query.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

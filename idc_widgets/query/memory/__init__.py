"""The index in memory: the columns of most queries as numbers, and what is computed from them.

Only `query` imports from here, and hands on what others may use. Nothing here knows of cohorts.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

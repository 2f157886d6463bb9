"""The index in memory: the columns of most queries as numbers, and the results computed from them.

Only `query` imports from here, and re-exports what other folders use. Nothing here knows cohorts or
their conditions: a condition only has to evaluate itself as a mask.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

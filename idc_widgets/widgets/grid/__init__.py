"""The grids: where their rows come from, how they are shown, and the title above them.

Only `widgets` imports from here.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

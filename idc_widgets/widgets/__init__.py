"""The Jupyter widgets: a shared state, one file per control, and the layout that we recommend.

Nothing imports from here but the package itself, so that everything below works without Jupyter.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

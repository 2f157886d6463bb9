"""Cohorts and the engines that answer their queries.

`selection`, `client` and `widgets` import from here. Nothing here knows of downloads or widgets.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

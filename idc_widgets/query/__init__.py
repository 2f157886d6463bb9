"""Cohorts, the filters they consist of, and the engines that run their queries.

`selection`, `first_api`, `client` and `widgets` import from here. Nothing here knows about
downloads or widgets. A query runs in memory (see `memory`) where possible, and otherwise as SQL.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

"""The grids of patients, studies and series: their columns, their titles and how rows are shown.

Only `widgets` imports from here. Nothing here has SQL: rows come from a `RowSource`, and the counts
of distributions from a `Cohort`.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

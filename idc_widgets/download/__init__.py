"""Downloads: plan which object goes to which file, fetch them with s5cmd, and verify them.

`selection` and `widgets` import from here. Nothing here knows of the index: a download works on the
rows of a table, wherever they come from.

>>> plan = DownloadPlan.make(rows, "~/idc")  # doctest: +SKIP
>>> job = DownloadJob(plan).start()          # doctest: +SKIP
>>> job.wait()                               # doctest: +SKIP
'complete'
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

"""Downloads: plan which object goes to which file, fetch the objects with s5cmd, verify the files.

This folder imports only from `errors` and `_util`: a download works on rows of a table, and does
not know which index or filters they come from.

>>> plan = DownloadPlan.make(rows, "~/idc")  # doctest: +SKIP
>>> job = DownloadJob(plan).start()          # doctest: +SKIP
>>> job.wait()                               # doctest: +SKIP
'complete'

`planner` makes a plan, and `supervisor` carries it out. `job` runs the supervisor in a thread and
shows its `outcome`. Nothing is written before a job starts.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

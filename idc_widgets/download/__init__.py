"""Downloads: plan which object goes to which file, then let s5cmd fetch them and check them.

>>> plan = DownloadPlan.make(rows, "~/idc")       # nothing is written yet
>>> job = DownloadJob(plan).start()               # runs in the background
>>> job.wait()
'complete'
"""

from .job import DownloadJob, Progress
from .plan import DEFAULT_TEMPLATE, DownloadPlan, PlannedSeries

__all__ = ["DEFAULT_TEMPLATE", "DownloadJob", "DownloadPlan", "PlannedSeries", "Progress"]

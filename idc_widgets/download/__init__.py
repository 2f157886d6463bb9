"""Downloads: plan which object goes to which file, then let s5cmd fetch them and check them.

>>> plan = DownloadPlan.make(rows, "~/idc")       # nothing is written yet
>>> job = DownloadJob(plan).start()               # runs in the background
>>> job.wait()
'complete'
"""

from .job import DownloadJob, Progress, Verify
from .listing import list_series
from .names import DEFAULT_TEMPLATE, FORMS
from .plan import DownloadPlan, PlannedSeries, Source
from .preview import MAX_GB, Preview

__all__ = [
    "DEFAULT_TEMPLATE",
    "FORMS",
    "MAX_GB",
    "DownloadJob",
    "DownloadPlan",
    "PlannedSeries",
    "Preview",
    "Progress",
    "Source",
    "Verify",
    "list_series",
]

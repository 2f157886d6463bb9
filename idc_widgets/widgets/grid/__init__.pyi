from .choice import choose_view as choose_view
from .level_grids import PatientGrid as PatientGrid
from .level_grids import SeriesGrid as SeriesGrid
from .level_grids import StudyGrid as StudyGrid

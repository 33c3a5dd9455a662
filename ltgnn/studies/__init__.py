"""Many runs for one question: ablations over settings and seeds, and the search for settings."""

from ltgnn.studies.config import StudyConfig, StudyError
from ltgnn.studies.grid import Cell, expand

__all__ = ["Cell", "StudyConfig", "StudyError", "expand"]

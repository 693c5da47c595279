"""Tasks from files: Sotopia's published sets, and task files of the package's own."""

from sotopia_env.published.loading import SUBSETS, load_tasks
from sotopia_env.published.report import DataWarning

__all__ = ["SUBSETS", "DataWarning", "load_tasks"]

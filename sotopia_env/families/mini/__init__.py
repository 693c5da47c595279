"""Thirty hand-written scenarios with seventeen characters, for a judge that understands what is said."""

from sotopia_env.families.mini.family import Mini
from sotopia_env.families.mini.loading import CATEGORIES

__all__ = ["CATEGORIES", "Mini"]

"""The version of the package, where every part may read it."""

__version__ = "0.1.0"

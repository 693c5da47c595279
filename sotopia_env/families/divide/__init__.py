"""Dividing three kinds of items: a family whose outcome follows from the text."""

from sotopia_env.families.divide.family import Divide, Dividing

__all__ = ["Divide", "Dividing"]

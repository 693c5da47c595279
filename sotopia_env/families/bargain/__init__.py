"""Bargaining over the price of one item: a family whose outcome follows from the text."""

from sotopia_env.families.bargain.family import Bargain
from sotopia_env.families.generated import Coupling

__all__ = ["Bargain", "Coupling"]

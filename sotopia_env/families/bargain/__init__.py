"""Bargaining over the price of one item: a family whose outcome follows from the text."""

from sotopia_env.families.bargain.family import Bargain, Coupling

__all__ = ["Bargain", "Coupling"]

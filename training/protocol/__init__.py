"""The published figures: which there are, how each is made, and where they are printed."""

from sotopia_env.training.protocol.blocks import fill_blocks
from sotopia_env.training.protocol.protocol import REPORTED_SEEDS, Protocol, figures, make_figures

__all__ = ["REPORTED_SEEDS", "Protocol", "figures", "make_figures", "fill_blocks"]

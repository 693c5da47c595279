"""The menu interface: features in, dialogue acts out, for learners that know no text."""

from sotopia_env.menu.acts import ACTS, PROPOSALS
from sotopia_env.menu.policy import MenuPolicy
from sotopia_env.menu.scenes import FEATURES, Scene, read_scene
from sotopia_env.menu.wrapper import MenuWrapper, feature_space, menu_space

__all__ = [
    "ACTS",
    "FEATURES",
    "PROPOSALS",
    "MenuPolicy",
    "MenuWrapper",
    "Scene",
    "feature_space",
    "menu_space",
    "read_scene",
]

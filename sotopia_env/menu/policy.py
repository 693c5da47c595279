"""A model trained on the menu, as a policy that talks to anyone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sotopia_env.actions import NONE, Action, speak
from sotopia_env.families.resolve import as_family
from sotopia_env.menu.acts import ACTS
from sotopia_env.menu.scenes import read_scene
from sotopia_env.policies import Context, Decision, Observation

Choice = Callable[[np.ndarray, np.ndarray], Any]
"""``(features (B, F), masks (B, A)) -> B numbers of acts``."""


class MenuPolicy:
    """Plays any environment of the package by choosing from the menu, in rollouts, tables and as a partner.

    Args:
        choose: a trained model: features ``(B, F)`` and masks of legal acts ``(B, A)`` in, ``B`` numbers of acts out.
        name: how it appears in episodes and tables.
        family: of the tasks, where it is one of your own that names acts.

    Example:
        >>> policy = MenuPolicy(lambda features, masks: masks.argmax(1), name="menu:first")
    """

    def __init__(self, choose: Choice, *, name: str = "menu", family: Any = None) -> None:
        """Keep the model."""
        self.choose = choose
        self.name = name
        self.family = None if family is None else as_family(family)

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """One decision for each observation; an act that is not legal is reported, as in the environment."""
        scenes = [read_scene(observation, self.family) for observation in observations]
        features = np.stack([scene.features for scene in scenes])
        masks = np.stack([scene.mask for scene in scenes])
        decisions = []
        for scene, number in zip(scenes, np.asarray(self.choose(features, masks)).reshape(-1), strict=True):
            name = ACTS[int(number)]
            act = scene.acts.get(name)
            invalid = None if act is not None else f"act {int(number)} ({name}) is not legal now"
            action = NONE if act is None else act if isinstance(act, Action) else speak(act)
            decisions.append(Decision(action, raw=name, invalid=invalid))
        return decisions

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """The action for a single observation."""
        contexts = [] if context is None else [context]
        return self.act([observation], contexts)[0].action

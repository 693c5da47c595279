"""The menu interface: numbers in, numbers out, for learners that know no text.

## Description
Any task of the environment below, as every library of reinforcement learning can train on it. Nothing is added to what
a seat may know, and an act is said in plain language, so the others need not know that one side plays from a menu.

## Action space
``Discrete(55)``: :data:`~sotopia_env.menu.acts.ACTS`. An act that is not legal becomes ``none`` and is reported in
``infos[agent]["invalid_action"]``.

## Observation space
``Box(-1, 1, (n,), float32)``: :data:`~sotopia_env.menu.scenes.FEATURES`. With ``mask="observation"`` it is
``Dict(observation=Box, action_mask=Box)``.

## Information
As below, with ``action_mask`` (1 where an act is legal): int8 for ``mask="info"``, a list for ``mask="list"``.

## Version history
* v0: initial version.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from sotopia_env.actions import NONE
from sotopia_env.environment import StepResult
from sotopia_env.menu.acts import ACTS
from sotopia_env.menu.scenes import FEATURES, Scene, read_scene
from sotopia_env.policies import Decision, Observation
from sotopia_env.wrappers.base import InterfaceWrapper

Mask = Literal["info", "observation", "list"]
MASKS = ("info", "observation", "list")


def menu_space() -> spaces.Discrete:
    """The action space of the menu."""
    return spaces.Discrete(len(ACTS))


def feature_space() -> spaces.Box:
    """The observation space of the menu, without a mask."""
    return spaces.Box(-1.0, 1.0, (len(FEATURES),), np.float32)


class MenuWrapper(InterfaceWrapper):
    """Observations become vectors of features, actions become numbers of a menu.

    Args:
        env: a parallel environment of this package with the dict interface, with or without other wrappers.
        mask: where the legal acts are told: ``"info"`` (an array in infos), ``"list"`` (a list in infos, for libraries
            that take no array there) or ``"observation"`` (observations are then
            ``{"observation": features, "action_mask": mask}``).

    Example:
        >>> import sotopia_env
        >>> env = MenuWrapper(sotopia_env.parallel_env("bargain", reward="episode"))
        >>> observations, infos = env.reset(seed=0)
        >>> act = env.action_space("agent_0").sample(infos["agent_0"]["action_mask"])
    """

    def __init__(self, env: Any, *, mask: Mask = "info") -> None:
        """Check the mask."""
        if mask not in MASKS:
            raise ValueError(f"mask: {mask!r} is none of {', '.join(MASKS)}")
        self.mask = mask
        super().__init__(env)
        self._scenes: dict[str, Scene] = {}

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """Play one cycle.

        Args:
            actions: for each acting agent the number of an act; whatever else the environment below takes (a ``str``,
                an ``Action``, a ``Decision``) is passed on, so that a partner may speak freely.
        """
        told = {agent: self._told(agent, given) for agent, given in actions.items()}
        observations, rewards, terminations, truncations, infos = self.env.step(told)
        for agent, given in told.items():
            if isinstance(given, Decision) and given is not actions[agent]:  # of an agent out of turn too
                infos[agent]["invalid_action"] = given.invalid
        return self._shown(observations, infos), rewards, terminations, truncations, infos

    def scene(self, agent: str) -> Scene:
        """What the menu holds for an agent now: its legal acts in words, and its features."""
        if agent not in self._scenes:
            self._scenes[agent] = read_scene(self.unwrapped.observe(agent), self.unwrapped.family)
        return self._scenes[agent]

    def restore_wrapper_state(self, state: Mapping[str, Any]) -> None:
        """Forget what was read: it follows from the environment below."""
        self._scenes = {}

    def _spaces(self) -> tuple[Any, spaces.Discrete]:
        if self.mask == "observation":
            mask = spaces.Box(0, 1, (len(ACTS),), np.int8)
            return spaces.Dict({"observation": feature_space(), "action_mask": mask}), menu_space()
        return feature_space(), menu_space()

    def _told(self, agent: str, given: Any) -> Any:
        """What the environment below is told; an act that is not legal becomes ``none``."""
        try:
            number = operator.index(given)
        except TypeError:
            return given
        name = ACTS[number] if 0 <= number < len(ACTS) else None
        act = None if name is None or agent not in self.possible_agents else self.scene(agent).acts.get(name)
        if act is not None:
            return act
        # A number from outside may have more digits than Python writes.
        shown = f"{number} ({name or 'not on the menu'})" if abs(number) < 10**9 else "(not on the menu)"
        return Decision(NONE, invalid=f"act {shown} is not legal now")

    def _shown(self, observations: Mapping[str, Observation], infos: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """The observations as features, with the mask put where it is wanted."""
        family = self.unwrapped.family
        self._scenes = {agent: read_scene(observation, family) for agent, observation in observations.items()}
        shown: dict[str, Any] = {}
        for agent, scene in self._scenes.items():
            features, mask = scene.features.copy(), scene.mask
            if self.mask == "observation":
                shown[agent] = {"observation": features, "action_mask": mask}
            else:
                shown[agent] = features
                infos[agent]["action_mask"] = mask if self.mask == "info" else mask.tolist()
        return shown

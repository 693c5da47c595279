"""Ids for ``gymnasium.make("sotopia_env:sotopia/Bargain-v0")``. Registered on import: Gymnasium has no plug-ins."""

from __future__ import annotations

import gymnasium

GYMNASIUM_IDS = {"sotopia/Bargain-v0": "bargain"}
"""Ids of the single-agent view, with the family each plays."""


def register_environments() -> None:
    """Register the ids that are not registered yet."""
    for name, family in GYMNASIUM_IDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point="sotopia_env.single_agent:SotopiaEnv", kwargs={"family": family})

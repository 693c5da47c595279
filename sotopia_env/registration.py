"""Ids for ``gymnasium.make("sotopia_env:sotopia/Bargain-v0")``. Registered on import: Gymnasium has no plug-ins.

PettingZoo keeps ids from 1.27 on: ``pettingzoo.make("parallel", "sotopia/Bargain-v0")``, and ``"aec"``.
"""

from __future__ import annotations

import gymnasium
import pettingzoo

# Imported for its registrations alone: vector environments find how texts are shared.
import sotopia_env.shared_text  # noqa: F401
from sotopia_env.families import FAMILIES, PUBLISHED

IDS = {
    f"sotopia/{''.join(part.capitalize() for part in name.split('-'))}-v0": name
    for name in FAMILIES
    if name not in PUBLISHED
}
"""One id for each family that draws its own tasks, with the family's name."""


def register_environments() -> None:
    """Register the ids that are not registered yet."""
    for name, family in IDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point="sotopia_env.single_agent:SotopiaEnv", kwargs={"family": family})
    if not hasattr(pettingzoo, "register"):
        return
    registries = {"parallel": pettingzoo.parallel_registry, "aec": pettingzoo.aec_registry}
    for kind, entry_point in (("parallel", "sotopia_env.make:parallel_env"), ("aec", "sotopia_env.make:env")):
        for name, family in IDS.items():
            if name not in registries[kind]:
                pettingzoo.register(kind, name, entry_point=entry_point, kwargs={"tasks": family})

"""Sotopia as a multi-agent reinforcement-learning environment: two characters, private goals, rewards by ``step``."""

from typing import TYPE_CHECKING

from sotopia_env.make import SotopiaEnv, env, parallel_env, raw_env, register_environments
from sotopia_env.names import exports
from sotopia_env.version import __version__

if TYPE_CHECKING:
    from sotopia_env.actions import ACTION_TYPES, Action, do, gesture, leave, speak
    from sotopia_env.episodes import Ending, Episode, Judgement, Turn
    from sotopia_env.families import Bargain, Family
    from sotopia_env.policies import Context, Decision, Policy
    from sotopia_env.published import load_pairs, load_published, load_tasks, save_tasks
    from sotopia_env.rendering import render
    from sotopia_env.resolve import make_policy
    from sotopia_env.rollouts.executors import RayCluster
    from sotopia_env.rollouts.rollout import rollout
    from sotopia_env.storage.episodes import load_episodes, save_episodes
    from sotopia_env.tasks import Character, Scenario, Task
    from sotopia_env.views import View, view
else:
    __getattr__ = exports(
        __name__,
        {
            "actions": "ACTION_TYPES Action do gesture leave speak",
            "episodes": "Ending Episode Judgement Turn",
            "families": "Bargain Family",
            "policies": "Context Decision Policy",
            "published": "load_pairs load_published load_tasks save_tasks",
            "rendering": "render",
            "resolve": "make_policy",
            "rollouts.executors": "RayCluster",
            "rollouts.rollout": "rollout",
            "storage.episodes": "load_episodes save_episodes",
            "tasks": "Character Scenario Task",
            "views": "View view",
        },
    )

__all__ = [
    "ACTION_TYPES",
    "Action",
    "Bargain",
    "Character",
    "Context",
    "Decision",
    "Ending",
    "Episode",
    "Family",
    "Judgement",
    "Policy",
    "RayCluster",
    "Scenario",
    "SotopiaEnv",
    "Task",
    "Turn",
    "View",
    "do",
    "env",
    "gesture",
    "leave",
    "load_episodes",
    "load_pairs",
    "load_published",
    "load_tasks",
    "make_policy",
    "parallel_env",
    "raw_env",
    "render",
    "rollout",
    "save_episodes",
    "save_tasks",
    "speak",
    "view",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_environments()

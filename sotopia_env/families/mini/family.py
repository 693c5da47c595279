"""The family: hand-written scenarios of every category, for a judge that understands what is said.

## Description
Two characters with private goals in tension, in one of thirty scenarios: five of each category of Sotopia, three of
them for training, one for validation and one for testing; two or three pairs of characters play each. Relationships
range from strangers to family, and decide what one sees of the other's profile.

## What rules can tell
Whether a secret was told, whether manners were broken, and whether a turn was invalid or a mere repetition. Whether a
goal was reached takes a judge that understands the talk, so goal, relationship, knowledge and benefits are unknown.

## Version history
* 1: initial version.
* 2: manners, secrets and facts are read clause by clause.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from sotopia_env.episodes import Episode, Judgement
from sotopia_env.families import conduct
from sotopia_env.families.base import Family
from sotopia_env.families.conduct import Finding
from sotopia_env.families.generated import pick
from sotopia_env.families.mini.loading import tasks_of
from sotopia_env.tasks import Task
from sotopia_env.turns import heard_turns


class Mini(Family):
    """Thirty hand-written scenarios; they end by leaving, silence or the turn limit alone."""

    name = "mini"
    unknowable = frozenset({"goal", "relationship", "knowledge", "financial_and_material_benefits"})
    version = "2"

    def tasks(self, split: str = "train") -> tuple[Task, ...]:
        """Every task of one split: each scenario with each of its pairs."""
        return tasks_of(self.name, self.version, split)

    def generate(self, rng: np.random.Generator, split: str = "train") -> Task:
        """Draw a scenario, and then one of its pairs."""
        tasks = self.tasks(split)
        scenarios = list(dict.fromkeys(task.scenario.id for task in tasks))
        chosen = pick(scenarios, rng)
        pairs = [task for task in tasks if task.scenario.id == chosen]
        return pick(pairs, rng)

    def score(self, episode: Episode) -> Judgement:
        """What rules can tell of both seats; the rest is ``None``."""
        unknown: Finding = (None, ["rules cannot tell"])
        findings: list[dict[str, Finding]] = [
            {
                "goal": unknown,
                "relationship": unknown,
                "knowledge": unknown,
                "secret": conduct.secret(turns, character.secret),
                "social_rules": conduct.social_rules(turns),
                "financial_and_material_benefits": unknown,
                "believability": conduct.believability(turns),
            }
            for character, turns in zip(
                episode.task.characters, map(partial(heard_turns, episode), episode.agents), strict=True
            )
        ]
        return conduct.judgement_of(findings, self.version)

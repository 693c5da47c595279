"""A world of one's own, and a policy that plays it: a family is ``generate`` and ``score``. Runs in a second.

What else it knows of its game, it says too: what a turn does in it (for attribution and attacks) and what may be said
(for the menu). Its tasks are written to a file and read back.
"""

import re
from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import sotopia_env
from sotopia_env.families import Move
from sotopia_env.published import save_tasks
from sotopia_env.rewards import relabel


class SayTheNumber:
    """A family: both read a number, and whoever says it has reached the goal."""

    name = "say-the-number"

    def generate(self, rng: np.random.Generator) -> sotopia_env.Task:
        """Draw a number."""
        number = str(rng.integers(10, 100))
        scenario = sotopia_env.Scenario(f"number-{number}", f"The number is {number}.", ("Say it.",) * 2)
        people = (sotopia_env.Character("a", "Ada"), sotopia_env.Character("b", "Ben"))
        return sotopia_env.Task(scenario.id, self.name, "1", "train", scenario, people, max_cycles=4)

    def score(self, episode: sotopia_env.Episode) -> dict[str, list[float | None]]:
        """Give 10 to each who said it."""
        number = episode.task.scenario.id.removeprefix("number-")
        return {"goal": [10.0 * any(number in t.text for t in episode.own_turns(a)) for a in episode.agents]}

    def move(self, task: sotopia_env.Task, turn: sotopia_env.Turn) -> Move:
        """A turn that says numbers is decisive; any other does nothing in the game."""
        numbers = re.findall(r"\d+", turn.text)
        return Move("accept", numbers) if numbers else Move("none")

    def menu(self, observation: Mapping[str, Any]) -> dict[str, str]:
        """One may propose what the situation says."""
        return {"propose-0": str(observation["situation"])}


def parrot(observation: sotopia_env.policies.Observation, rng: np.random.Generator) -> str:
    """A policy: it repeats the situation, or says nothing of use."""
    return str(observation["situation"]) if rng.random() < 0.5 else "I do not know."


def main(episodes: int = 8) -> list[sotopia_env.Episode]:
    """Play the family from a file of its tasks, paid by the outcome, and spread the score over the turns."""
    family, rng = SayTheNumber(), np.random.default_rng(0)
    drawn = {task.id: task for task in (family.generate(rng) for _ in range(episodes))}
    with TemporaryDirectory() as folder:
        save_tasks(drawn.values(), f"{folder}/tasks.jsonl")
        tasks = sotopia_env.load_tasks(f"{folder}/tasks.jsonl")
    played = sotopia_env.rollout(tasks, parrot, num_episodes=episodes, reward="episode", family=family)
    played = relabel(played, "direct", family)
    for episode in played:
        goals = episode.judgements[-1].scores["goal"]
        paid, spread = episode.rewards["episode"]["agent_0"], episode.rewards["direct"]["agent_0"]
        print(f"{episode.task.id}: goals {goals}, agent_0 was paid {paid}, spread over its turns {spread}")
    return played


if __name__ == "__main__":
    main()

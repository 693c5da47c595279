"""A world of one's own, and a policy that plays it: a family is ``generate`` and ``score``. Runs in a second."""

import numpy as np

import sotopia_env


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


def parrot(observation: sotopia_env.policies.Observation, rng: np.random.Generator) -> str:
    """A policy: it repeats the situation, or says nothing of use."""
    return str(observation["situation"]) if rng.random() < 0.5 else "I do not know."


def main(episodes: int = 8) -> list[sotopia_env.Episode]:
    """Play the family with the policy, paid by the outcome."""
    played = sotopia_env.rollout(SayTheNumber(), parrot, num_episodes=episodes, reward="episode")
    for episode in played:
        goals = episode.judgements[-1].scores["goal"]
        print(f"{episode.task.id}: goals {goals}, agent_0 was paid {episode.rewards['episode']['agent_0']}")
    return played


if __name__ == "__main__":
    main()

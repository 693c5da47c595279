"""Parts of one's own, each in a few lines: a family, a policy, a reward and an estimator."""

import numpy as np

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.training.estimators import get_estimator


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


def brevity(episodes: list[sotopia_env.Episode]) -> list[dict[str, list[float | None]]]:
    """A reward: -0.01 for every word."""
    return [{a: [-0.01 * len(t.text.split()) for t in e.own_turns(a)] for a in e.agents} for e in episodes]


def winner_takes_all(rewards_gt: np.ndarray, alive_gt: np.ndarray) -> np.ndarray:
    """An estimator: the best dialogue of a group gets 1, the others 0."""
    best = rewards_gt.sum(1).argmax()
    return np.where(np.arange(len(rewards_gt))[:, None] == best, alive_gt, 0.0)


def main() -> list[sotopia_env.Episode]:
    """Play the family with the policy, pay the reward, and estimate advantages of one group."""
    episodes = sotopia_env.rollout(SayTheNumber(), parrot, num_episodes=8, reward=brevity)
    rewards = np.array([e.rewards["brevity"]["agent_0"] for e in episodes], dtype=float)
    advantages = get_estimator(winner_takes_all)(rewards, np.ones_like(rewards, dtype=bool))
    labelled = R.relabel(episodes, R.Outcome("uniform", judge=R.RuleJudge(SayTheNumber())))
    goals = [e.judgements[-1].scores["goal"][0] for e in labelled]
    print(f"goals {goals}\nadvantages\n{advantages}")
    return labelled


if __name__ == "__main__":
    main()

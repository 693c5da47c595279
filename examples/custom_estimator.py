"""An advantage estimator of one's own, beside those of the package. Runs in a second.

An estimator is a function ``(rewards_GT, alive_GT) -> advantages_GT`` of one group: G dialogues of one task, T own
turns, rewards ``nan`` where unknown. ``training.GRPOTrainer(..., estimator=winner_takes_all)`` learns by it, and
``GRPOConfig(estimator="trajectory")`` by one of the package.
"""

import numpy as np

import sotopia_env
from sotopia_env import training


def winner_takes_all(rewards_GT: np.ndarray, alive_GT: np.ndarray) -> np.ndarray:
    """The turns of the best dialogue of a group get 1, all others 0."""
    best = np.nansum(np.where(alive_GT, rewards_GT, 0.0), axis=1).argmax()
    return np.where(np.arange(len(rewards_GT))[:, None] == best, alive_GT, 0.0)


def main(group: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Estimate the advantages of one group in several ways."""
    task = sotopia_env.Bargain(zones={"wide": 1.0}).generate(np.random.default_rng(seed))
    episodes = sotopia_env.rollout([task], "scripted:mixed", num_episodes=group, seed=seed, reward="episode")
    numbers = [np.array(episode.rewards["episode"]["agent_0"], dtype=float) for episode in episodes]
    turns = max(map(len, numbers))
    rewards_GT = np.stack([np.pad(row, (0, turns - len(row))) for row in numbers])
    alive_GT = np.arange(turns) < np.array([[len(row)] for row in numbers])
    print(f"rewards\n{rewards_GT.round(2)}")
    found = {}
    for estimator in (winner_takes_all, "trajectory", "return_to_go"):
        name = estimator if isinstance(estimator, str) else estimator.__name__
        found[name] = np.asarray(training.get_estimator(estimator)(rewards_GT, alive_GT))
        print(f"{name}\n{found[name].round(2)}")
    return found


if __name__ == "__main__":
    main()

"""Step the environment by hand: the loop every algorithm is built on. Runs in a second, with no model.

Expect about as many agreements as episodes: scripted policies deal wherever both can gain.
"""

import numpy as np

import sotopia_env


def main(episodes: int = 20) -> float:
    """Play some episodes and return the mean reward of agent_0."""
    env = sotopia_env.parallel_env("bargain:validation", reward="episode", max_cycles=20)
    policies = {agent: sotopia_env.make_policy("scripted:warm") for agent in env.possible_agents}
    returns = []
    for seed in range(episodes):
        observations, infos = env.reset(seed=seed)
        total = 0.0
        while env.agents:
            actions = {a: policies[a].act_one(observations[a]) for a in env.agents if infos[a]["active"]}
            observations, rewards, _, _, infos = env.step(actions)
            total += rewards["agent_0"]
        returns.append(total)
    # nan marks an episode whose goal nobody can score: its zone of agreement was empty.
    mean, known = float(np.nanmean(returns)), episodes - int(np.isnan(returns).sum())
    print(f"mean reward of agent_0 over {known} of {episodes} episodes: {mean:.2f}")
    return mean


if __name__ == "__main__":
    main()

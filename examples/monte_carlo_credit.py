"""Monte-Carlo credit of one dialogue: what every turn changed, with its standard error. Seconds on one core.

From before and after each turn the dialogue is played on k times, by policies that stand for both speakers. The credit
of a turn is the mean score after it minus the mean score before it; at the end the score is known. A credit within two
standard errors of 0 says nothing yet: give a larger ``--k``.
"""

import argparse

import sotopia_env
from sotopia_env import rewards as R


def main(
    family: str = "bargain", policy: str = "scripted:mixed", agent: str = "agent_0", k: int = 32, seed: int = 3
) -> list[tuple[float | None, float | None]]:
    """Play a dialogue and print every own turn of one agent with its credit; returns credits and standard errors."""
    (episode,) = sotopia_env.rollout(family, policy, num_episodes=1, seed=seed)
    reward = R.MonteCarlo(policy, k=k)
    (states,) = reward.estimate([episode])
    print(f"{episode.task.scenario.goals[episode.agents.index(agent)]}\n")
    print(f"{'credit':>8}  {'± error':>8}  turns of {agent} (> what the other says)")
    credits = []
    for turn in episode.turns:
        shown = f"[{turn.type}] {turn.text}" if turn.type != "speak" else turn.text
        if turn.agent != agent:
            print(f"{'':>20}> {shown}")
            continue
        value, error = states.credit(agent, turn.global_index)
        credits.append((value, error))
        numbers = f"{'unknown':>8}  {'':>8}" if value is None else f"{value:+8.3f}  {error or 0.0:8.3f}"
        print(f"{numbers}  {shown}")
    first, last = (
        "unknown" if value is None else f"{value:.3f}" for value in (states.values[agent][0], states.values[agent][-1])
    )
    print(f"\nexpected before the first turn: {first}; in the end: {last}; the turns of both make the difference")
    return credits


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--family", default="bargain", help="bargain, divide or mutual-friends, with a split if need be"
    )
    parser.add_argument("--policy", default="scripted:mixed", help="plays on both seats: a name or a model's directory")
    parser.add_argument("--agent", default="agent_0")
    parser.add_argument("--k", type=int, default=32, help="continuations per state")
    parser.add_argument("--seed", type=int, default=3)
    main(**vars(parser.parse_args()))

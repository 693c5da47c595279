"""A reward of one's own: paid by ``step``, added to penalties, and put on stored episodes. Runs in a second.

A reward maps a list of episodes to one number per own turn of each agent. A function is enough; a class says more: its
two flags. ``kind`` is "return" where the numbers may be summed, and "credit" where each holds the long-term effect
already; ``timing`` is "causal" where a number is known once the partner has replied, and "hindsight" where it needs the
end. ``sotopia-env check examples.custom_reward:Questions`` tells whether a reward keeps the rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.episodes import Turn
from sotopia_env.rewards.designs import Kind, Timing


def last_word(episodes: Sequence[sotopia_env.Episode]) -> list[dict[str, list[float | None]]]:
    """A function is a hindsight return: 1 for whoever had the last word, at every own turn its share of it."""
    return [
        {a: [(e.turns[-1].agent == a) / len(e.own_turns(a))] * len(e.own_turns(a)) for a in e.agents} for e in episodes
    ]


@dataclass(frozen=True)
class Questions(R.TurnReward):
    """A class that looks at single turns: a causal return, ``weight`` for every turn that asks something."""

    weight: float = 0.1
    name: str = "questions"
    kind: Kind = "return"
    timing: Timing = "causal"

    def value(self, turn: Turn) -> float:
        """The number of one turn."""
        return self.weight if "?" in turn.text else 0.0


def main(episodes: int = 4) -> list[sotopia_env.Episode]:
    """Play with the reward, then label what others played."""
    # In play: a sum with the outcome and a penalty. Each part keeps its flags, and infos tell them apart.
    reward = R.Outcome("episode") + Questions() + 0.5 * R.LengthPenalty(target_words=10)
    env = sotopia_env.parallel_env("bargain:validation", reward=reward)
    policies = {agent: sotopia_env.make_policy("scripted:warm") for agent in env.possible_agents}
    observations, infos = env.reset(seed=0)
    while env.agents:
        actions = {a: policies[a].act_one(observations[a]) for a in env.agents if infos[a]["active"]}
        observations, rewards, _, _, infos = env.step(actions)
        speaker = env.unwrapped.last_turns[0]
        print(f"{speaker.agent}: {speaker.text}\n  paid {rewards[speaker.agent]:.2f}")
    print(f"agent_0, turn by turn: {[round(value, 3) for value in infos['agent_0']['utterance_rewards']]}")

    # On stored episodes: the same objects, and the function.
    played = sotopia_env.rollout("bargain:validation", "scripted:mixed", num_episodes=episodes, seed=1)
    labelled = R.relabel(R.relabel(played, Questions(weight=1.0)), last_word)
    for episode in labelled:
        print(
            f"questions {episode.rewards['questions']['agent_0']}, last word {episode.rewards['last_word']['agent_0']}"
        )
    return labelled


if __name__ == "__main__":
    main()

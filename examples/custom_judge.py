"""A judge of one's own: scores for scenarios that no rule of the package can judge. Runs in a second.

The goals of the ``mini`` family can only be judged by somebody who understands the talk: to the family's own rules they
are unknown. A judge is a function ``(episode, agent) -> {dimension: score or None}``, each score in the
native range of its dimension; every design, wrapper and ``relabel`` takes it. What it cannot know is ``None``, never 0.
"""

import sotopia_env
from sotopia_env import rewards as R

KIND = ("thank", "glad", "good", "understand")


def plain_dealing(episode: sotopia_env.Episode, agent: str) -> dict[str, float | None]:
    """Goal: half of it for saying what one wants, half for hearing that it is fair. Relationship: kind turns."""
    own = [turn.text.lower() for turn in episode.own_turns(agent) if turn.type == "speak"]
    heard = [turn.text.lower() for turn in episode.turns if turn.type == "speak" and turn.agent != agent]
    if not own or not heard:
        return {"goal": None, "relationship": None}
    wish = set(episode.task.scenario.goals[episode.agents.index(agent)].lower().split())
    said = any(len(wish & set(text.split())) >= 4 for text in own)
    kind = sum(any(word in text for word in KIND) for text in own) / len(own)
    return {"goal": 5.0 * said + 5.0 * any("fair" in text for text in heard), "relationship": 10.0 * kind - 5.0}


def main(episodes: int = 3) -> list[sotopia_env.Episode]:
    """Play with the judge, and judge what was played before."""
    reward = R.Outcome("episode", dimensions={"goal": 2, "relationship": 1}, judge=plain_dealing)
    env = sotopia_env.parallel_env("mini", reward=reward, max_cycles=10)
    policies = {agent: sotopia_env.make_policy("scripted:mixed") for agent in env.possible_agents}
    observations, infos = env.reset(seed=0)
    while env.agents:
        actions = {a: policies[a].act_one(observations[a]) for a in env.agents if infos[a]["active"]}
        observations, rewards, _, _, infos = env.step(actions)
    for agent in env.possible_agents:
        print(f"{agent} was paid {rewards[agent]:.2f} for {infos[agent]['scores']}")

    # Stored episodes: in the last one agent_1 never says a word, and nothing can be known of either.
    talk = sotopia_env.rollout("mini", "scripted:mixed", num_episodes=episodes - 1, max_cycles=10)
    silence = sotopia_env.rollout("mini", ["scripted:warm", silent], num_episodes=1, max_cycles=10)
    labelled = R.relabel([*talk, *silence], R.Outcome("uniform", judge=plain_dealing))
    for episode in labelled:
        by_judge = {judgement.judge: judgement.scores["goal"] for judgement in episode.judgements}
        print(f"{episode.task.scenario.id}: goals {by_judge}, agent_0 by turn {episode.rewards['uniform']['agent_0']}")
    return labelled


def silent(observation: sotopia_env.policies.Observation, rng: object) -> sotopia_env.Action:
    """A policy that does nothing."""
    return sotopia_env.Action("none")


if __name__ == "__main__":
    main()

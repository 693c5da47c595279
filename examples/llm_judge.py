"""A language model as judge, behind any OpenAI-compatible server: scores with reasons, paid and put on stored episodes.

    python examples/llm_judge.py --judge llm:MODEL@http://127.0.0.1:8000/v1

Needs ``pip install -e ".[openai]"`` and a server: OpenAI's (key in ``OPENAI_API_KEY``), vLLM's, llama.cpp's, or
``transformers serve``. Replies are kept in ``--cache``, so that a second run makes no call. What the model fails to
say is ``None`` with the reason why, never 0.
"""

import argparse

import sotopia_env
from sotopia_env import rewards as R


def main(
    judge: str, episodes: int = 4, policy: str = "scripted:warm", cache: str | None = None, max_cycles: int = 8
) -> list[sotopia_env.Episode]:
    """Play open-ended scenarios, have them graded, and print scores and reasons."""
    tact = R.Dimension("tact", 0, 5, "How tactful was the agent? 0 is rude, 5 is perfect.")
    grader = R.LLMJudge(judge.removeprefix("llm:"), dimensions=["goal", "relationship", tact], cache=cache)
    played = sotopia_env.rollout("mini:test", policy, num_episodes=episodes, max_cycles=max_cycles)
    print(f"before anything is asked: {grader.estimate(played)}")

    # Half of the outcome is the goal, half the relationship; tact is for the eye alone.
    reward = R.Outcome("discounted", dimensions={"goal": 1, "relationship": 1}, judge=grader, name="credit")
    labelled = R.relabel(played, reward)
    for episode in labelled:
        judgement = episode.judgements[-1]
        print(f"\n{episode.task.scenario.id}")
        for dimension, scores in judgement.scores.items():
            for agent, score, reasons in zip(episode.agents, scores, judgement.evidence[dimension], strict=True):
                print(f"  {agent} {dimension:<13}{'unknown' if score is None else score}  {' '.join(reasons)[:90]}")
        print(f"  credit of agent_0, turn by turn: {episode.rewards['credit']['agent_0']}")
    print(f"\n{grader.usage}, failures: {len(grader.failures)}")
    return labelled


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judge", required=True, help="llm:MODEL@URL, or llm:MODEL for OpenAI's own")
    parser.add_argument("--episodes", type=int, default=4)
    parser.add_argument("--policy", default="scripted:warm", help="plays both seats: a name or a model's directory")
    parser.add_argument("--cache", help="a file that keeps replies")
    parser.add_argument("--max-cycles", type=int, default=8)
    main(**vars(parser.parse_args()))

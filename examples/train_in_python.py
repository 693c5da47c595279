"""The quickstart's chain in Python: experts, a clone, labels, a reward model, GRPO on it, evaluation by the judge.

    python examples/train_in_python.py --out runs/in-python

The quickstart's chain without its report and without the partner that names prices at random; a test runs it with a
few steps. Nothing here is private to the package: each stage takes plain episodes or a directory, and can be replaced
by one of your own.
"""

import argparse
import math
from pathlib import Path

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env import training
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.training.batches import corpus
from sotopia_env.training.evaluation import draw_tasks

DIMENSIONS = ("goal", "relationship", "knowledge")


def main(out: str | Path, episodes: int, label_episodes: int, steps: int, tasks: int, batch: int = 64) -> float:
    """Run the stages and return the learner's gain in goal."""
    folder = Path(out)
    experts = sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=episodes, seed=0)
    model = LoadedModel(*build_embedded_model(corpus(experts), seed=0), "embedded")
    cloning = training.CloningConfig(
        str(folder / "clone"), per_device_train_batch_size=16, learning_rate=3e-3, muon=True
    )
    clone = training.clone(experts, model, out=folder / "clone", args=cloning)

    # The clone's own dialogues; a head of the reward model learns how each dimension ends, and pays by how it changes.
    played = sotopia_env.rollout("bargain", f"local:{clone}", num_episodes=label_episodes, seed=1)
    labels = {dimension: R.Outcome("broadcast", dimensions={dimension: 1}) for dimension in DIMENSIONS}
    modelling = training.RewardModelConfig(str(folder / "reward-model"), learning_rate=2e-3, muon=True)
    judge = training.train_reward_model(
        played, str(clone), labels=labels, target="outcome", out=folder / "reward-model", args=modelling
    )

    weights = {"goal": 2, "relationship": 1, "knowledge": 1}
    reward = R.RewardModel(str(judge), weights) + R.LengthPenalty(target_words=12, weight=0.07) + R.FormatPenalty()
    env = sotopia_env.parallel_env("bargain", reward=reward)
    learning = training.GRPOConfig(
        str(folder / "learner"), max_steps=steps, per_device_train_batch_size=batch, learning_rate=4e-4, beta=0.02
    )
    training.GRPOTrainer(str(clone), env=env, partner=str(clone), args=learning).train()

    # Not the reward model but the judge says what was learnt, on tasks that nothing was trained on.
    drawn = draw_tasks("bargain:test", tasks)
    rows = [training.evaluate(f"local:{folder / name}", f"local:{clone}", drawn) for name in ("learner", "clone")]
    gains = training.difference(*rows)
    for dimension in DIMENSIONS:
        # Of too few tasks an interval is unknown.
        known = {name: math.nan if value is None else value for name, value in gains[dimension].items()}
        print(f"gain in {dimension} over the clone: {known['mean']:+.2f} [{known['low']:+.2f}, {known['high']:+.2f}]")
    return float(gains["goal"]["mean"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="runs/in-python")
    parser.add_argument("--episodes", type=int, default=8_000, help="scripted dialogues to clone from")
    parser.add_argument("--label-episodes", type=int, default=2_000, help="of the clone, for the reward model")
    parser.add_argument("--steps", type=int, default=50, help="of GRPO")
    parser.add_argument("--batch", type=int, default=64, help="dialogues a step, in groups of 8")
    parser.add_argument("--tasks", type=int, default=100, help="of the evaluation")
    main(**vars(parser.parse_args()))

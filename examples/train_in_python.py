"""The quickstart's main stages in Python: experts, cloning, GRPO in the environment, evaluation.

At the default size it is the quickstart; a test runs it with a few steps. Expect the learner's goal to pass the
clone's within a few dozen steps, mostly by holding out longer for its price.
"""

from pathlib import Path

import sotopia_env
from sotopia_env import training
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.training.corpus import corpus
from sotopia_env.training.evaluation import draw_tasks


def main(folder: Path = Path("runs/in-python"), episodes: int = 7_000, steps: int = 40, tasks: int = 100) -> float:
    """Run the stages and return the learner's gain in goal."""
    experts = sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=episodes, seed=0)
    model = LoadedModel(*build_embedded_model(corpus(experts), seed=0), "embedded")
    settings = training.CloningConfig(
        str(folder / "clone"), per_device_train_batch_size=8, learning_rate=3e-3, muon=True
    )
    clone = training.clone(experts, model, out=folder / "clone", args=settings)

    env = sotopia_env.parallel_env("bargain", reward="episode")
    args = training.GRPOConfig(str(folder / "learner"), max_steps=steps, learning_rate=3e-4, beta=0.02)
    training.GRPOTrainer(str(clone), env=env, partner=str(clone), args=args).train()

    drawn = draw_tasks("bargain:test", tasks)
    rows = [training.evaluate(f"local:{folder / name}", f"local:{clone}", drawn) for name in ("learner", "clone")]
    gain = training.difference(*rows)["goal"]
    print(f"gain in goal over the clone: {gain['mean']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}]")
    return float(gain["mean"])


if __name__ == "__main__":
    main()

"""A stock ``trl.GRPOTrainer`` that learns in the environment: three lines of this package, no subclass.

    python examples/trl_rollout_func.py --model runs/bc --partner runs/bc --out runs/trl

``make_rollout_func`` plays a dialogue for every prompt with the weights in training, ``group_dataset`` makes the
prompts (a task, a seat and a seed for each group), and ``dialogue_return`` hands on what ``step`` paid. One number a
dialogue is all that a stock trainer knows; ``training.GRPOTrainer`` estimates advantages turn by turn.
"""

import argparse

import torch
import trl

import sotopia_env
from sotopia_env import training
from sotopia_env.agents.loading import load_model


def main(model: str, partner: str = "scripted:firm", out: str = "runs/trl", steps: int = 10, batch: int = 32,
         learning_rate: float = 1e-4, max_cycles: int = 12, seed: int = 0) -> float:  # fmt: skip
    """Train for some steps and return the mean reward of the last one."""
    env = sotopia_env.parallel_env("bargain", reward="episode + length", max_cycles=max_cycles)
    loaded = load_model(model)
    args = trl.GRPOConfig(
        out,
        max_steps=steps,
        per_device_train_batch_size=batch,
        num_generations=8,
        learning_rate=learning_rate,
        loss_type="dr_grpo",
        scale_rewards="none",
        shuffle_dataset=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
    )
    trainer = trl.GRPOTrainer(
        model=loaded.model,
        reward_funcs=training.dialogue_return,
        args=args,
        train_dataset=training.group_dataset(steps * batch // 8, seed=seed),
        processing_class=loaded.tokenizer,
        rollout_func=training.make_rollout_func(env, partner),
    )
    trainer.train()
    trainer.save_model(out)
    rewards = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    print(f"mean reward: {rewards[0]:.3f} in the first step, {rewards[-1]:.3f} in the last")
    return float(rewards[-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a directory or a hub id")
    parser.add_argument("--partner", default="scripted:firm")
    parser.add_argument("--out", default="runs/trl")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32, help="dialogues a step, in groups of 8")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--max-cycles", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))

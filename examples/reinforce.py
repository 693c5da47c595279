"""An algorithm of one's own: plain REINFORCE in self-play, where one small language model acts for both seats.

``training.collate`` makes tensors of episodes and torch does the rest: no trainer and no estimator in here. The model
learns to talk by imitating scripted dialogues. Then it plays in groups of one task, and the turns of dialogues that
were paid better than the others of their group become likelier, on either seat.

    python examples/reinforce.py                      # from nothing, about two minutes on one core
    python examples/reinforce.py --model runs/bc      # from a clone, or any causal language model

The reward is the mean of goal, relationship and knowledge, each on [0, 1]: a better price for one seat is a worse one
for the other, but both can gain by being kind and by asking.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env import training
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.training.batches import corpus

SEATS = ("agent_0", "agent_1")
REWARD = R.Outcome("episode", dimensions={"goal": 1, "relationship": 1, "knowledge": 1}, name="outcome")
FAMILY = sotopia_env.Bargain()
ROWS = 16
"""Dialogues that go through the model at a time."""


def loss_of(model: Any, batch: training.Batch, weights_BT: torch.Tensor) -> torch.Tensor:
    """Minus the log-probabilities of the tokens that an agent wrote, each times the weight of its turn, summed."""
    logits = model(input_ids=batch.input_ids[:, :-1], attention_mask=batch.attention_mask[:, :-1]).logits
    loss_BL = F.cross_entropy(logits.transpose(1, 2), batch.input_ids[:, 1:], reduction="none")
    turns_BL = batch.utterance_index[:, 1:].clamp(min=0)
    return (loss_BL * weights_BT.gather(1, turns_BL) * batch.own_mask[:, 1:]).sum()


def take_step(model: Any, optimizer: torch.optim.Optimizer) -> None:
    """One step of the optimizer along the gradient that was gathered."""
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def imitate(learner: LoadedModel, experts: Sequence[sotopia_env.Episode], learning_rate: float = 6e-3) -> None:
    """Behaviour cloning: the same loss with the weight 1 for every turn of the scripted dialogues."""
    optimizer = torch.optim.AdamW(learner.model.parameters(), learning_rate)
    starts = [(start, agent) for start in range(0, len(experts), ROWS) for agent in SEATS]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(starts))
    for start, agent in starts:
        batch = training.collate(experts[start : start + ROWS], agent, learner.tokenizer)
        (loss_of(learner.model, batch, batch.alive_BT.float()) / batch.own_mask.sum()).backward()
        take_step(learner.model, optimizer)
        schedule.step()


def leave_one_out(returns_MN: torch.Tensor) -> torch.Tensor:
    """Advantages: each of M dialogues of N tasks minus the mean of its siblings, 0 where that is unknown."""
    siblings_MN = (returns_MN.sum(0) - returns_MN) / (len(returns_MN) - 1)
    return torch.nan_to_num(returns_MN - siblings_MN)


def play(policy: LocalLM, tasks: Sequence[sotopia_env.Task], members: int, seed: int, traces: Any = None) -> list[Any]:
    """Self-play, each task so many times: episode i is of task i % len(tasks)."""
    # What the model remembers of earlier dialogues was computed with earlier weights.
    policy.forget()
    number = members * len(tasks)
    return sotopia_env.rollout(
        tasks, policy, num_episodes=number, seed=seed, reward=REWARD, traces=traces, batch_size=number, max_cycles=12
    )


def learn(policy: LocalLM, optimizer: Any, tasks: Sequence[sotopia_env.Task], members: int, seed: int) -> float:
    """One step of REINFORCE: play, compare, and make better dialogues likelier on both seats."""
    traces: dict[Any, Any] = {}
    episodes = play(policy, tasks, members, seed, traces)
    returns = []
    for agent in SEATS:
        returns_B = training.collate(episodes, agent, policy.tokenizer, traces=traces).rewards_BT["outcome"].sum(1)
        advantages_B = leave_one_out(returns_B.view(members, len(tasks))).flatten()
        for start in range(0, len(episodes), ROWS):
            batch = training.collate(episodes[start : start + ROWS], agent, policy.tokenizer, traces=traces)
            weights_BT = advantages_B[start : start + ROWS, None] * batch.alive_BT
            (loss_of(policy.model, batch, weights_BT) / (len(SEATS) * len(episodes))).backward()
        returns.append(returns_B)
    take_step(policy.model, optimizer)
    return float(torch.cat(returns).nanmean())


def measure(policy: LocalLM, tasks: Sequence[sotopia_env.Task], what: str) -> np.ndarray:
    """Mean reward of both seats in each task, printed with its standard error and what it is made of."""
    episodes = play(policy, tasks, 1, seed=0)
    paid = np.array([[sum(map(float, e.rewards["outcome"][a])) for a in SEATS] for e in episodes]).mean(1)
    scores = {d: np.mean([e.judgements[-1].scores[d] for e in episodes]) for d in REWARD.dimensions}
    shown = ", ".join(f"{dimension} {score:.2f}" for dimension, score in scores.items())
    print(f"{what}: mean reward {paid.mean():.3f} ± {paid.std(ddof=1) / len(paid) ** 0.5:.3f} ({shown})")
    return paid


def main(model: str, experts: int, steps: int, groups: int, members: int, tasks: int, learning_rate: float,
         hidden_size: int, out: str, seed: int) -> float:  # fmt: skip
    """Imitate, measure, learn, measure again; returns the gain in mean reward on tasks of the test split."""
    start, rng = time.perf_counter(), np.random.default_rng(seed)
    if model:
        learner = load_model(model)
    else:
        shown = sotopia_env.rollout(FAMILY, "scripted:mixed", num_episodes=experts, seed=seed)
        learner = LoadedModel(*build_embedded_model(corpus(shown), seed, hidden_size=hidden_size, key_heads=4))
        imitate(learner, shown)
        print(f"imitated {experts} dialogues in {time.perf_counter() - start:.0f} s")
    policy = LocalLM(learner)
    held_out = [FAMILY.generate(rng, "test") for _ in range(tasks)]
    before = measure(policy, held_out, "before")
    optimizer = torch.optim.AdamW(learner.model.parameters(), learning_rate, weight_decay=0.0)
    for step in range(1, steps + 1):
        drawn = [FAMILY.generate(rng) for _ in range(groups)]
        mean = learn(policy, optimizer, drawn, members, seed=step)
        print(f"step {step}: mean reward {mean:.3f}, {time.perf_counter() - start:.0f} s")
    after = measure(policy, held_out, "after")
    gains = after - before
    print(f"gain: {gains.mean():+.3f} ± {gains.std(ddof=1) / len(gains) ** 0.5:.3f}")
    if out:
        learner.save(out)
    return float(gains.mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="", help="a directory or a hub id; by default a small model is made first")
    parser.add_argument("--experts", type=int, default=800, help="scripted dialogues that it imitates then")
    parser.add_argument("--hidden-size", type=int, default=64, help="its width")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--groups", type=int, default=4, help="tasks a step")
    parser.add_argument("--members", type=int, default=8, help="dialogues a task")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="a model of billions of weights wants 1e-5")
    parser.add_argument("--tasks", type=int, default=64, help="that are measured, before and after")
    parser.add_argument("--out", default="", help="where to save the learner")
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))

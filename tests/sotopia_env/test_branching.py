"""Deepcopy, pickle, snapshot, restore, fork and from_episode, bare and wrapped."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.families import family_of

PlayOut = Callable[..., list[Any]]
ORDERS = ["round-robin", "simultaneous", "random"]
FEASIBLE = sotopia_env.Bargain(zones={"wide": 1.0})
"""Every goal is known, so that what was paid can be compared."""


def begun(order: str = "round-robin", reward: Any = None, steps: int = 3, seed: int = 1) -> Any:
    """An environment in the middle of an episode."""
    env = sotopia_env.parallel_env(FEASIBLE, action_order=order, reward=reward)
    env.reset(seed=seed)
    for i in range(steps):
        env.step({agent: f"I would like ${90 - 5 * i - int(agent[-1])}." for agent in env.unwrapped.acting})
    return env


def course(env: Any, play_out: PlayOut, policy: str = "scripted:warm") -> str:
    """How an episode goes on from here, the next one's task included."""
    results = play_out(env, policy, 3)
    paid = [result[1] for result in results]
    episode = env.episode
    env.reset()
    turns = [(turn.seat, turn.own_index, turn.type, turn.text) for turn in episode.turns]
    return json.dumps([turns, str(episode.ending), paid, env.unwrapped.episode.task.id])


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),  # noqa: S301
    "fork": lambda env: env.fork()[0],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("reward", [None, "uniform"])
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_in_mid_episode_goes_on_identically(play_out: PlayOut, order: str, reward: Any, how: str) -> None:
    env = begun(order, reward)
    twin = COPIES[how](env)
    assert type(twin) is type(env)
    assert course(twin, play_out) == course(env, play_out)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("reward", [None, "episode"])
def test_a_snapshot_is_json_and_restores_into_a_fresh_environment(play_out: PlayOut, order: str, reward: Any) -> None:
    env = begun(order, reward)
    written = json.dumps(env.snapshot())
    other = sotopia_env.parallel_env(FEASIBLE, action_order=order, reward=reward)
    other.restore(json.loads(written))
    assert json.dumps(other.snapshot()) == written
    assert other.unwrapped.acting == env.unwrapped.acting
    assert course(other, play_out) == course(env, play_out)


RESTORE = """
import json, sys, sotopia_env
env = sotopia_env.parallel_env("bargain", reward="uniform")
env.restore(json.load(sys.stdin))
policy = sotopia_env.make_policy("scripted:warm")
total = {"agent_0": 0.0, "agent_1": 0.0}
while env.agents:
    _, rewards, *_ = env.step({a: policy.act_one(env.unwrapped.observe(a)) for a in env.unwrapped.acting})
    total = {a: total[a] + rewards[a] for a in total}
print(json.dumps([[turn.text for turn in env.episode.turns], total]))
"""


def test_a_snapshot_restores_in_another_process() -> None:
    env = begun(reward="uniform")
    run = subprocess.run(
        [sys.executable, "-c", RESTORE], input=json.dumps(env.snapshot()), capture_output=True, text=True, check=True,
        cwd=Path(sotopia_env.__file__).parents[1],
    )  # fmt: skip
    policy = sotopia_env.make_policy("scripted:warm")
    total = {"agent_0": 0.0, "agent_1": 0.0}
    while env.agents:
        _, paid, *_ = env.step({a: policy.act_one(env.unwrapped.observe(a)) for a in env.unwrapped.acting})
        total = {a: total[a] + paid[a] for a in total}
    assert json.loads(run.stdout) == [[turn.text for turn in env.episode.turns], total]
    assert total != {"agent_0": 0.0, "agent_1": 0.0}


def test_restore_goes_back_within_an_episode(play_out: PlayOut) -> None:
    env = begun("random")
    snapshot = env.snapshot()
    first = course(env, play_out)
    env.restore(snapshot)
    assert len(env.episode.turns) == 3
    assert env.agents == ["agent_0", "agent_1"]
    assert course(env, play_out) == first


def test_a_snapshot_of_a_finished_episode_is_finished() -> None:
    env = begun()
    env.step({env.acting[0]: sotopia_env.leave()})
    other = sotopia_env.parallel_env(FEASIBLE)
    other.restore(env.snapshot())
    assert other.agents == []
    assert other.ending == env.ending
    with pytest.raises(RuntimeError, match="the episode is over"):
        other.step({})


def test_restore_takes_over_rules_seed_and_key() -> None:
    env = sotopia_env.parallel_env(FEASIBLE, max_cycles=7, max_stale=1, action_types=["none", "speak"])
    env.reset(seed=0)
    other = sotopia_env.parallel_env(FEASIBLE, action_order="random")
    other.restore(env.snapshot())
    assert other.config == env.config
    assert (other.episode.seed, other.episode.key) == (0, env.episode.key)
    assert other.action_space("agent_0") == env.action_space("agent_0")


@pytest.mark.parametrize("change", [{"format_version": 99}, {"format_version": None}])
def test_a_snapshot_of_another_format_is_refused(change: dict[str, Any]) -> None:
    env = begun()
    with pytest.raises(ValueError, match="restore: format_version"):
        env.restore({**env.snapshot(), **change})


def test_a_snapshot_of_other_seats_or_of_no_wrapper_is_refused(open_env: Callable[..., Any]) -> None:
    env = begun()
    with pytest.raises(ValueError, match="has 3 seats, this environment 2"):
        env.restore(open_env(3).snapshot())
    with pytest.raises(ValueError, match="not of an environment wrapped in"):
        begun(reward="episode").restore(env.snapshot())


@pytest.mark.parametrize("reward", [None, "uniform"])
def test_forks_are_independent_of_each_other_and_of_their_origin(play_out: PlayOut, reward: Any) -> None:
    env = begun("random", reward)
    before = json.dumps(env.snapshot())
    siblings = env.fork(8)
    assert len({id(sibling) for sibling in siblings}) == 8
    courses = [
        course(sibling, play_out, policy)
        for sibling, policy in zip(siblings, ["random", "scripted:firm"] * 4, strict=True)
    ]
    assert json.dumps(env.snapshot()) == before
    assert len(set(courses)) == 2
    assert env.unwrapped.action_space("agent_0") is not siblings[0].unwrapped.action_space("agent_0")


def test_forks_sample_on_from_the_same_state_each_by_itself() -> None:
    env = sotopia_env.parallel_env(FEASIBLE, reward=None)

    def samples(env: Any) -> list[Any]:
        of_both = (env.action_space("agent_0"), env.observation_space("agent_0"))
        return [[json.dumps(space.sample(), default=str) for _ in range(3)] for space in of_both]

    for space in (env.action_space("agent_0"), env.observation_space("agent_0")):
        space.seed(5)
        space.sample()
    one, other = env.fork(2)
    expected = samples(one)
    assert samples(other) == samples(env) == expected
    assert samples(other) != expected
    assert one.action_space("agent_0") == env.action_space("agent_0")
    # Seeding a fork that nobody has sampled from yet touches no other one.
    fresh, twin = sotopia_env.parallel_env(FEASIBLE, reward=None).fork(2)
    fresh.action_space("agent_0").seed(5)
    twin.action_space("agent_0").seed(5)
    twin.action_space("agent_0").sample()
    twin.action_space("agent_0").seed(5)
    assert fresh.action_space("agent_0").sample() == twin.action_space("agent_0").sample()


def test_forks_of_an_environment_that_was_never_reset_can_be_reset() -> None:
    template = sotopia_env.parallel_env(FEASIBLE, reward="episode")
    ids = [env.reset(seed=seed)[1]["agent_0"]["task"] for seed, env in enumerate(template.fork(3))]
    assert ids == [sotopia_env.parallel_env(FEASIBLE).reset(seed=seed)[1]["agent_0"]["task"] for seed in range(3)]


@pytest.mark.parametrize("how", ["fork", "restore", "deepcopy", "pickle"])
def test_what_the_reward_wrapper_paid_is_carried_along(play_out: PlayOut, how: str) -> None:
    env = R.LengthPenalty(R.EpisodeReward(sotopia_env.parallel_env(FEASIBLE, reward=None)), target_words=1, weight=0.5)
    env.reset(seed=0)
    for text in ("many words indeed", "and many words more"):
        env.step({env.unwrapped.acting[0]: text})
    if how == "restore":
        twin = R.LengthPenalty(
            R.EpisodeReward(sotopia_env.parallel_env(FEASIBLE, reward=None)), target_words=1, weight=0.5
        )
        twin.restore(json.loads(json.dumps(env.snapshot())))
    else:
        twin = COPIES[how](env)
    one, other = play_out(env), play_out(twin)
    assert [result[1] for result in one] == [result[1] for result in other]
    assert one[-1][4] == other[-1][4]
    assert len(one[-1][4]["agent_0"]["utterance_rewards"]) == env.unwrapped.own_turns_played("agent_0")
    assert env.episode == twin.episode


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("cut", [0, 2, 4])
def test_an_episode_cut_short_goes_on_from_its_last_turn(play_out: PlayOut, order: str, cut: int) -> None:
    from dataclasses import replace

    env = begun(order, steps=0)
    play_out(env, "random")
    whole = env.episode
    short = replace(whole, turns=whole.turns[:cut], ending=None)
    again = SotopiaParallelEnv.from_episode(short, family_of(short.task), seed=5)
    if order == "round-robin":
        for turn in whole.turns[cut:]:
            again.step({turn.agent: sotopia_env.Action(turn.type, turn.text)})
        assert again.episode.turns == whole.turns
        assert again.ending == whole.ending
    else:
        twin = SotopiaParallelEnv.from_episode(short, family_of(short.task), seed=5)
        assert course(again, play_out) == course(twin, play_out)


def test_a_finished_episode_finds_its_ending_again(play_out: PlayOut) -> None:
    for seed in range(6):
        env = begun(steps=0, seed=seed)
        play_out(env, "scripted:mixed" if seed % 2 else "random", seed)
        again = SotopiaParallelEnv.from_episode(env.episode, env.family)
        assert again.ending == env.ending
        assert again.acting == ()

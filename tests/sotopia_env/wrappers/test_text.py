from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env import do, rendering, speak
from sotopia_env import rewards as R
from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.policies import Decision
from sotopia_env.wrappers.text import MAX_OUTPUT, RunningPrompt, TextWrapper

ORDERS = ["round-robin", "simultaneous", "random"]


def test_prompts_in_and_raw_output_out() -> None:
    env = sotopia_env.parallel_env("bargain", interface="text", reward="episode")
    observations, infos = env.reset(seed=0)
    assert set(observations["agent_0"]) == {"prompt", "action_types"}
    assert observations["agent_0"]["action_types"].tolist() == [1, 1, 1, 1, 1]
    assert observations["agent_1"]["action_types"].tolist() == [1, 0, 0, 0, 0]
    env.step({"agent_0": "  [action] accept "})
    env.step({"agent_1": '{"action_type": "speak", "argument": "hi"}'})
    *_, infos = env.step({"agent_0": '{"action_type": "speak"'})
    assert "not valid JSON" in infos["agent_0"]["invalid_action"]
    turns = env.episode.turns
    assert [(turn.type, turn.text) for turn in turns] == [("action", "accept"), ("speak", "hi"), ("none", "")]
    assert turns[0].raw == "  [action] accept "
    assert set(infos["agent_0"]) >= {"utterance_rewards", "active"}


@pytest.mark.parametrize("given", [3, {"action_type": 1, "argument": "x"}, ["x"], b"x"])
def test_what_is_no_text_is_counted(given: Any) -> None:
    env = sotopia_env.parallel_env("bargain", interface="text")
    env.reset(seed=0)
    assert "takes a str" in env.step({"agent_0": given})[4]["agent_0"]["invalid_action"]


def test_actions_and_decisions_are_passed_on() -> None:
    env = sotopia_env.parallel_env("bargain", interface="text")
    env.reset(seed=0)
    env.step({"agent_0": speak("[leave]")})
    env.step({"agent_1": Decision(do("waits"), raw="raw")})
    assert [(turn.type, turn.text, turn.raw) for turn in env.episode.turns] == [
        ("speak", "[leave]", None), ("action", "waits", "raw"),
    ]  # fmt: skip
    assert env.step({})[4]["agent_0"]["invalid_action"] == "no action was given"


def test_unknown_agents_raise_as_ever() -> None:
    env = sotopia_env.parallel_env("bargain", interface="text", private_messages=True)
    env.reset(seed=0)
    with pytest.raises(KeyError, match="agent_9"):
        env.step({"agent_9": "hi"})


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seats", [2, 3])
def test_the_running_prompt_is_the_rendered_observation_at_every_step(
    open_env: Callable[..., SotopiaParallelEnv], order: str, seats: int
) -> None:
    env = open_env(seats, action_order=order, max_cycles=60, max_stale=60)
    rng = np.random.default_rng(0)
    running = {agent: RunningPrompt() for agent in env.possible_agents}
    texts = ["hi\nagent_1: no", "[leave]", "said: x", " ", "#3 agent_0: I agree", "{", "a\n\n#1 agent_1: b\n    c"]
    while env.agents:
        for agent, prompt in running.items():
            seen = env.observe(agent)
            assert prompt.text(seen) == rendering.as_text(seen)
        env.step({agent: texts[rng.integers(len(texts))] for agent in env.acting})


def test_a_running_prompt_depends_on_nothing_it_read_before(open_env: Callable[..., SotopiaParallelEnv]) -> None:
    """Windows move, snapshots go back, tasks change: what it is shown is what it shows."""
    env = open_env(max_cycles=900)
    prompt = RunningPrompt()
    shown = []
    while env.agents:
        env.step({env.acting[0]: f"{'word ' * 60}\n{len(shown)}"})
        shown.append(env.observe("agent_0"))
    assert not shown[-1]["transcript"].startswith("#0 ")
    other = sotopia_env.parallel_env("bargain")
    other.reset(seed=0)
    longer = {**shown[4], "transcript": shown[4]["transcript"] + "1"}
    deeper = {**shown[4], "transcript": shown[4]["transcript"] + "\n    more"}
    second = env.observe("agent_1")
    for seen in [*shown[:8], *shown[250:270], shown[3], shown[4], longer, deeper, other.observe("agent_1"), second]:
        assert prompt.text(seen) == rendering.as_text(seen)


def test_each_step_reads_the_new_turns_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    env = sotopia_env.parallel_env("bargain", interface="text", max_cycles=400, max_stale=400)
    env.reset(seed=0)
    read: list[int] = []
    parse = sotopia_env.views.parse_transcript
    monkeypatch.setattr(
        "sotopia_env.wrappers.text.parse_transcript", lambda text: read.append(text.count("#")) or parse(text)
    )
    while env.agents:
        env.step({env.unwrapped.acting[0]: "That is so."})
    assert max(read) == 1
    assert len(read) == 800


def test_wrappers_stack_in_any_order_and_forks_share_nothing() -> None:
    bare = sotopia_env.parallel_env("bargain", action_order="random")
    env = R.LengthPenalty(TextWrapper(R.EpisodeReward(bare)), target_words=1, weight=0.5)
    env.reset(seed=0)
    env.step({env.unwrapped.acting[0]: "many words indeed"})
    snapshot = env.snapshot()
    one, other = env.fork(2)
    assert one.action_space("agent_0") is not other.action_space("agent_0")
    third = copy.deepcopy(env)
    for twin in (one, third):
        observations = twin.step({twin.unwrapped.acting[0]: "Yes."})[0]
        assert observations["agent_0"]["prompt"] == rendering.as_text(twin.unwrapped.observe("agent_0"))
    assert one.episode.turns == third.episode.turns
    other.step({other.unwrapped.acting[0]: "No."})
    assert other.episode.turns[-1].text == "No."
    env.restore(snapshot)
    assert env.env.observe("agent_1")["prompt"] == rendering.as_text(bare.observe("agent_1"))


def test_the_spaces_are_lengths_of_the_package() -> None:
    one, other = (sotopia_env.parallel_env(name, interface="text") for name in ("bargain", "bargain:test"))
    assert one.observation_space("agent_0") == other.observation_space("agent_1")
    assert one.observation_space("agent_0") is one.observation_space("agent_0")
    assert "x" * MAX_OUTPUT in one.action_space("agent_0")
    assert "x" * (MAX_OUTPUT + 1) not in one.action_space("agent_0")

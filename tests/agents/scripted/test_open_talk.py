"""Small talk fits any scenario, acts on one's own goal a little, and gives nothing away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env.agents.scripted.open_talk import FAREWELLS, GREETINGS, open_talk, own_wish
from sotopia_env.families.mini.loading import load_mini


@pytest.mark.parametrize(
    ("goal", "wish"),
    [
        ("You want the stall by the gate, on both days.", "the stall by the gate"),
        ("You want to borrow your neighbour's ladder and keep it.", "to borrow my neighbour's ladder"),
        ("Your goal is to get an answer for you. More.", "to get an answer for me"),
        ("You want to keep your fear to yourself.", ""),
        ("You want to leave without saying why.", ""),
        ("You want the other to stop.", ""),
        ("You want $90.", ""),
        ("Comfort Bo.", ""),
        ("You hold six cuttings. You want nine seeds.", ""),
        ("", ""),
    ],
)
def test_a_wish_is_said_only_where_it_gives_nothing_away(goal: str, wish: str) -> None:
    assert own_wish(goal) == wish


def observation(*said: str, goal: str = "You want the lower berth.", turn: int | None = None) -> dict[str, Any]:
    transcript = "\n".join(f"#{i} agent_{i % 2}: {text}" for i, text in enumerate(said))
    return {"agent": "agent_0", "goal": goal, "transcript": transcript, "turn": len(said) if turn is None else turn}


def test_it_greets_says_its_wish_and_does_not_repeat_itself() -> None:
    rng = np.random.default_rng(0)
    assert open_talk(observation(), rng).text in GREETINGS
    assert "the lower berth" in open_talk(observation("Hello.", "Hello."), rng).text
    said = ["Hello.", "Hello."]
    for _ in range(5):
        text = open_talk(observation(*said, goal="Comfort Bo."), rng).text
        assert text not in said
        said += [text, "I see."]


def test_it_leaves_politely_when_the_other_has_left_or_the_talk_is_long() -> None:
    left = {**observation("Hello."), "transcript": "#0 agent_0: Hello.\n#1 agent_1 [leave]: bye"}
    assert open_talk(left, np.random.default_rng(0)).type == "leave"
    kinds = [open_talk(observation("Hello.", "Hm.", turn=14), np.random.default_rng(seed)) for seed in range(200)]
    leaving = [action for action in kinds if action.type == "leave"]
    assert 0.2 < len(leaving) / 200 < 0.4
    assert all(action.text in FAREWELLS for action in leaving)


@pytest.mark.parametrize("name", ["warm", "stonewall", "deceptive"])
def test_every_hand_written_scenario_is_played(name: str) -> None:
    tasks = [task for task in load_mini("mini", "1") if task.split == "train"][::3]
    for episode in sotopia_env.rollout(tasks, f"scripted:{name}", num_episodes=len(tasks), seed=0):
        scores = episode.judgements[-1].scores
        assert len(episode.turns) >= 12
        assert all(turn.invalid is None for turn in episode.turns)
        assert scores["secret"] == [0.0, 0.0]
        assert scores["social_rules"] == [0.0, 0.0]


def test_what_a_task_hides_is_not_read() -> None:
    task = load_mini("mini", "1")[0]
    blind = replace(task, scenario=replace(task.scenario, notes=""))
    first, second = (sotopia_env.rollout([t], "scripted:warm", num_episodes=1, seed=0)[0] for t in (task, blind))
    assert [turn.text for turn in first.turns] == [turn.text for turn in second.turns]

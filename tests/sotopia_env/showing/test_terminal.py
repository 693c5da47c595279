from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from sotopia_env.episodes import Episode, Judgement, Turn
from sotopia_env.resolve import make_policy
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.showing.terminal import episode_line, episode_text


@pytest.fixture(scope="module")
def episode() -> Episode:
    policies = [make_policy("scripted:firm"), make_policy("scripted:warm")]
    tasks = "bargain:test?agreement=formal"
    return rollout(tasks, policies, num_episodes=1, seed=0, reward="episode + 0.5 * length")[0]


def test_an_episode_prints_in_80_columns(episode: Episode) -> None:
    text = str(episode)
    assert text == episode_text(episode)
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert lines[0] == "Episode 0-0: agreement by Leila Sato at $155"
    assert lines[1] == "bargain 4 · bargain-test-reading-lamp-175-95-175-11467d72fd · seed"
    told = " ".join(text.split())
    assert f"Goal: {episode.task.scenario.goals[0]}" in told
    assert f"Secret: {episode.task.characters[1].secret}" in told
    assert "Judged by: role buyer; limit 175; list price 175" in told


def test_rewards_offers_and_scores_stand_with_their_turns(episode: Episode) -> None:
    lines = str(episode).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("#0"))
    assert lines[first].split() == "#0 Leila Sato [action]: offer $115 episode 0".split()
    assert lines[first + 1].split() == "on the table: Leila Sato $115 length 0".split()
    last = next(line for line in lines if line.startswith("#6"))
    assert last.split() == "#6 Leila Sato [action]: accept episode 0.325".split()
    assert next(line for line in lines if line.startswith("goal ")).split() == ["goal", "3.25", "7.75"]
    assert "  goal: turn 6: $155 gives 75% of the zone" in lines
    assert next(line for line in lines if line.startswith("episode  ")).split() == ["episode", "0.325", "0.775"]


def test_what_is_unknown_is_no_zero(episode: Episode) -> None:
    unknown = replace(
        episode,
        judgements=(Judgement("mine", "1", {"goal": [None, 4.0]}),),
        rewards={"mine": {"agent_0": [None] * 4, "agent_1": [1.0, 0.5, None]}},
    )
    lines = str(unknown).splitlines()
    assert next(line for line in lines if line.startswith("#0")).endswith("mine –")
    assert next(line for line in lines if line.startswith("goal ")).split() == ["goal", "–", "4.00"]
    assert lines[-1].split() == ["mine", "–", "–"]


def test_an_utterance_can_pass_for_nothing_else(episode: Episode) -> None:
    hostile = "Yes.\n#7 Ravi Moreau: I give in. [bold red]\x1b[31m\u202e" + "x" * 50_000
    turn = Turn(0, 0, 0, "speak", hostile, raw=hostile, invalid=hostile)
    text = str(replace(episode, turns=(turn,), ending=None, rewards={}, key=hostile))
    lines = text.splitlines()
    assert not [line for line in lines if line.startswith("#7")]
    assert not {"\x1b", "\u202e"} & set(text)
    assert "\\x1b[31m\\u202exxx" in "".join(text.split())
    assert "[bold red]" in " ".join(text.split())
    assert max(map(cell_len, lines)) <= 80


def test_a_private_turn_and_an_invalid_one_are_marked(episode: Episode) -> None:
    turns = (
        Turn(0, 0, 0, "speak", "Between us.", recipients=(1,)),
        Turn(1, 0, 1, "speak", "Note.", recipients=()),
        Turn(0, 1, 2, "none", "", raw="{", invalid="no JSON"),
    )
    lines = [" ".join(line.split()) for line in str(replace(episode, turns=turns, rewards={})).splitlines()]
    assert "#0 Leila Sato (only to Ravi Moreau): Between us." in lines
    assert "#1 Ravi Moreau (only to nobody): Note." in lines
    start = lines.index("#2 Leila Sato [none]:")
    assert lines[start + 1 : start + 3] == ["invalid: no JSON", "raw: {"]


def test_large_numbers_keep_their_digits(episode: Episode) -> None:
    paid = replace(episode, rewards={"price": {"agent_0": [1234.4, 0.12345, -0.0, 0.0], "agent_1": [1.0, 2.0, -3.0]}})
    lines = str(paid).splitlines()
    assert next(line for line in lines if line.startswith("#0")).endswith("price 1234")
    assert next(line for line in lines if line.startswith("#2")).endswith("price 0.123")
    assert next(line for line in lines if line.startswith("#4")).endswith("price 0")
    assert lines[-1].split() == ["price", "1235", "0"]


def test_an_episode_is_listed_with_its_scores(episode: Episode) -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(episode_line(episode))
    console.print(episode_line(replace(episode, judgements=(), ending=None, policies={})))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "0-0  bargain  scripted:firm, scripted:warm  agreement by Leila Sato at $155"
    assert lines[1].strip().startswith("goal 3.25 7.75 · relationship 0 1.67 · ")
    assert [line.rstrip() for line in lines[3:]] == ["0-0  bargain  –  still running", "    not judged"]


def test_the_short_form_of_an_episode_is_one_line(episode: Episode) -> None:
    assert repr(episode) == (
        "Episode(key='0-0', task='bargain-test-reading-lamp-175-95-175-11467d72fd', turns=7, ending='agreement')"
    )

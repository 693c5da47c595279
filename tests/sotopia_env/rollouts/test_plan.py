"""Any list of plans is played in one way: durable, resumable, shared by processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env import rollout
from sotopia_env.describe import describe
from sotopia_env.episodes import Episode
from sotopia_env.policies import Context, Decision, Observation
from sotopia_env.rollouts.lockstep import Game
from sotopia_env.rollouts.manifest import manifest_path
from sotopia_env.rollouts.plan import EpisodePlan, EpisodePlans, RunContext
from sotopia_env.rollouts.rollout import continue_episodes
from sotopia_env.rollouts.run import Judging, play_plan
from sotopia_env.storage.episodes import load_episodes, save_episodes


def episodes_of(family: str, number: int, **options: Any) -> list[Episode]:
    return rollout(family, "scripted:mixed", num_episodes=number, seed=5, **options)


def plans(number: int = 8, policy: Any = "scripted:mixed", prefix: str | None = None) -> EpisodePlans:
    """Plans of two families side by side: fresh tasks, and episodes to go on from."""
    seats = {"agent_0": policy, "agent_1": "scripted:warm"}
    bargain, divide = episodes_of("bargain", number), episodes_of("divide", number)
    fresh = [EpisodePlan(f"a-{i}", 3 + i, seats, episode.task, env_seed=i % 2) for i, episode in enumerate(bargain)]
    begun = [
        EpisodePlan(f"a-{number + i}", 9 + i, seats, begun=replace(e, turns=e.turns[:2], ending=None, judgements=()))
        for i, e in enumerate(divide)
    ]
    return EpisodePlans([*fresh, *begun], RunContext(env_options={"max_cycles": 8}), seed=1, prefix=prefix)


class Stops:
    """A scripted policy that is interrupted after so many calls."""

    def __init__(self, calls: int) -> None:
        self.left = calls
        self.policy = sotopia_env.make_policy("scripted:mixed")
        self.name = self.policy.name

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.policy.act(observations, contexts)

    def act_one(self, observation: Observation, context: Context | None = None) -> Any:
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        return describe(self.policy)


def test_keys_seeds_and_names_are_those_of_the_plans() -> None:
    given = plans()
    played = play_plan(given)
    assert [episode.key for episode in played] == [f"a-{i}" for i in range(16)]
    assert [episode.seed for episode in played[:8]] == [0, 1] * 4
    assert [episode.seed for episode in played[8:]] == list(range(9, 17))
    for episode, plan in zip(played, given.episodes, strict=True):
        assert episode.policies == {"agent_0": "scripted:mixed", "agent_1": "scripted:warm"}
        assert episode.ending is not None and not episode.judgements
        if plan.begun is None:
            assert (episode.task, episode.config["max_cycles"]) == (plan.task, 8)
        else:
            assert episode.turns[:2] == plan.begun.turns
    # Neither a batch nor what is played beside it makes a difference.
    assert play_plan(replace(given, episodes=given.episodes[5:10]), batch_size=2) == played[5:10]


def test_what_was_interrupted_goes_on_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    played = play_plan(plans(), out=whole)
    for calls in (5, 6):
        with pytest.raises(KeyboardInterrupt):
            play_plan(plans(policy=Stops(calls)), out=cut, batch_size=3)
    assert 0 < len(load_episodes(cut)) < 16
    assert play_plan(plans(), out=cut, batch_size=5) == played
    assert cut.read_bytes() == whole.read_bytes()
    sessions = json.loads(manifest_path(cut).read_text())["sessions"]
    assert [session["outcome"] for session in sessions] == ["interrupted", "interrupted", "complete"]
    assert sum(session["played"] for session in sessions) == 16


def test_two_processes_play_what_one_does(tmp_path: Path) -> None:
    whole, shared = tmp_path / "whole.jsonl", tmp_path / "shared.jsonl"
    played = play_plan(plans(), out=whole)
    assert play_plan(plans(), out=shared, processes=2) == played
    assert shared.read_bytes() == whole.read_bytes()


def test_a_file_of_other_plans_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "e.jsonl"
    play_plan(plans(), out=out)
    before = out.read_bytes()
    with pytest.raises(ValueError, match=r"was played with other policies\.scripted:mixed .*; give another file"):
        play_plan(plans(policy="scripted:firm"), out=out)
    with pytest.raises(ValueError, match="it holds episode 'a-15'; those of this run are 'a-0' and so on"):
        play_plan(replace(plans(), episodes=plans().episodes[:15]), out=out)
    last = plans().episodes[15]
    assert last.begun is not None
    said = replace(last.begun, turns=(replace(last.begun.turns[0], text="Other words."), last.begun.turns[1]))
    with pytest.raises(ValueError, match=r"was played with other first turns \(episode a-15: .* 'Other words.'"):
        play_plan(replace(plans(), episodes=[*plans().episodes[:15], replace(last, begun=said)]), out=out)
    twice = replace(plans(), episodes=[plans().episodes[0]] * 2)
    with pytest.raises(ValueError, match="two episodes of the plan have one key"):
        play_plan(twice, out=tmp_path / "other.jsonl")
    assert play_plan(twice)[0] == play_plan(twice)[1]
    assert out.read_bytes() == before


def test_further_episodes_of_a_run_stay_in_its_file(tmp_path: Path) -> None:
    out = tmp_path / "e.jsonl"
    played = play_plan(plans(prefix="a-"), out=out)
    before = out.read_bytes()
    fewer = replace(plans(prefix="a-"), episodes=plans().episodes[:10])
    assert play_plan(fewer, out=out) == played[:10]
    assert out.read_bytes() == before
    bargains = replace(fewer, episodes=plans().episodes[:4])
    with pytest.raises(ValueError, match=r'was played with other family\.name \("bargain\+divide", not "bargain"\)'):
        play_plan(bargains, out=out)


def test_episodes_are_judged_once_all_are_finished_and_written_so(tmp_path: Path) -> None:
    out, asked = tmp_path / "e.jsonl", []

    def judging(episodes: Sequence[Episode]) -> list[Episode]:
        asked.append(len(episodes))
        return [replace(episode, rewards={"words": {"agent_0": [1.0], "agent_1": []}}) for episode in episodes]

    played = play_plan(plans(), out=out, judging=Judging(judging))
    assert asked == [16] and played[3].rewards == {"words": {"agent_0": [1.0], "agent_1": []}}
    assert load_episodes(out) == played == play_plan(plans(), judging=Judging(judging))


def test_a_judge_that_waits_for_a_server_judges_while_others_are_still_played(tmp_path: Path) -> None:
    out, asked = tmp_path / "e.jsonl", []

    def judging(episodes: Sequence[Episode]) -> list[Episode]:
        asked.append(len(episodes))
        return [replace(episode, rewards={"words": {"agent_0": [1.0], "agent_1": []}}) for episode in episodes]

    played = play_plan(plans(), out=out, batch_size=2, judging=Judging(judging, waits=True))
    assert sum(asked) == 16 and len(asked) > 1
    assert load_episodes(out) == played == play_plan(plans(), judging=Judging(judging))


def test_a_judge_whose_server_is_gone_ends_the_run_before_all_is_played(tmp_path: Path) -> None:
    out = tmp_path / "e.jsonl"

    def judging(episodes: Sequence[Episode]) -> list[Episode]:
        raise ConnectionError("the server is gone")

    with pytest.raises(ConnectionError, match="gone"):
        play_plan(plans(), out=out, batch_size=1, judging=Judging(judging, waits=True))
    kept = load_episodes(out)
    assert 0 < len(kept) < 16 and all(episode.ending for episode in kept)


def test_what_another_process_writes_while_episodes_are_judged_stays_in_the_file(tmp_path: Path) -> None:
    out, wanted = tmp_path / "e.jsonl", replace(plans(prefix="a-"), episodes=plans().episodes[:2])
    (further,) = play_plan(EpisodePlans([replace(plans().episodes[2], key="a-9")]))

    def judging(episodes: Sequence[Episode]) -> list[Episode]:
        with out.open("ab") as file:
            file.write(further.to_json() + b"\n")
        return [replace(episode, rewards={"words": {"agent_0": [1.0], "agent_1": []}}) for episode in episodes]

    judged = play_plan(wanted, out=out, judging=Judging(judging))
    assert load_episodes(out) == [*judged, further]


def test_continuations_are_kept_in_a_file(tmp_path: Path) -> None:
    out = tmp_path / "e.jsonl"
    short = [replace(e, turns=e.turns[:3], ending=None, judgements=()) for e in episodes_of("bargain", 4)]
    policy = sotopia_env.make_policy("scripted:mixed")
    seats, seeds = {"agent_0": policy, "agent_1": policy}, [7, 8, 9, 10]
    played = continue_episodes(short, seats, seeds, out=out)
    assert played == continue_episodes(short, seats, seeds)
    kept = load_episodes(out)
    assert [episode.key for episode in kept] == [f"5-{i}~{seed}" for i, seed in enumerate(seeds)]
    save_episodes(kept[:2], out)
    stops = Stops(10**6)
    assert continue_episodes(short, {"agent_0": stops, "agent_1": stops}, seeds, out=out) == played
    # Two of four were played again.
    assert stops.left < 10**6 and [episode.turns for episode in load_episodes(out)] == [e.turns for e in kept]


def test_each_episode_is_shown_before_each_of_its_cycles() -> None:
    seen: list[tuple[str, int]] = []

    def on_cycle(game: Game) -> None:
        seen.append((game.key, len(game.env.unwrapped.episode.turns)))

    episodes = sotopia_env.rollout(
        "bargain", "scripted:warm", num_episodes=2, seed=1, max_cycles=3, reward="episode", on_cycle=on_cycle
    )
    assert sorted(seen) == [(episode.key, i) for episode in episodes for i in range(len(episode.turns))]
    with pytest.raises(ValueError, match="leave processes out"):
        sotopia_env.rollout("bargain", "scripted:warm", num_episodes=2, processes=2, on_cycle=on_cycle)

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env import leave, rollout, speak
from sotopia_env.episodes import Episode
from sotopia_env.errors import DataWarning
from sotopia_env.families import family_of
from sotopia_env.policies import Context, Decision, Observation, TokenTrace
from sotopia_env.rollouts.lockstep import Game, play
from sotopia_env.rollouts.rollout import continue_episodes
from sotopia_env.seeds import episode_seed, turn_generator
from sotopia_env.storage.episodes import load_episodes
from sotopia_env.storage.traces import Traces, load_traces, traces_path
from sotopia_env.tasks import Task


class Recorder:
    """Says a word, and remembers the sizes of its batches."""

    name = "recorder"

    def __init__(self, fail_at: int | None = None, error: type[BaseException] = RuntimeError) -> None:
        self.batches: list[int] = []
        self.asked = 0
        self.fail_at = fail_at
        self.error = error

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        self.batches.append(len(observations))
        self.asked += len(observations)
        if self.fail_at is not None and self.asked > self.fail_at:
            raise self.error("out of words")
        return [Decision(speak(f"{context.agent} {context.turn} {context.rng.integers(100)}")) for context in contexts]

    def act_one(self, observation: Observation, context: Context | None = None) -> Any:
        raise AssertionError("rollouts ask for batches")


def texts(episodes: Sequence[Episode]) -> list[list[str]]:
    return [[turn.text for turn in episode.turns] for episode in episodes]


@pytest.mark.parametrize(
    "policies", [["scripted:warm", "scripted:firm"], ["scripted:mixed"], ["random", "scripted:soft"]]
)
@pytest.mark.parametrize("order", ["round-robin", "simultaneous", "random"])
def test_lockstep_equals_one_at_a_time_at_any_batch_size(policies: list[str], order: str) -> None:
    arguments: dict[str, Any] = {"num_episodes": 9, "seed": 5, "reward": "uniform", "action_order": order}
    one = rollout("bargain", policies, batch_size=1, **arguments)
    for batch_size in (4, 64):
        assert rollout("bargain", policies, batch_size=batch_size, **arguments) == one
    assert rollout("bargain", policies, **{**arguments, "num_episodes": 4}) == one[:4]


def test_one_batched_call_per_policy_and_turn() -> None:
    policy = Recorder()
    rollout("bargain", [policy], num_episodes=10, max_cycles=6, batch_size=5)
    assert policy.batches == [5] * 12
    one, other = Recorder(), Recorder()
    rollout("bargain", [one, other], num_episodes=10, max_cycles=6, batch_size=10)
    assert one.batches == other.batches == [10] * 3


def test_simultaneous_seats_share_a_batch_where_they_share_a_policy() -> None:
    policy = Recorder()
    rollout("bargain", [policy], num_episodes=3, max_cycles=2, action_order="simultaneous")
    assert policy.batches == [6, 6]


def test_episodes_come_in_order_whatever_order_they_finished_in() -> None:
    def wordy(observation: Observation, rng: np.random.Generator) -> Any:
        return leave() if rng.random() < 0.3 else "word"

    episodes = rollout("bargain", wordy, num_episodes=20, seed=2)
    assert [episode.key for episode in episodes] == [f"2-{i}" for i in range(20)]
    assert len({len(episode.turns) for episode in episodes}) > 3


def test_episodes_are_judged_and_name_their_policies() -> None:
    (episode,) = rollout("bargain:test", ["scripted:warm", "scripted:firm"], num_episodes=1, reward="episode")
    assert episode.policies == {"agent_0": "scripted:warm", "agent_1": "scripted:firm"}
    assert episode.judgements[0].judge == "rule"
    assert set(episode.rewards) == {"episode"}
    assert {agent: len(numbers) for agent, numbers in episode.rewards["episode"].items()} == {
        agent: len(episode.own_turns(agent)) for agent in episode.agents
    }
    assert episode.task.split == "test"
    assert episode.seed == episode_seed(0, 0)


def test_rewards_are_stored_as_relabel_writes_them() -> None:
    from sotopia_env import rewards as R

    reward = R.Outcome("uniform") + R.LengthPenalty(target_words=3)
    (played,) = rollout("bargain", "scripted:warm", num_episodes=1, reward=reward)
    (bare,) = rollout("bargain", "scripted:warm", num_episodes=1)
    assert len(played.rewards) == 3
    assert R.relabel([bare], reward)[0].rewards == played.rewards


def test_an_episode_can_be_played_again_from_its_seed() -> None:
    episode = rollout("bargain", ["scripted:warm"], num_episodes=3, seed=8)[2]
    env = sotopia_env.parallel_env("bargain")
    env.reset(seed=episode.seed)
    for turn in episode.turns:
        env.step({turn.agent: sotopia_env.Action(turn.type, turn.text)})
    assert env.episode.turns == episode.turns
    assert env.episode.task == episode.task


def test_seeds_of_episodes_do_not_depend_on_how_many_there_are() -> None:
    seeds = [episode_seed(0, i) for i in range(200)] + [episode_seed(1, i) for i in range(200)]
    assert len(set(seeds)) == 400
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert turn_generator(1, 0, 0).random() != turn_generator(1, 1, 0).random() != turn_generator(1, 0, 1).random()


def test_fixed_tasks_are_played_in_turn(make_task: Callable[..., Task]) -> None:
    tasks = [make_task(id=f"t{i}", max_cycles=2) for i in range(3)]
    episodes = rollout(tasks, "scripted:warm", num_episodes=7)
    assert [episode.task.id for episode in episodes] == ["t0", "t1", "t2", "t0", "t1", "t2", "t0"]
    assert episodes[0].judgements[0].scores["goal"] == [None, None]


def test_a_function_is_a_policy() -> None:
    def haggler(observation: Observation, rng: np.random.Generator) -> str:
        return f"I could do ${rng.integers(10, 99)}."

    (episode,) = rollout("bargain", [haggler, "scripted:stonewall"], num_episodes=1)
    assert episode.policies["agent_0"] == "haggler"
    assert episode.turns[0].text.startswith("I could do $")


def test_a_policy_that_writes_garbage_is_counted_never_raised() -> None:
    garbage = iter([None, 3, "\ud800", "", {"action_type": float("inf")}, ["x"]])

    def noise(observation: Observation, rng: np.random.Generator) -> Any:
        return next(garbage)

    (episode,) = rollout("bargain", [noise, Recorder()], num_episodes=1, max_stale=9, max_cycles=11)
    own = episode.own_turns("agent_0")
    assert len(own) == 6
    assert all(turn.invalid and turn.type == "none" for turn in own)
    json.dumps(episode.to_dict(), ensure_ascii=False).encode()


# Files


def test_a_second_run_plays_only_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    first = Recorder()
    played = rollout("bargain", [first], num_episodes=3, seed=1, out=path, max_cycles=4)
    assert load_episodes(path) == played
    second = Recorder()
    more = rollout("bargain", [second], num_episodes=5, seed=1, out=path, max_cycles=4)
    assert second.asked == 2 * 4
    assert more[:3] == played
    assert more == rollout("bargain", [Recorder()], num_episodes=5, seed=1, max_cycles=4)
    third = Recorder()
    assert rollout("bargain", [third], num_episodes=2, seed=1, out=path, max_cycles=4) == more[:2]
    assert third.asked == 0
    assert len(load_episodes(path)) == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"policies": "scripted:firm"}, 'policies.agent_0.name ("scripted:warm", not "scripted:firm")'),
        ({"max_cycles": 9}, "rules.max_cycles (null, not 9)"),
        ({"reward": "episode"}, 'reward (null, not {"type": "Outcome", "name": "episode"'),
        ({"tasks": "bargain:test"}, 'tasks.split ("train", not "test")'),
        ({"tasks": sotopia_env.Bargain(coupling=0.5)}, "family.coupling.manners (1.0, not 0.5)"),
        ({"tasks": sotopia_env.Bargain(judge_bank="training")}, 'judge_bank (null, not "training")'),
        ({"seed": 1}, "seed (0, not 1)"),
        ({"traces": True}, "traces (false, not true)"),
    ],
)
def test_episodes_of_another_run_are_not_taken_for_this_one(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "e.jsonl"
    arguments: dict[str, Any] = {"tasks": "bargain", "policies": "scripted:warm", "num_episodes": 2, "out": path}
    rollout(**arguments)
    before = {entry: entry.read_bytes() for entry in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"e\.jsonl was played with other .*; give another file") as refused:
        rollout(**{**arguments, **change})
    assert said in str(refused.value)
    assert {entry: entry.read_bytes() for entry in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"policies": "scripted:firm"}, "policies"),
        ({"max_cycles": 9}, "rules"),
        ({"reward": "episode"}, "rewards"),
        ({"tasks": "bargain:test"}, "tasks"),
    ],
)
def test_episodes_without_a_manifest_are_compared_one_by_one(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    path = tmp_path / "e.jsonl"
    arguments: dict[str, Any] = {"tasks": "bargain", "policies": "scripted:warm", "num_episodes": 2, "out": path}
    played = rollout(**arguments)
    (tmp_path / "e.manifest.json").unlink()
    with pytest.raises(ValueError, match=rf"e\.jsonl was played with other {what} \(episode 0-0: .* give another file"):
        rollout(**{**arguments, **change})
    assert [entry.name for entry in tmp_path.iterdir()] == ["e.jsonl"]
    with pytest.warns(DataWarning, match="has no e.manifest.json beside it"):
        assert rollout(**arguments) == played


def test_the_finished_file_is_in_order_and_the_same_bytes_however_it_was_cut_up(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    arguments: dict[str, Any] = {"tasks": "bargain", "policies": "scripted:mixed", "seed": 2, "reward": "uniform"}
    rollout(**arguments, num_episodes=30, out=whole)
    for number in (3, 17, 30):
        rollout(**arguments, num_episodes=number, out=parts, batch_size=4)
    assert parts.read_bytes() == whole.read_bytes()
    assert [episode.key for episode in load_episodes(whole)] == [f"2-{i}" for i in range(30)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_no_finished_episode_is_lost_when_a_run_stops(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "e.jsonl"
    expected = rollout("bargain", [Recorder()], num_episodes=6, max_cycles=4, batch_size=2)
    with pytest.raises((error, RuntimeError)) as stopped:
        rollout("bargain", [Recorder(fail_at=19, error=error)], num_episodes=6, max_cycles=4, batch_size=2, out=path)
    assert load_episodes(path) == expected[:4]
    (session,) = json.loads((tmp_path / "e.manifest.json").read_bytes())["sessions"]
    assert session["played"] == 4
    if error is KeyboardInterrupt:
        assert session["outcome"] == "interrupted"
    else:
        assert session["outcome"].startswith(f"failed: RuntimeError: policy 'recorder' failed ({error.__name__}")
        assert stopped.value.__notes__ == [f"4 episodes are finished in {path}; the same call goes on."]
    resumed = Recorder()
    assert rollout("bargain", [resumed], num_episodes=6, max_cycles=4, batch_size=2, out=path) == expected
    assert resumed.asked == 8


def test_a_full_disk_stops_the_run_with_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sotopia_env.storage import episodes as storage

    path = tmp_path / "e.jsonl"
    write, written = storage.EpisodeWriter.write, []

    def full(self: Any, episode: Episode) -> None:
        if len(written) == 3:
            raise OSError(28, f"episode {episode.key} was not saved to {self.path}: No space left on device")
        write(self, episode)
        written.append(episode)

    monkeypatch.setattr(storage.EpisodeWriter, "write", full)
    with pytest.raises(OSError, match="No space left on device"):
        rollout("bargain", "scripted:warm", num_episodes=5, out=path)
    assert load_episodes(path) == written


# Errors


def test_a_failing_policy_is_reported_with_task_and_turn() -> None:
    with pytest.raises(RuntimeError) as failure:
        rollout("bargain", ["scripted:warm", Recorder(fail_at=3)], num_episodes=3, seed=4)
    message = str(failure.value)
    assert "policy 'recorder' failed (RuntimeError: out of words) at task bargain-train-" in message
    assert "episode 4-0, agent_1, own turn 1" in message
    with pytest.raises(RuntimeError, match=r"own turn 0 and 7 more$"):
        rollout("bargain", [Recorder(fail_at=0)], num_episodes=10)


class Broken:
    name = "broken"

    def __init__(self, made: list[Any]) -> None:
        self.made = made

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Any]:
        return self.made


def test_what_a_policy_returns_is_checked() -> None:
    with pytest.raises(ValueError, match="policy 'broken' made 0 decisions for 2 observations"):
        rollout("bargain", [Broken([])], num_episodes=2)
    with pytest.raises(TypeError, match="policy 'broken': act returned a str, not a Decision"):
        rollout("bargain", [Broken(["hi", "ho"])], num_episodes=2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"policies": ["random"] * 3}, ValueError, "policies: 3 given for 2 seats"),
        ({"policies": []}, ValueError, "policies: 0 given for 2 seats"),
        ({"policies": "scripted:nobody"}, ValueError, "unknown scripted policy 'nobody'; one of firm, soft"),
        ({"policies": "nobody"}, ValueError, "unknown policy 'nobody'; one of random"),
        ({"policies": [3]}, TypeError, "3 is no policy"),
        ({"num_episodes": 0}, ValueError, "num_episodes: 0"),
        ({"batch_size": 0}, ValueError, "batch_size: 0"),
        ({"processes": 0}, ValueError, "processes: 0"),
        ({"tasks": []}, ValueError, "the list of tasks is empty"),
        ({"tasks": ["x"]}, TypeError, "a list of tasks holds a str"),
        ({"tasks": "haggle"}, ValueError, "unknown family 'haggle'; one of bargain"),
        ({"tasks": "bargain:exam"}, ValueError, "'exam' is no split; one of train, validation, test"),
        ({"tasks": "nothing.jsonl"}, FileNotFoundError, "nothing.jsonl"),
        ({"reward": "applause"}, ValueError, "unknown reward 'applause'"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    given: dict[str, Any] = {"tasks": "bargain", "policies": "random", "num_episodes": 1, **arguments}
    with pytest.raises(error, match=message):
        rollout(**given)


# Parts


class Tokens(Recorder):
    """Gives token traces that grow as those of a language model do."""

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        made = super().act(observations, contexts)
        return [
            replace(decision, trace=TokenTrace(tuple(range(2 + 5 * c.turn)), (7, c.turn), (-0.5, -1e-9), c.turn == 1))
            for decision, c in zip(made, contexts, strict=True)
        ]


def test_token_traces_come_with_the_episodes() -> None:
    traces: Traces = {}
    episodes = rollout("bargain", [Tokens(), "scripted:warm"], num_episodes=2, max_cycles=4, traces=traces)
    assert set(traces) == {("0-0", "agent_0"), ("0-1", "agent_0")}
    for episode in episodes:
        assert [trace.ids for trace in traces[episode.key, "agent_0"]] == [(7, 0), (7, 1)]


def test_token_traces_are_stored_beside_the_episodes_and_survive_a_stop(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"tasks": "bargain", "num_episodes": 6, "max_cycles": 4, "batch_size": 2}
    expected: Traces = {}
    rollout(policies=[Tokens(), "random"], traces=expected, **arguments)
    path, whole = tmp_path / "e.jsonl", tmp_path / "whole.jsonl"
    rollout(policies=[Tokens(), "random"], traces=True, out=whole, **arguments)
    with pytest.raises(RuntimeError):
        rollout(policies=[Tokens(fail_at=9), "random"], traces=True, out=path, **arguments)
    found: Traces = {}
    rollout(policies=[Tokens(), "random"], traces=found, out=path, **arguments)
    assert found == expected == load_traces(traces_path(path))
    assert traces_path(path).read_bytes() == traces_path(whole).read_bytes()
    assert path.read_bytes() == whole.read_bytes()
    with pytest.raises(ValueError, match="traces=True stores token traces beside the episodes; give out"):
        rollout(policies=[Tokens(), "random"], traces=True, **arguments)


def test_a_run_may_be_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    out = tmp_path / "e.parquet"
    arguments: dict[str, Any] = {"tasks": "bargain", "policies": "scripted:mixed", "out": out}
    played = rollout(num_episodes=5, **arguments)
    assert load_episodes(out) == load_episodes(tmp_path / "e.jsonl") == played
    (tmp_path / "e.jsonl").unlink()
    more = rollout(num_episodes=7, **arguments)
    assert more[:5] == played
    assert load_episodes(out) == more
    with pytest.raises(ValueError, match="was played with other policies"):
        rollout("bargain", "scripted:firm", num_episodes=5, out=out)


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    rollout("bargain", "scripted:warm", num_episodes=2, progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "2/2" in printed.err


def test_play_tells_of_each_episode_as_soon_as_it_is_over() -> None:
    envs = sotopia_env.parallel_env("bargain").fork(3)
    for i, env in enumerate(envs):
        env.max_cycles = 6 - 2 * i
        env.reset(seed=i)
    finished = []
    policy = Recorder()
    seats = {"agent_0": policy, "agent_1": policy}
    games = [Game(env, seats, seed=i, key=str(i), index=i) for i, env in enumerate(envs)]
    play(games, on_finish=lambda game, infos: finished.append(game.index))
    assert finished == [2, 1, 0]
    assert policy.batches == [3, 3, 2, 2, 1, 1]


def test_another_episode_takes_the_place_of_one_that_is_over() -> None:
    envs = sotopia_env.parallel_env("bargain").fork(4)
    for i, cycles in enumerate([2, 6, 4, 2]):
        envs[i].max_cycles = cycles
        envs[i].reset(seed=i)
    policy = Recorder()
    seats = {"agent_0": policy, "agent_1": policy}
    games = [Game(env, seats, seed=i, key=str(i), index=i) for i, env in enumerate(envs)]
    finished: list[int] = []
    waiting = games[2:]

    def join(room: int) -> list[Game]:
        joined = waiting[:room]
        del waiting[:room]
        return joined

    play(games[:2], on_finish=lambda game, infos: finished.append(game.index), join=join)
    assert finished == [0, 1, 2, 3]
    # Two at a time from the first cycle to the last but two, where nobody is left to join in.
    assert policy.batches == [2, 2, 2, 2, 2, 2, 1, 1]


def test_episodes_cut_short_are_continued(make_task: Callable[..., Task]) -> None:
    episodes = rollout("bargain", "scripted:warm", num_episodes=4, seed=3)
    short = [replace(episode, turns=episode.turns[:2], ending=None) for episode in episodes]
    policy = sotopia_env.make_policy("scripted:warm")
    played = continue_episodes(short, {"agent_0": policy, "agent_1": policy}, [1, 2, 3, 4])
    again = continue_episodes(short, {"agent_0": policy, "agent_1": policy}, [1, 2, 3, 4])
    assert texts(played) == texts(again)
    for before, after in zip(short, played, strict=True):
        assert after.turns[:2] == before.turns
        assert after.ending is not None
        assert after.task == before.task
    whole = continue_episodes(episodes, {"agent_0": policy, "agent_1": policy}, [1, 2, 3, 4])
    assert texts(whole) == texts(episodes)
    assert family_of(episodes[0].task).name == "bargain"

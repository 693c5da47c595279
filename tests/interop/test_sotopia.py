"""Sotopia 0.1.5 itself, in an environment of its own, loads, renders and plays what is written, and is read back.

It needs neither a model nor a server: its agents say fixed words.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env.actions import speak
from sotopia_env.benchmark_peers import PEERS, prepared
from sotopia_env.episodes import Episode
from sotopia_env.families import Divide, Mini, MutualFriends
from sotopia_env.published import (
    episode_log,
    full_record,
    load_published,
    load_tasks,
    save_published,
    save_tasks,
    training_pairs,
)
from sotopia_env.sotopia_style import UNKNOWN
from sotopia_env.tasks import Task

pytestmark = pytest.mark.slow
DATA = os.environ.get("SOTOPIA_ENV_DATA")
PEER = Path(__file__).parents[2] / "build" / "peers" / "sotopia"

# Whatever the library prints goes to stderr; stdout is for the answer.
PRELUDE = """
import asyncio, json, os, sys
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from pathlib import Path
from sotopia.database import AgentProfile, EnvAgentComboStorage, EnvironmentProfile, EpisodeLog
from sotopia.database import serialization as texts
folder = Path(sys.argv[1])
def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]
"""

LOAD = """
logs = EpisodeLog.all()
rendered = {log.pk: log.render_for_humans()[1] for log in logs}
people = [AgentProfile.get(pk) for pk in AgentProfile.all_pks()]
scenes = [EnvironmentProfile.get(pk) for pk in EnvironmentProfile.all_pks()]
combos = EnvAgentComboStorage.all()
texts.agentprofiles_to_jsonl(people, str(folder / "people.jsonl"))
texts.environmentprofiles_to_jsonl(scenes, str(folder / "scenes.jsonl"))
texts.envagnetcombostorage_to_jsonl(combos, str(folder / "combos.jsonl"))
scored = [log for log in logs if len(log.agents) == 2 and not any(isinstance(one, float) for one in log.rewards)]
texts.episodes_to_jsonl(scored, str(folder / "episodes.jsonl"))
again = [
    texts.jsonl_to_agentprofiles(str(folder / "export" / "agent_profiles.jsonl")),
    texts.jsonl_to_environmentprofiles(str(folder / "export" / "environment_profiles.jsonl")),
    texts.jsonl_to_envagnetcombostorage(str(folder / "export" / "env_agent_combo_storages.jsonl")),
    texts.jsonl_to_episodes(str(folder / "written.jsonl")),
]
told = {
    "rendered": rendered,
    "people": lines(folder / "people.jsonl"),
    "scored": lines(folder / "episodes.jsonl"),
    "export": [[one.model_dump(mode="json") for one in kind] for kind in again],
    "combos": len(combos),
}
for one in [*people, *scenes, *combos, *logs]:
    one.save()
print(json.dumps(told), file=answer)
"""

PLAY = """
from sotopia.agents.base_agent import BaseAgent
from sotopia.envs.evaluators import Evaluator, RuleBasedTerminatedEvaluator
from sotopia.envs.parallel import ParallelSotopiaEnv
from sotopia.messages import AgentAction
from sotopia.server import arun_one_episode
SAID = [("speak", "Hello, and <b>welcome</b>."), ("action", "nods & sits"), ("non-verbal communication", "smiles"),
        ("none", ""), ("speak", "Well?"), ("speak", "Fine then."), ("leave", "")]
class Agent(BaseAgent):
    def reset(self):
        super().reset()
        self.said = 0
    async def aact(self, seen):
        if seen.available_actions == ["none"]:
            return AgentAction(action_type="none", argument="")
        kind, words = SAID[self.said % len(SAID)]
        self.said += 1
        return AgentAction(action_type=kind, argument=words)
class Judge(Evaluator):
    prompt = ""
    def __call__(self, turn_number, messages):
        return []
    async def __acall__(self, turn_number, messages):
        return []
async def play():
    for combo in EnvAgentComboStorage.all():
        people = [Agent(uuid_str=pk) for pk in combo.agent_ids]
        for number, agent in enumerate(people):
            agent.model_name = f"fixed-{number}"
        for order in ("round-robin", "simultaneous"):
            env = ParallelSotopiaEnv(
                env_profile=EnvironmentProfile.get(combo.env_id), action_order=order, model_name="nobody",
                evaluators=[RuleBasedTerminatedEvaluator(max_turn_number=20, max_stale_turn=2)],
                terminal_evaluators=[Judge()],
            )
            await arun_one_episode(env, people, tag="fixed", push_to_db=True)
before = set(EpisodeLog.all_pks())
asyncio.run(play())
print(json.dumps([log.pk for log in EpisodeLog.all() if log.pk not in before]), file=answer)
"""


def by_sotopia(home: Path, code: str, *arguments: str) -> Any:
    """What a script prints in Sotopia's own environment, where ``home`` holds its storage."""
    environment = {**os.environ, "HOME": str(home), "SOTOPIA_STORAGE_BACKEND": "local"}
    environment.pop("PYTHONPATH", None)
    try:
        python = prepared(PEER, PEERS["sotopia"])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{PEERS['sotopia']} cannot be installed: {error}")
    command = [python, "-c", PRELUDE + code, str(home), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    """Six of each family, three seats with private words, and what Sotopia published."""
    families = (sotopia_env.Bargain(), Divide(), MutualFriends(), Mini())
    found = [e for family in families for e in sotopia_env.rollout(family, "scripted:warm", num_episodes=6)]
    env = sotopia_env.parallel_env([three_seats(found[-1].task)], private_messages=True, max_cycles=3)
    env.reset(seed=0)
    env.step({"agent_0": speak("psst", to=["agent_1"])})
    env.step({"agent_1": speak("hello")})
    env.step({"agent_2": speak("who whispers?")})
    found.append(replace(env.unwrapped.episode, key="three"))
    if DATA:
        found += load_published(Path(DATA) / "episodes" / "sotopia_v1_full.jsonl", load_tasks(DATA))
    return found


def three_seats(task: Task) -> Task:
    """A task of two with a third, whose age nobody knows."""
    third = replace(task.characters[0], id="the third one", first_name="Cy", last_name="Poe", age=None, public_info="")
    goals = (*task.scenario.goals, "Find out what they whisper.")
    scenario = replace(task.scenario, id="three", goals=goals)
    return replace(task, id="three", scenario=scenario, characters=(*task.characters, third))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, episodes: list[Episode]) -> Path:
    """A home of Sotopia with the episodes in its storage, and the same as files."""
    folder = tmp_path_factory.mktemp("home")
    save_published(episodes, storage(folder))
    save_published(episodes, folder / "written.jsonl")
    save_tasks({episode.task.id: episode.task for episode in episodes}.values(), folder / "export")
    return folder


def storage(home: Path) -> Path:
    return home / ".sotopia" / "data"


def records(home: Path) -> dict[str, Any]:
    place = storage(home)
    return {str(path.relative_to(place)): json.loads(path.read_text()) for path in sorted(place.rglob("*.json"))}


def test_what_is_written_is_loaded_rendered_and_saved_again(home: Path, episodes: list[Episode]) -> None:
    before = records(home)
    told = by_sotopia(home, LOAD)
    logs = {log["pk"]: log for log in map(episode_log, episodes)}
    assert set(told["rendered"]) == set(logs)
    for pk, rendered in told["rendered"].items():
        said = [turn for turn in logs[pk]["messages"] if any(receiver == "Environment" for _, receiver, _ in turn)]
        for turn, text in zip(said, rendered, strict=False):
            acts = [act for _, receiver, act in turn if receiver == "Environment" and act != "did nothing"]
            assert all(act in text for act in acts)
    assert told["combos"] == len({name for name in before if name.startswith("EnvAgentCombo")})
    # What it writes as 15 fields of a two-party episode with scores is what is written here.
    mine = {record["episode_id"]: record for record in map(full_record, episodes)}
    assert len(told["scored"]) >= 18
    for record in told["scored"]:
        own = mine[record["episode_id"]]
        # It drops no empty field from a biography, and gives the overall score with each of the rewards.
        same = set(record) - {"agents_background", "social_interactions", "rewards"}
        assert {name: record[name] for name in same} == {name: own[name] for name in same}
    # Its export of profiles and its reading of ours agree, field by field.
    people, scenes, _, read_logs = told["export"]
    assert {one["pk"]: one["big_five"] for one in people} == {
        one["agent_id"]: one["big_five"] for one in told["people"]
    }
    assert len(scenes) == len([name for name in before if name.startswith("EnvironmentProfile")])
    assert {one["pk"]: one for one in read_logs} == logs
    # Saved again by Sotopia, every record says what it said; an age that nobody knows is its 0.
    after = records(home)
    assert set(after) == set(before)
    for name, record in before.items():
        filled = {**record, "age": record.get("age", 0)} if name.startswith("AgentProfile") else record
        assert after[name] == filled
    save_published(episodes, storage(home))  # nothing differs, nothing is written
    assert records(home) == after


def test_what_is_written_is_played_and_what_it_saves_comes_back_equal(home: Path) -> None:
    before = set(records(home))
    new = by_sotopia(home, PLAY)
    assert len(new) == 2 * len([name for name in before if name.startswith("EnvAgentCombo")])
    found = {episode.key: episode for episode in load_published(storage(home))}
    assert len(found) == len([name for name in records(home) if name.startswith("EpisodeLog")])
    for pk in new:
        saved, episode = records(home)[f"EpisodeLog/{pk}.json"], found[pk]
        assert episode_log(episode) == saved
        assert [turn.type for turn in episode.turns if turn.seat == 0][:3] == [
            "speak",
            "action",
            "non-verbal communication",
        ]
        assert episode.judgements[0].scores == {"goal": [None] * episode.task.num_seats}
        # Sotopia 0.1.5 shows nobody anything of the others, and no question does.
        assert any(UNKNOWN in text for _, _, text in saved["messages"][0][: episode.task.num_seats])
        assert episode.task.shown_as == "stranger"
        others = [person.public_info for person in episode.task.characters[1:] if person.public_info]
        assert not any(text in training_pairs([episode])[0].input for text in others)
    save_published(found.values(), storage(home))
    assert set(records(home)) == before | {f"EpisodeLog/{pk}.json" for pk in new}


SEED = """
from sotopia.database import EnvAgentComboStorage as Combo
for kind, name in ((AgentProfile, "agents"), (EnvironmentProfile, "envs"), (Combo, "env_agent_combos")):
    found = json.loads((Path(sys.argv[2]) / f"{name}.json").read_text())
    for one in found.values() if isinstance(found, dict) else found:
        kind(**one).save()
print(json.dumps(len(Combo.all_pks())), file=answer)
"""


@pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder with Sotopia's published files")
def test_a_store_that_sotopia_made_is_added_to(tmp_path: Path) -> None:
    published = Path(str(DATA))
    assert by_sotopia(tmp_path, SEED, str(published / "sotopia_pk")) == 450
    before = records(tmp_path)
    tasks = load_tasks(published / "sotopia", "checkable")[::15]
    runs = [sotopia_env.rollout(tasks, f"scripted:{name}", num_episodes=10) for name in ("warm", "firm")]
    for run in runs:
        save_published(run, storage(tmp_path))
    after = records(tmp_path)
    assert {name: after[name] for name in before} == before
    assert sorted(name.split("/")[0] for name in set(after) - set(before)) == ["EpisodeLog"] * 20
    assert [full_record(episode) for episode in load_published(storage(tmp_path))] == sorted(
        (full_record(episode) for run in runs for episode in run), key=lambda record: record["episode_id"]
    )

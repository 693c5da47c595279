"""A small set of Sotopia's kind, written in each of the formats its users meet."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.episodes import Ending, Episode, Judgement, Turn
from sotopia_env.published import load_tasks
from sotopia_env.tasks import Task

SCENARIOS: list[dict[str, Any]] = [
    {
        "codename": "shared_ladder",
        "source": "hand-made",
        "scenario": "Neighbours meet at a fence.",
        "agent_goals": ["Borrow the ladder (<extra_info>You need it today.</extra_info>)", "Keep the ladder"],
        "relationship": 2,
    },
    {
        "codename": "craigslist_bargains_kite",
        "source": "craigslist_bargains",
        "scenario": "A kite is for sale at $40.0.",
        "agent_goals": ["You are the buyer; target $30.", "You are the seller; target $35.5."],
        "relationship": 0,
    },
    {
        "codename": "mutual_friend_kite",
        "source": "mutual_friends",
        "scenario": 'Two people meet. <p viewer="environment">They have 1 common friends: Una.</p>',
        "agent_goals": [
            "Find the one.\n<extra_info> Your friends: \n Una: Hobby: Chess  \n Bea: Hobby: Golf  \n</extra_info>",
            "Find the one.\n<extra_info> Your friends: \n Una: Hobby: Chess  \n Cal: Hobby: Judo  \n</extra_info>",
        ],
        "relationship": 3,
    },
]
CHARACTERS: list[dict[str, Any]] = [
    {
        "first_name": "Ada",
        "last_name": "O'Neil",
        "age": 30,
        "occupation": "Bee Keeper",
        "gender": "Woman",
        "gender_pronoun": "She/her",
        "public_info": "Ada keeps bees on a roof.",
        "personality_and_values": "Ada is patient.",
        "secret": "She is afraid of bees",
    },
    {
        "first_name": "Zoë",
        "last_name": "Ruiz",
        "age": 41,
        "occupation": "Baker",
        "gender": "Nonbinary",
        "gender_pronoun": "They/them",
        "public_info": "Zoë bakes at night.",
        "moral_values": ["Care", " Fairness"],
        "personality_and_values": "Zoë is brisk.",
        "secret": "They dislike bread",
    },
]
PAIRINGS = [("e0", ["a0", "a1"]), ("e0", ["a1", "a0"]), ("e1", ["a0", "a1"]), ("e2", ["a1", "a0"])]

CLASSES = {
    "EnvironmentProfile": {f"e{i}": record for i, record in enumerate(SCENARIOS)},
    "AgentProfile": {f"a{i}": record for i, record in enumerate(CHARACTERS)},
    "EnvAgentComboStorage": {f"c{i}": {"env_id": e, "agent_ids": a} for i, (e, a) in enumerate(PAIRINGS)},
}
EXPORT = {"EnvironmentProfile": "environment_profiles", "AgentProfile": "agent_profiles"}
EXPORT["EnvAgentComboStorage"] = "env_agent_combo_storages"
IDS = {"EnvironmentProfile": "env_id", "AgentProfile": "agent_id", "EnvAgentComboStorage": "combo_id"}
KEYED = {"EnvironmentProfile": "envs", "AgentProfile": "agents", "EnvAgentComboStorage": "env_agent_combos"}
MODULES = {"EnvironmentProfile": "persistent_profile", "AgentProfile": "persistent_profile"}
MODULES["EnvAgentComboStorage"] = "env_agent_combo_storage"

Classes = dict[str, dict[str, dict[str, Any]]]


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def as_export(folder: Path, classes: Classes) -> Path:
    for kind, records in classes.items():
        rows = [{IDS[kind]: pk, **record} for pk, record in records.items()]
        for row in rows:
            if "relationship" in row:
                row |= {"relationship": str(row["relationship"]), "occupation_constraint": "nan"}
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{EXPORT[kind]}.jsonl").write_text(text, encoding="utf-8")
    return folder


def as_keyed(folder: Path, classes: Classes) -> Path:
    for kind, records in classes.items():
        write_json(folder / f"{KEYED[kind]}.json", {pk: {"pk": pk, **record} for pk, record in records.items()})
    return folder


def as_lists(folder: Path, classes: Classes) -> Path:
    for kind, records in classes.items():
        write_json(folder / f"{KEYED[kind]}.json", [{"pk": pk, **record} for pk, record in records.items()])
    return folder


def as_storage(folder: Path, classes: Classes) -> Path:
    for kind, records in classes.items():
        for pk, record in records.items():
            write_json(folder / kind / f"{pk}.json", {"pk": pk, **record})
    return folder


def as_dump(folder: Path, classes: Classes) -> Path:
    dump: dict[str, Any] = {":sotopia.database.logs.EpisodeLog:index:hash": "5f1c"}
    for kind, records in classes.items():
        for pk, record in records.items():
            key = f":sotopia.database.{MODULES.get(kind, 'logs')}.{kind}:{pk}"
            # Some dumps hold a record as JSON text.
            dump[key] = json.dumps(record) if pk.endswith("1") else record
    return write_json(folder / "dump.json", dump)


FORMATS = {"export": as_export, "keyed": as_keyed, "lists": as_lists, "storage": as_storage, "dump": as_dump}


@pytest.fixture(scope="session")
def classes() -> Classes:
    """The records of the set: ``{class: {pk: record}}``."""
    return CLASSES


@pytest.fixture(scope="session")
def write() -> dict[str, Callable[[Path, Classes], Path]]:
    """Writers of the five formats; each returns what ``load_tasks`` is given."""
    return FORMATS


@pytest.fixture
def quietly() -> Callable[..., Any]:
    """Call a function with every warning an error."""

    def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return function(*arguments, **options)

    return call


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    """The four pairings of the set."""
    return load_tasks(as_export(tmp_path / "set", CLASSES))


@pytest.fixture
def episode(tasks: list[Task]) -> Episode:
    """A finished episode about the ladder, judged in three dimensions."""
    said = [("speak", "Hello, may I have it?"), ("action", "shakes the ladder"), ("none", ""), ("leave", "")]
    turns = tuple(Turn(i % 2, i // 2, i, kind, text) for i, (kind, text) in enumerate(said))
    scores: dict[str, list[float | None]] = {"goal": [7.0, 2.0], "relationship": [-1.0, None], "secret": [0.0, 0.0]}
    evidence = {"goal": [["He got it.", "At once."], ["Lost."]]}
    return Episode(
        key="ladder-1",
        task=tasks[0],
        config={"action_order": "round-robin", "max_cycles": 20},
        turns=turns,
        ending=Ending("left", seat=1),
        policies={"agent_0": "one", "agent_1": "two"},
        judgements=(Judgement("somebody", "1", scores, evidence),),
    )

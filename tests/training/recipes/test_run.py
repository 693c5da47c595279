"""A recipe runs through all stages, goes on after a kill as if there had been none, and refuses what has changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.endpoint import Endpoint
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.dimensions import DIMENSIONS
from sotopia_env.storage.episodes import load_episodes
from sotopia_env.training.batches import corpus
from sotopia_env.training.behaviour_cloning import CloningTrainer
from sotopia_env.training.grpo import GRPOTrainer
from sotopia_env.training.recipes.counts import DryRun
from sotopia_env.training.recipes.run import RecipeRun
from sotopia_env.training.recipes.schema import Recipe, read_recipe

TINY: dict[str, Any] = {
    "play": {"max_cycles": 4, "batch_size": 4, "max_new_tokens": 6},
    "experts": {"policy": "scripted:mixed", "tasks": {"name": "bargain:train", "number": 6}},
    "cloning": {
        "adapter": {"r": 2, "lora_alpha": 4},
        "settings": {"per_device_train_batch_size": 4, "max_steps": 2, "learning_rate": "1e-2", "save_steps": 1},
    },
    "self_play": {"tasks": {"name": "bargain:train", "number": 4}},
    "labels": {"episodes": "self-play", "scale": "native", "dimensions": ["goal", "knowledge"]},
    "reward_model": {
        "start": "clone",
        "settings": {"per_device_train_batch_size": 2, "max_steps": 2, "normalizer": "paper", "held_out": 0.25},
    },
    "grpo": {
        "tasks": {"name": "bargain:train", "number": 2},
        "added_reward": "0.1 * format",
        "settings": {
            "max_steps": 2,
            "per_device_train_batch_size": 4,
            "num_generations": 2,
            "max_turn_tokens": 6,
            "learning_rate": "1e-2",
            "save_steps": 1,
        },
    },
    "evaluation": {
        "sets": [
            {
                "tasks": {"name": "bargain:test", "number": 2},
                "published": [{"name": "theirs", "goal": 6.5, "source": "a table"}],
            }
        ]
    },
    "estimates": {name: {"turns": 4, "words": 6} for name in ("experts", "clone", "learner")},
}


def answer(sent: dict[str, Any]) -> str:
    """As judge and as attributor, other for every dialogue; of some dialogues nothing that can be read."""
    question = sent["messages"][1]["content"]
    turns = [json.loads(line) for line in question.split("\n") if line.startswith('{"turn"')]
    first = 1 + sum(sum(map(ord, turn["text"])) for turn in turns) % 8
    if "utterance" in question.rsplit("===", 1)[1]:
        own = [turn for turn in turns if "utterance" in turn]
        dimensions = re.findall(r"^- (\w+): ", question, re.MULTILINE)
        return json.dumps({d: {t["utterance"]: (first + len(t["text"])) % 4 for t in own} for d in dimensions})
    if first % 4 == 0:
        return "All did well."
    marks = {d: {"reason": "", "score": first if high > 5 else 0} for d, (_, high) in DIMENSIONS.items()}
    return json.dumps({"agent_0": marks, "agent_1": {**marks, "goal": {"reason": "", "score": 9 - first}}})


@pytest.fixture(scope="module")
def model(episodes: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    made, tokenizer = build_embedded_model(corpus(episodes), seed=0, hidden_size=32, layers=2, heads=2)
    LoadedModel(made, tokenizer).save(folder)
    return str(folder)


@pytest.fixture
def server(chat_server: Any) -> Iterator[Any]:
    chat_server.answer(answer)
    return chat_server


def recipe(folder: Path, **sections: Any) -> Recipe:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, **sections}), encoding="utf-8")
    found = read_recipe(str(path))
    assert isinstance(found, Recipe)
    return found


def made(folder: Path) -> dict[str, bytes]:
    """What a run leaves, without times."""
    names = ("*/*.safetensors", "*/*.jsonl", "evaluation/table.*", "experts/chosen.json")
    paths = sorted(path for name in names for path in folder.glob(name))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name != "metrics.jsonl"}


def test_all_stages_run_and_end_in_a_table(
    tmp_path: Path, model: str, server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = recipe(tmp_path, model=model, judge=f"llm:m@{server.url}")
    whole = RecipeRun(given, tmp_path / "whole").run()
    assert list(whole) == given.stages
    told = capsys.readouterr().out
    assert "not judged" in told
    assert "theirs, published: a table." in " ".join(told.split())
    record = json.loads((tmp_path / "whole" / "evaluation" / "table.json").read_text(encoding="utf-8"))
    (found,) = record["sets"].values()
    assert (record["judge"], record["partner"]) == ("llm:m", "clone")
    assert [(row["name"], row["episodes"]) for row in found["rows"]] == [("clone", 4), ("learner", 4)]
    for row in found["rows"]:
        assert row["goal"]["known"] + row["unjudged"] == 4
    assert found["difference"]["of"] == ["learner", "clone"]
    # What the dry run counted is what was done.
    counted = {one.name: one.counts for one in DryRun(given).found}
    assert counted["experts"]["dialogues"] == whole["experts"]["episodes"] == 6
    assert counted["self-play"]["dialogues"] == whole["labels"]["episodes"] == 4
    assert counted["grpo"]["steps"] == whole["grpo"]["steps"] == 2
    assert counted["evaluation"]["dialogues"] == sum(row["episodes"] for row in found["rows"])
    # A direct label is the score times the importance of three; two dimensions have one each.
    labelled = load_episodes(tmp_path / "whole" / "labels" / "episodes.jsonl")
    numbers = [v for e in labelled for name in ("label:goal", "label:knowledge") for v in _values(e.rewards[name])]
    assert len(numbers) == whole["labels"]["labels"]
    assert numbers.count(None) == whole["labels"]["unknown"]
    assert 0 < max(v for v in numbers if v is not None) <= 8
    # A finished run asks, plays and trains nothing.
    before, files = len(server.requests), made(tmp_path / "whole")
    assert RecipeRun(given, tmp_path / "whole").run() == whole
    assert (len(server.requests), made(tmp_path / "whole")) == (before, files)


@pytest.mark.slow
def test_a_run_goes_on_after_kills_in_the_middle_of_stages_as_if_there_had_been_none(
    tmp_path: Path, model: str, server: Any, dies_after: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = recipe(tmp_path, model=model, judge=f"llm:m@{server.url}")
    RecipeRun(given, tmp_path / "whole").run()
    before = len(server.requests)
    cut = RecipeRun(given, tmp_path / "cut")
    with monkeypatch.context() as patch:
        patch.setattr(CloningTrainer, "training_step", dies_after(1, CloningTrainer.training_step))
        with pytest.raises(KeyboardInterrupt):
            cut.run()
    assert not (tmp_path / "cut" / "stages" / "cloning.json").exists()
    complete, batches = Endpoint.complete, 0

    def dies_in_the_second_batch(self: Endpoint, *given: Any) -> Any:
        nonlocal batches
        batches += 1
        if batches == 2:
            raise KeyboardInterrupt
        return complete(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Endpoint, "complete", dies_in_the_second_batch)
        with pytest.raises(KeyboardInterrupt):
            RecipeRun(given, tmp_path / "cut").run()
    assert (tmp_path / "cut" / "stages" / "cloning.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(GRPOTrainer, "training_step", dies_after(1, GRPOTrainer.training_step))
        with pytest.raises(KeyboardInterrupt):
            RecipeRun(given, tmp_path / "cut").run()
    assert (tmp_path / "cut" / "learner" / "checkpoint-1").is_dir()
    RecipeRun(given, tmp_path / "cut").run()
    assert made(tmp_path / "cut") == made(tmp_path / "whole")
    # Nothing was asked twice.
    assert len(server.requests) == 2 * before


def _values(by_agent: Any) -> list[float | None]:
    return [value for values in by_agent.values() for value in values]


def test_a_stage_alone_needs_what_it_reads(tmp_path: Path, model: str) -> None:
    run = RecipeRun(recipe(tmp_path, model=model, judge="rule"), tmp_path / "out")
    with pytest.raises(
        ValueError, match=r"cloning reads .*experts/episodes.jsonl, and the stage experts .* --stage experts"
    ):
        run.run(["cloning"])
    assert run.run(["experts", "filtering"]).keys() == {"experts", "filtering"}
    chosen = json.loads((tmp_path / "out" / "experts" / "chosen.json").read_text(encoding="utf-8"))
    assert (chosen["judge"], chosen["unknown_goals"], len(chosen["chosen"])) == ("rule", 0, 12)
    (tmp_path / "out" / "experts" / "chosen.json").unlink()
    with pytest.raises(ValueError, match=r"cloning reads .*chosen.json, which is gone; remove .*filtering.json"):
        run.run(["cloning"])


def test_what_has_changed_since_is_refused(tmp_path: Path, model: str) -> None:
    out = tmp_path / "out"
    RecipeRun(recipe(tmp_path, model=model, judge="rule"), out).run(["experts", "filtering"])
    other = recipe(tmp_path, model=model, judge="rule", filtering={"top": 1})
    with pytest.raises(
        ValueError, match=r"filtering: .* with other settings\.top \(2, not 1\); give another --out, or remove"
    ):
        RecipeRun(other, out).run(["filtering"])
    with pytest.raises(ValueError, match=r"cloning reads .* which filtering made with other top \(2, not 1\)"):
        RecipeRun(other, out).run(["cloning"])
    (out / "experts" / "episodes.jsonl").write_bytes(b"")
    with pytest.raises(ValueError, match=r"filtering: .* with other inputs\.experts/episodes\.jsonl"):
        RecipeRun(recipe(tmp_path, model=model, judge="rule"), out).run(["filtering"])


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"judge": "rule"}, "model: the recipe names none; give --model"),
        ({"model": "m"}, "judge: the recipe names none; give --judge"),
        (
            {"cloning": {"settings": {"per_device_train_batch_size": 2, "learning_rate": "fast"}}},
            r"cloning\.settings\.learning_rate: 'fast' does not fit",
        ),
        ({"cloning": {**TINY["cloning"], "adapter": {"rank": 8}}}, r"cloning\.adapter: .*'rank'"),
        ({"grpo": {**TINY["grpo"], "tasks": "sotopia:train"}}, "'sotopia:train' are published: give the folder"),
        ({"grpo": {**TINY["grpo"], "rollouts": "none"}}, "grpo.rollouts: 'none'"),
    ],
)
def test_a_recipe_that_cannot_run_is_told_before_anything_is_played(
    tmp_path: Path, sections: dict[str, Any], said: str
) -> None:
    whole = sections if {"model", "judge"} & set(sections) else {"model": "m", "judge": "rule", **sections}
    with pytest.raises(ValueError, match=said):
        RecipeRun(recipe(tmp_path, **whole), tmp_path / "out").run()
    assert not (tmp_path / "out").exists()


def test_no_goal_that_is_known_ends_the_filter(tmp_path: Path, model: str, server: Any) -> None:
    server.answer(lambda sent: "no idea")
    run = RecipeRun(recipe(tmp_path, model=model, judge=f"llm:m@{server.url}"), tmp_path / "out")
    with pytest.raises(ValueError, match="the judge 'llm:m' knows the goal of none of 6 dialogues"):
        run.run(["experts", "filtering"])

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig

import sotopia_env
from sotopia_env.agents.loading import load_model
from sotopia_env.chat_encoding import ChatEncoder
from sotopia_env.episodes import Episode
from sotopia_env.rewards import Attribution, FunctionReward, LengthPenalty, Outcome, RewardModel, relabel
from sotopia_env.rewards.reward_model.saved import read_description
from sotopia_env.training import RewardModelConfig, train_reward_model
from sotopia_env.training.callbacks import read_metrics
from sotopia_env.training.checkpoints import COMPLETE
from sotopia_env.training.reward_modelling.labels import labelled_rows, labels_of, limits_of, split_by_scenario
from sotopia_env.training.reward_modelling.report import among_siblings, figures, report_table, spearman
from sotopia_env.training.reward_modelling.train import ValueTrainer, _heads, between_groups

DIMENSIONS = ("goal", "relationship")


def settings(**changes: Any) -> RewardModelConfig:
    common: dict[str, Any] = {
        "output_dir": "",
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 8,
        "num_train_epochs": 4,
        "held_out": 0.25,
        "save_steps": 2,
        "logging_steps": 1,
        "bf16": False,
        "disable_tqdm": True,
    }
    return RewardModelConfig(**{**common, **changes})


def words(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
    """What can be read off a turn: the share of its letters in forty; unknown for every third turn."""
    return [
        {a: [None if t.own_index % 3 == 2 else len(t.text) / 40 for t in e.own_turns(a)] for a in e.agents}
        for e in episodes
    ]


LABELS = {"goal": Outcome("broadcast"), "letters": FunctionReward(words, "letters", "credit", "causal")}
WEIGHTS = {"goal": 1.0, "letters": 2.0}
LONGER = {"num_train_epochs": 6}


@pytest.fixture(scope="module")
def trained(episodes: list[Episode], tiny_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rm")
    return train_reward_model(
        episodes, tiny_directory, labels=LABELS, weights=WEIGHTS, out=out, args=settings(**LONGER)
    )


def test_it_learns_and_is_a_reward(trained: Path, episodes: list[Episode]) -> None:
    losses = [line["loss"] for line in read_metrics(trained / "metrics.jsonl") if "loss" in line]
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])
    summary = json.loads((trained / COMPLETE).read_text())
    assert (summary["rows"], summary["held_out_rows"], summary["steps"]) == (18, 6, 18)
    assert not (trained / "checkpoints").exists()
    model = RewardModel(str(trained))
    assert model.dimensions == {"goal": 1.0, "letters": 2.0}
    found = model.by_dimension(episodes)["letters"]
    pairs = [
        (predicted, label)
        for by_agent, labels in zip(found, words(episodes), strict=True)
        for agent in labels
        for predicted, label in zip(by_agent[agent], labels[agent], strict=True)
        if label is not None
    ]
    assert np.corrcoef(np.array(pairs).T)[0, 1] > 0.5


def test_it_says_what_it_was_trained_with(trained: Path, tiny_directory: Path) -> None:
    described = read_description(trained)
    assert described.base == tiny_directory.name
    assert described.policies == ("scripted:mixed",)
    assert list(described.families) == ["bargain"]
    assert described.labels["goal"]["design"] == "broadcast"
    assert described.labels["letters"]["name"] == "letters"
    assert described.normalizers["goal"].kind == "range"
    report = json.loads((trained / "report.json").read_text())
    assert report["held_out"]["rows"] == 6
    assert set(report["dimensions"]) == {"goal", "letters"}
    assert report["dimensions"]["letters"]["turns"] < report["held_out"]["turns"]
    assert "letters" in report_table(report).markdown()
    known, of = (report["dimensions"]["letters"]["turns"], report["held_out"]["turns"])
    assert f"letters ({known} of {of})" in report_table(report).markdown()
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert "tags: [sotopia-env, reward-model]" in card
    for text in (f"| {tiny_directory.name} ", "| head of letters ", "held-out scenarios; target: "):
        assert text in card


def test_a_finished_run_is_not_repeated_and_another_does_not_overwrite_it(
    trained: Path, episodes: list[Episode], tiny_directory: Path
) -> None:
    before = (trained / COMPLETE).stat().st_mtime_ns
    common: dict[str, Any] = {"labels": LABELS, "out": trained}
    train_reward_model(episodes, tiny_directory, args=settings(**LONGER), weights=WEIGHTS, **common)
    assert (trained / COMPLETE).stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"other data \("):
        train_reward_model(episodes[:-1], tiny_directory, args=settings(**LONGER), weights=WEIGHTS, **common)
    with pytest.raises(ValueError, match=r"other dimensions\.letters \(2\.0, not 1\.0\)"):
        train_reward_model(episodes, tiny_directory, args=settings(**LONGER), **common)
    start = load_model(tiny_directory)
    with torch.no_grad():
        next(iter(start.model.parameters())).view(-1)[5] += 1.0
    with pytest.raises(ValueError, match=r"written by a run with other start\.weights \("):
        train_reward_model(episodes, start, args=settings(**LONGER), weights=WEIGHTS, **common)


@pytest.mark.parametrize("lora", [False, True])
def test_a_killed_run_ends_as_if_it_had_not_been(
    lora: bool,
    episodes: list[Episode],
    tiny_directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_after: Callable[..., Any],
) -> None:
    adapter = LoraConfig(r=2, lora_alpha=4, task_type="CAUSAL_LM", lora_dropout=0.1) if lora else None
    common: dict[str, Any] = {"labels": labels_of("direct", DIMENSIONS), "target": "labels", "peft_config": adapter}
    whole = train_reward_model(episodes, tiny_directory, out=tmp_path / "whole", args=settings(), **common)
    step = ValueTrainer.training_step
    monkeypatch.setattr(ValueTrainer, "training_step", dies_after(7, step))
    with pytest.raises(KeyboardInterrupt):
        train_reward_model(episodes, tiny_directory, out=tmp_path / "cut", args=settings(), **common)
    monkeypatch.setattr(ValueTrainer, "training_step", step)
    saved = sorted(path.name for path in (tmp_path / "cut" / "checkpoints").glob("checkpoint-*"))
    assert saved == ["checkpoint-4", "checkpoint-6"]
    cut = train_reward_model(episodes, tiny_directory, out=tmp_path / "cut", args=settings(), **common)
    assert (cut / "adapter_model.safetensors").exists() == lora
    assert RewardModel(str(whole))(episodes) == RewardModel(str(cut))(episodes)
    steps = [line["step"] for line in read_metrics(cut / "metrics.jsonl") if "loss" in line]
    assert steps == list(range(1, 13))


def test_outcomes_are_learnt_before_and_after_each_turn(
    episodes: list[Episode], tiny_directory: Path, tmp_path: Path
) -> None:
    labels = {"goal": Outcome("broadcast", scale="native")}
    loaded = load_model(tiny_directory)
    rows = labelled_rows(episodes, labels, "outcome", ChatEncoder(loaded.tokenizer))
    (judged,) = relabel(episodes[:1], "episode")
    goals = judged.judgements[0].scores["goal"]
    assert len(rows[0].places) == 2 * len(episodes[0].own_turns("agent_0"))
    assert rows[0].targets_PD.tolist() == [[goals[0]]] * len(rows[0].places)
    out = train_reward_model(
        episodes, tiny_directory, labels=labels, target="outcome", out=tmp_path, args=settings(num_train_epochs=1)
    )
    model = RewardModel(str(out))
    stored = relabel(episodes[:3], model)
    by_dimension = model.by_dimension(episodes[:3])["goal"]
    for index, episode in enumerate(stored):
        for agent, values in episode.rewards[model.name].items():
            # On the unit scale, the labels were native.
            assert values == pytest.approx([v / 10 for v in by_dimension[index][agent]], abs=1e-6)


def test_the_score_of_an_episode_is_learnt_at_its_end(
    episodes: list[Episode], tiny_directory: Path, tmp_path: Path
) -> None:
    labels = {"goal": Outcome("broadcast", scale="native")}
    encoder = ChatEncoder(load_model(tiny_directory).tokenizer)
    rows = labelled_rows(episodes, labels, "episode", encoder)
    (judged,) = relabel(episodes[:1], "episode")
    goals = judged.judgements[0].scores["goal"]
    for seat, row in enumerate(rows[:2]):
        assert (row.places, row.targets_PD.tolist()) == ([len(row.ids) - 1], [[goals[seat]]])
        assert row.siblings == f"bargain:{episodes[0].task.id}:agent_{seat}"
    # The one who did not act last has heard the last turn.
    by_turns = labelled_rows(episodes[:1], labels, "outcome", encoder)
    longer = [len(whole.ids) > len(row.ids) for whole, row in zip(rows, by_turns, strict=False)]
    assert longer == [episodes[0].turns[-1].seat != seat for seat in (0, 1)]
    args = settings(num_train_epochs=1, between=0.1)
    out = train_reward_model(episodes, tiny_directory, labels=labels, target="episode", out=tmp_path, args=args)
    assert read_description(out).target == "episode"
    (paid,) = RewardModel(str(out))(episodes[:1])
    assert all(numbers[-1] and not any(numbers[:-1]) for numbers in paid.values())
    assert json.loads((out / "report.json").read_text())["held_out"]["turns"] == 6


def test_what_tasks_differ_in_can_be_left_out_of_the_loss() -> None:
    errors = torch.tensor([[3.0, 1.0], [5.0, 0.0], [2.0, 2.0]])
    known = torch.tensor([[True, True], [True, False], [True, True]])
    groups = torch.tensor([0, 0, 1])
    # Squared means times sizes: 2 * 4^2 + 1 * 2^2, and 1 * 1^2 + 1 * 2^2 where one label is unknown.
    assert between_groups(errors, known, groups).tolist() == [36.0, 5.0]
    within = errors.square().sum(dim=0) - between_groups(errors, known, groups)
    assert within.tolist() == [(3 - 4) ** 2 + (5 - 4) ** 2, 0.0]
    with pytest.raises(ValueError, match="between: 2 is not between 0 and 1"):
        settings(between=2)


def test_unknown_labels_are_left_out_of_the_loss(episodes: list[Episode], tiny_directory: Path, tmp_path: Path) -> None:
    loaded = load_model(tiny_directory)
    rows = labelled_rows(episodes, LABELS, "labels", ChatEncoder(loaded.tokenizer))
    heads = _heads(loaded, list(LABELS), rows)
    assert heads.location[1] == pytest.approx(np.nanmean(np.concatenate([row.targets_PD[:, 1] for row in rows])))
    trainer = ValueTrainer(heads, settings(output_dir=str(tmp_path)), rows)
    batch = trainer.data_collator(rows[:6])
    known = ~batch["targets"].isnan()
    assert not known.all()
    values = heads(**{name: tensor for name, tensor in batch.items() if name not in ("targets", "siblings")})
    expected = (((values - batch["targets"]) / heads.spread)[known] ** 2).mean()
    assert trainer.compute_loss(trainer.model, dict(batch)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_no_scenario_is_on_both_sides(episodes: list[Episode], tiny_directory: Path) -> None:
    encoder = ChatEncoder(load_model(tiny_directory).tokenizer)
    rows = labelled_rows([*episodes, *episodes[:4]], labels_of("broadcast", DIMENSIONS), "labels", encoder)
    trained, held_out = split_by_scenario(rows, 0.3, seed=1)
    assert len(trained) + len(held_out) == len(rows) == 32
    assert {row.scenario for row in trained}.isdisjoint({row.scenario for row in held_out})
    assert len({row.scenario for row in held_out}) == 4
    assert split_by_scenario(rows, 0.0, seed=1)[1] == []


def test_what_cannot_be_learnt_is_refused(episodes: list[Episode], tiny_directory: Path, tmp_path: Path) -> None:
    def train(played: Sequence[Episode], labels: Any, **options: Any) -> None:
        train_reward_model(played, tiny_directory, labels=labels, out=tmp_path / "rm", args=settings(), **options)

    unknown = {"goal": Outcome(), "happiness": Outcome("broadcast", {"happiness": 1}, scale="native")}
    with pytest.raises(ValueError, match="'happiness': all labels are None"):
        train(episodes, unknown)
    with pytest.raises(ValueError, match="the range of 'happiness' is unknown"):
        labels_of("direct", ["happiness"])
    with pytest.raises(ValueError, match="design: 'oracle' is none of episode"):
        labels_of("oracle", ["goal"])
    with pytest.raises(ValueError, match="none of the episodes is finished"):
        train([], {"goal": "broadcast"})
    with pytest.raises(ValueError, match="at least one dimension"):
        train(episodes, {})
    with pytest.raises(ValueError, match="no labels for 'secret', only for goal"):
        train(episodes, {"goal": "broadcast"}, weights={"goal": 1, "secret": 1})
    with pytest.raises(ValueError, match="target: 'value' is none of labels, outcome, episode"):
        train(episodes, {"goal": "broadcast"}, target="value")
    with pytest.raises(ValueError, match="'length' gives no outcome of a whole episode"):
        train(episodes, {"goal": LengthPenalty()}, target="outcome")
    with pytest.raises(ValueError, match="normalizer: 'rank' is none of"):
        settings(normalizer="rank")
    assert not (tmp_path / "rm").exists()


def test_limits_follow_from_the_scale_of_the_labels() -> None:
    assert limits_of(Attribution("direct", dimensions={"relationship": 1}, scale="native"), "relationship") == (-5, 5)
    assert limits_of(Attribution("direct", dimensions={"relationship": 1}), "relationship") == (0, 1)


def test_figures_of_a_report() -> None:
    labels = np.array([0.0, 1.0, 2.0, 3.0, np.nan])
    found = figures(np.array([0.0, 0.5, 1.0, 1.5, 9.0]), labels, mean=1.5)
    assert (found["turns"], found["spearman"], found["slope"]) == (4, 1.0, 2.0)
    assert (found["mae"], found["mae_of_mean"]) == (0.75, 1.0)
    assert found["rmse"] == pytest.approx(np.sqrt(3.5 / 4))
    assert found["explained"] == pytest.approx(1 - 3.5 / 5)
    assert sum(line["turns"] for line in found["bins"]) == 4
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([3.0, 1.0, 5.0])) == pytest.approx(np.sqrt(3) / 2)
    assert spearman(np.zeros(3), np.arange(3.0)) is None
    nothing = figures(np.zeros(0), np.zeros(0), 0.0)
    assert nothing["mae"] is None and nothing["bins"] == []


def test_siblings_are_compared_with_each_other_alone() -> None:
    groups = np.array(["a", "a", "b", "b", "c"])
    labels = np.array([1.0, 2.0, 11.0, 10.0, np.nan])
    # Between the groups the predictions run the wrong way.
    assert among_siblings(np.array([8.0, 9.0, 2.0, 1.0, 5.0]), labels, groups) == pytest.approx(1.0)
    assert among_siblings(np.array([1.0, 2.0, 10.0, 11.0, 5.0]), labels, groups) == pytest.approx(0.0)
    assert among_siblings(np.array([1.0, 1.0, 2.0, 2.0, 5.0]), labels, groups) is None
    assert among_siblings(np.arange(5.0), np.full(5, np.nan), groups) is None


def test_one_scenario_alone_leaves_nothing_to_report_on(
    episodes: list[Episode], tiny_directory: Path, tmp_path: Path
) -> None:
    out = train_reward_model(
        episodes[:1], tiny_directory, labels={"goal": "broadcast"}, out=tmp_path, args=settings(num_train_epochs=1)
    )
    report = json.loads((out / "report.json").read_text())
    assert report["held_out"] == {"scenarios": 0, "rows": 0, "turns": 0}
    assert report["dimensions"]["goal"]["spearman"] is None
    assert report_table(report).cells[0][6].value is None


def test_weights_stay_with_the_model(trained: Path, tmp_path: Path, episodes: list[Episode]) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(trained, moved)
    assert RewardModel(str(moved))(episodes[:2]) == RewardModel(str(trained))(episodes[:2])
    played = sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=2, reward=f"model:{moved}", max_cycles=6)
    again = relabel(played, f"model:{trained}")
    for episode, stored in zip(played, again, strict=True):
        for agent in episode.agents:
            first, second = episode.rewards["reward-model"][agent], stored.rewards["reward-model"][agent]
            assert first == pytest.approx(second, abs=1e-4)
    assert torch.get_num_threads() == 1


def test_a_model_is_asked_once_for_all_dimensions(
    chat_server: Any, episodes: list[Episode], tiny_directory: Path
) -> None:
    def answer(sent: dict[str, Any]) -> str:
        question = sent["messages"][1]["content"]
        if "utterance" in question.rsplit("===", 1)[1]:
            turns = [json.loads(line) for line in question.split("\n") if line.startswith('{"turn"')]
            own = [turn["utterance"] for turn in turns if "utterance" in turn]
            return json.dumps({d: dict.fromkeys(own, grade) for d, grade in (("goal", 2), ("knowledge", 1))})
        marks = {d: {"reason": "", "score": score} for d, score in (("goal", 9), ("knowledge", 4))}
        return json.dumps({"agent_0": marks, "agent_1": marks})

    chat_server.answer(answer)
    name = f"llm:m@{chat_server.url}"
    labels = labels_of("direct", ("goal", "knowledge"), name, {"judge": name, "dimensions": ["goal", "knowledge"]})
    encoder = ChatEncoder(load_model(tiny_directory).tokenizer)
    rows = labelled_rows(episodes[:2], labels, "labels", encoder)
    # Two episodes are judged, and each has two agents.
    assert len(chat_server.requests) == 2 + 4
    assert rows[0].targets_PD[0].tolist() == pytest.approx([2 / 3 * 0.9, 1 / 3 * 0.4])

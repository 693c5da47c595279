"""The quickstart's folder: it remembers its settings, its stages resume, and its report holds what it must."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.rewards import relabel
from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.training.callbacks import read_metrics
from sotopia_env.training.quickstart import Run, quickstart
from sotopia_env.training.quickstart_settings import PRESETS, VARIANTS, Learning, Settings

ROOT = Path(__file__).parents[2]

TINY = Settings(
    expert_episodes=24,
    erratic_episodes=4,
    label_episodes=6,
    label_group=2,
    model_epochs=1.0,
    cloning_batch=8,
    cloning_epochs=1.0,
    learning=Learning(steps=1),
    dialogues=4,
    group=2,
    tasks=2,
    partner_tasks=2,
    temperatures=(0.0,),
    nuclei=(1.0,),
    unseen=("anchor", "deceptive"),
    partners=("firm",),
    max_turn_tokens=6,
)

QUICKSTART = """
import sys, torch
from pathlib import Path
from sotopia_env.training.quickstart import Run
from sotopia_env.training.quickstart_settings import Settings
torch.set_num_threads(1)
settings = Settings(expert_episodes=300, erratic_episodes=0, cloning_epochs=2.0, cloning_batch=4, max_turn_tokens=6)
run = Run(Path(sys.argv[1]), 0, settings)
run.experts()
run.clone()
"""


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        # A manifest notes every call, also one that found nothing left to do.
        if path.is_file()
        and path.name not in ("seconds.json", "report.json", "report.html")
        and not path.name.endswith(".manifest.json")
    }


def test_a_folder_refuses_another_seed_and_other_settings(tmp_path: Path) -> None:
    Run(tmp_path / "run", 0, TINY)
    Run(tmp_path / "run", 0, TINY)
    before = (tmp_path / "run" / "run.json").read_bytes()
    for seed, settings, what in (
        (1, TINY, r"seed \(0, not 1\)"),
        (0, replace(TINY, tasks=3), r"settings\.tasks \(2, not 3\)"),
        (0, PRESETS["small"], r"settings\.variant|settings\.expert_episodes"),
    ):
        with pytest.raises(ValueError, match=f"holds a run with other ({what})"):
            Run(tmp_path / "run", seed, settings)
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_published_data_is_read_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises((ValueError, OSError), match="nowhere"):
        quickstart(tmp_path / "run", settings=TINY, sotopia_data=tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()


def test_experts_go_on_where_they_were_cut_off(tmp_path: Path) -> None:
    whole, cut = Run(tmp_path / "whole", 0, TINY), Run(tmp_path / "cut", 0, TINY)
    played = whole.experts()
    assert len(played) == TINY.expert_episodes + TINY.erratic_episodes
    assert len({episode.task.id for episode in played}) == len(played)
    lines = (tmp_path / "whole" / "experts.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut" / "experts.jsonl").write_bytes(b"".join(lines[:10]) + lines[10][:50])
    assert cut.experts() == played
    assert cut.experts_played() == played
    assert json.loads((tmp_path / "cut" / "seconds.json").read_text(encoding="utf-8"))["experts"] > 0


def test_processes_share_the_work_where_every_batch_can_be_divided() -> None:
    main = PRESETS["default"]
    assert [main.usable_processes(processes) for processes in (0, 1, 2, 3, 8)] == [1, 1, 2, 2, 2]
    assert replace(main, variant="outcome").usable_processes(8) == 8
    assert replace(main, model_batch=64).usable_processes(8) == 8
    assert TINY.usable_processes(4) == 2


def test_a_partner_that_was_cloned_from_is_not_called_unseen() -> None:
    with pytest.raises(ValueError, match="unseen: warm were cloned from; list them as partners"):
        replace(TINY, unseen=("anchor", "warm"))
    with pytest.raises(ValueError, match="split: 'train' is none of test, validation"):
        replace(TINY, split="train")  # type: ignore[arg-type]


def test_the_small_preset_has_every_stage_of_the_main_job() -> None:
    small, main = PRESETS["small"], PRESETS["default"]
    assert main == Settings()
    assert 2 * main.tasks >= 200
    assert set(small.partners) <= set(main.partners)
    assert set(small.unseen) <= set(main.unseen)
    assert small.dialogues % small.group == main.dialogues % main.group == 0
    assert small.expert_episodes < main.expert_episodes
    assert all(0 < small.grpo.steps < replace(main, variant=v).grpo.steps for v in VARIANTS)


def test_the_small_preset_is_known_to_be_too_short() -> None:
    assert PRESETS["small"].too_short
    assert not any(replace(PRESETS["default"], variant=variant).too_short for variant in VARIANTS)


def test_an_unknown_variant_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="variant: 'papers' is none of paper, on-policy, outcome"):
        replace(TINY, variant="papers")  # type: ignore[arg-type]


def test_the_nucleus_follows_from_the_variant_where_it_is_not_given() -> None:
    assert Settings(variant="outcome").nucleus < Settings(variant="on-policy").nucleus
    assert Settings(variant="outcome", top_p=1.0).nucleus == 1.0


def test_the_outcome_pays_no_deal_that_the_partner_takes_outside_its_limit(tmp_path: Path) -> None:
    reward = Run(tmp_path / "run", 0, replace(TINY, variant="outcome")).reward()
    assert [judge.name for judge in reward.judges()] == ["strict"]
    with pytest.raises(ValueError, match="unknown judge 'stern'"):
        replace(TINY, judge="stern")


def test_the_reward_model_of_the_paper_learns_from_expert_dialogues(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", 0, replace(TINY, variant="paper"))
    played = run.experts()
    labelled = run.to_be_labelled()
    assert labelled == played[: TINY.label_episodes]
    assert {name for episode in labelled for name in episode.policies.values()} == {"scripted:mixed"}
    paid = relabel(labelled, "broadcast")
    # Judged by the words of the training bank, and by no other, while it is played and when it is labelled.
    assert {said.judge for episode in paid for said in episode.judgements} == {"rule-training"}


@pytest.mark.slow
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "on-policy"])
def test_every_variant_learns(tmp_path: Path, variant: Any) -> None:
    run = Run(tmp_path / "run", 3, replace(TINY, variant=variant))
    run.experts()
    run.clone()
    run.model_reward()
    run.learn()
    assert (tmp_path / "run" / "learner" / "complete.json").exists()
    assert (tmp_path / "run" / "reward-model").exists() == (variant == "paper")


@pytest.mark.slow
def test_the_whole_loop_runs_and_is_skipped_when_it_is_finished(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    data = quickstart(folder, seed=3, settings=TINY, command=["sotopia-env", "quickstart", "--out", "a b"])
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    for row in ("teacher", "baseline", "learner", "difference"):
        found = report["evaluation"][row]
        assert found["episodes"] == 4
        for dimension in DIMENSIONS:
            assert set(found[dimension]) >= {"mean", "low", "high"}
        assert found.get("judge", "rule") == "rule"
    assert report["evaluation"]["teacher"]["believability"]["mean"] == 10.0
    stages = {"start", "experts", "cloning", "labels", "reward model", "grpo", "evaluation"}
    assert set(report["seconds"]) == {*stages, "total"}
    assert report["seconds"]["total"] == pytest.approx(sum(report["seconds"][stage] for stage in stages))
    assert report["seed"] == 3
    assert report["versions"]["world bargain"]
    assert report["command"] == "sotopia-env quickstart --out 'a b'"
    assert report["configuration"]["learning"]["steps"] == 1
    names = ["scripted:anchor", "scripted:deceptive", "scripted:firm"]
    assert [row["partner"] for row in report["partners"]][:3] == names
    assert list(report["headline"]) == ["test", "transfer"]
    for rows in report["headline"].values():
        assert rows["learner"]["partner"] == "2 scripted partners not met in cloning"
        # Two tasks, both seats, two partners.
        assert [rows[row]["episodes"] for row in ("teacher", "baseline", "learner", "difference")] == [8] * 4
    assert len(report["sharpening"]) == 2
    assert report["curves"]["cloning"]
    assert report["curves"]["reward_model"]
    assert report["curves"]["grpo"]
    assert set(report["reward_model"]["dimensions"]) == {"goal", "relationship", "knowledge"}
    assert set(report["curves"]["grpo"][0]) >= {"parts/reward-model", "parts/length", "parts/format"}
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "This run was too short to learn." in page
    assert re.search(r"A language model of [\d,]+ parameters was made anew and cloned from \d+ scripted", page)
    assert "took 1 steps of" in page

    before = files(folder)
    again = quickstart(folder, seed=3, settings=TINY)
    assert files(folder) == before
    assert again["evaluation"] == data["evaluation"]


@pytest.mark.slow
def test_two_processes_run_the_whole_loop(tmp_path: Path) -> None:
    alone, shared = (quickstart(tmp_path / str(n), seed=3, settings=TINY, processes=n) for n in (1, 2))
    assert (alone["processes"], shared["processes"]) == (1, 2)
    for name in ("experts", "experts-with-erratic", "experts-against-erratic"):
        written = [(tmp_path / folder / f"{name}.jsonl").read_bytes() for folder in ("1", "2")]
        assert written[0] == written[1]
    assert shared["evaluation"]["teacher"] == alone["evaluation"]["teacher"]
    assert shared["evaluation"].keys() == alone["evaluation"].keys()
    assert [row["partner"] for row in shared["partners"]] == [row["partner"] for row in alone["partners"]]
    assert shared["evaluation"]["learner"]["policy"] == "learner"
    losses = [
        [line["loss"] for line in read_metrics(tmp_path / folder / "clone" / "metrics.jsonl") if "loss" in line]
        for folder in ("1", "2")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


@pytest.mark.slow
def test_a_run_that_is_killed_in_the_middle_of_cloning_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", QUICKSTART, str(folder)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    process = start()
    deadline = time.monotonic() + 300
    while not read_metrics(folder / "clone" / "metrics.jsonl"):
        assert process.poll() is None, process.communicate()[1].decode()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder / "clone" / "complete.json").exists()
    experts = (folder / "experts.jsonl").read_bytes()

    process = start()
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors.decode()[-3000:]
    assert (folder / "experts.jsonl").read_bytes() == experts
    summary = json.loads((folder / "clone" / "complete.json").read_text(encoding="utf-8"))
    assert summary["rows"] == 600
    assert summary["steps"] == 300
    assert (folder / "clone" / "model.safetensors").is_file()
    steps = [line["step"] for line in read_metrics(folder / "clone" / "metrics.jsonl") if "loss" in line]
    assert steps == sorted(set(steps))
    assert steps[-1] == 300

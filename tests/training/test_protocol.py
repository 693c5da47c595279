"""The published figures: blocks of pages, sets that are made once, and learning over several seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sotopia_env import parallel_env
from sotopia_env.tables import Table, markdown
from sotopia_env.training import GRPOConfig, GRPOTrainer
from sotopia_env.training import protocol as P
from sotopia_env.training.protocol import protocol as module
from sotopia_env.training.protocol import rollouts
from sotopia_env.training.protocol.blocks import blocks_of

ROOT = Path(__file__).parents[2]
PAGE = (
    "# Title\n\n<!-- figures: one -->\nold\n<!-- /figures -->\n\nBy hand.\n\n<!-- figures: two -->\n<!-- /figures -->\n"
)


def test_blocks_are_filled_and_what_stands_around_them_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert blocks_of(PAGE) == ["one", "two"]
    assert P.fill_blocks([page], {"one": "new \\1"}) == [page]
    assert page.read_text() == PAGE.replace("old\n", "\nnew \\1\n\n")
    assert P.fill_blocks([page], {"one": "new \\1"}) == []


def test_figures_without_a_block_are_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with pytest.raises(ValueError, match="no page has a block for three; write '<!-- figures: three -->'"):
        P.fill_blocks([page], {"one": "x", "three": "y"})
    assert page.read_text() == PAGE


def test_every_set_of_figures_has_its_blocks_in_the_docs() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    found = {name for page in pages for name in blocks_of(page.read_text("utf-8"))}
    extra = {"learning-summary", "reward-model-audit", "friends-couplings", "agreement-casino"}
    assert found == {*P.figures(), *extra}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    made: list[int] = []

    def make(protocol: P.Protocol, folder: Path) -> dict[str, Any]:
        made.append(protocol.seeds[0])
        return {"seed": protocol.seeds[0]}

    figures = module.Figures(
        "one", "a number", "sotopia-env one", make, lambda data: {"one": [Table(["seed"], [[data["seed"]]])]}
    )
    needy = module.Figures("two", "of data", "sotopia-env two", make, lambda data: {"two": []}, needs_data=True)
    monkeypatch.setattr(module, "figures", lambda: {"one": figures, "two": needy})
    return made


def test_what_is_made_is_not_made_again_and_says_how_it_was_made(tmp_path: Path, counted: list[int]) -> None:
    protocol = P.Protocol(tmp_path, seeds=(3,))
    first = P.make_figures(protocol)
    assert P.make_figures(protocol) == first
    assert counted == [3]
    assert set(first) == {"one"}
    assert "| 3    |" in first["one"] and "`sotopia-env one`; sotopia-env 0.1.0, seed 3; 0 s." in first["one"]


def test_other_seeds_are_refused_by_what_was_made(tmp_path: Path, counted: list[int]) -> None:
    P.make_figures(P.Protocol(tmp_path, seeds=(3,)))
    with pytest.raises(ValueError, match=r"one.json was made with other seed"):
        P.make_figures(P.Protocol(tmp_path, seeds=(4,)))
    assert json.loads((tmp_path / "one.json").read_text())["data"] == {"seed": 3}


def test_figures_that_need_data_say_so(tmp_path: Path, counted: list[int]) -> None:
    with pytest.raises(ValueError, match="two needs published data; give its folder with --data"):
        P.make_figures(P.Protocol(tmp_path), ["two"])
    with pytest.raises(ValueError, match="there are no figures 'three'; there are one, two"):
        P.make_figures(P.Protocol(tmp_path), ["three"])


def test_learners_are_measured_at_each_quarter_of_their_tokens_and_end_with_them(
    tiny_directory: Path, tmp_path: Path
) -> None:
    args = GRPOConfig(
        str(tmp_path),
        max_steps=50,
        per_device_train_batch_size=4,
        num_generations=4,
        max_turn_tokens=4,
        disable_tqdm=True,
    )
    env = parallel_env("bargain", reward="episode", max_cycles=4)
    trainer = GRPOTrainer(str(tiny_directory), env=env, partner="scripted:firm", args=args)
    measured: list[int] = []

    def measure(policy: Any) -> dict[str, float]:
        measured.append(trainer.state.global_step)
        return {name: float(len(measured)) for name in rollouts.MEASURED}

    trainer.add_callback(rollouts.Budget(trainer, 200, measure))
    trainer.train()
    told = rollouts._told(tmp_path)
    assert 200 <= told["tokens"] < 200 + 4 * 2 * 4
    assert told["steps"] == trainer.state.global_step == measured[-1]
    assert [one["goal"] for one in told["after"]] == [1.0, 2.0, 3.0, 4.0]
    assert told["turn_tokens"] == told["tokens"]


def test_the_table_of_rollouts_has_gains_over_the_clone() -> None:
    after = [{"goal": goal, "goal_strict": 1.0, "deal_rate": 0.5} for goal in (1.0, 2.0, 3.0, 4.0)]
    arm = {"steps": 7, "tokens": 400.0, "turn_tokens": 100.0, "seconds": 90.0, "after": after}
    runs = [{"seed": seed, "before": {"goal": 1.0 + seed}, "arms": [arm] * len(rollouts.ARMS)} for seed in range(3)]
    text = markdown(*rollouts.draw_rollouts({"runs": runs})["rollouts"])
    (row,) = [line for line in text.splitlines() if "single-turn, continuations 4" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:7] == ["outcome", "single-turn, continuations 4", "2.00", "1.00", "2.00", "3.00", "4.00"]
    assert cells[7].startswith("+2.00 [") and cells[8:] == ["1.00", "50%", "7", "25%", "1.5"]

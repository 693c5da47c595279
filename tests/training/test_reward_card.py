from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sotopia_env.resolve import make_policy
from sotopia_env.rewards import Attribution, MonteCarlo, MonteCarloAttributor
from sotopia_env.training import reward_card as module
from sotopia_env.training.reward_card import CardSettings, read_rewards, reward_card

SMALL = CardSettings(attacked=8, turns=12, continuations=24, labels=4, costly_tasks=2, costly_turns=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("card")


@pytest.fixture(scope="module")
def card(folder: Path) -> dict[str, Any]:
    return reward_card(("episode", "direct", "direct-centred", "secret"), SMALL, out=folder)


def of(card: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in card["rewards"] if row["name"] == name)


def test_a_card_has_a_row_for_each_reward_and_control(card: dict[str, Any], folder: Path) -> None:
    names = ["episode", "direct", "direct-centred", "secret", "oracle", "A/A: episode", "random", "length-only"]
    assert [row["name"] for row in card["rewards"]] == names
    text, page = ((folder / f"card.{kind}").read_text(encoding="utf-8") for kind in ("md", "html"))
    for name in names:
        assert f"| {name} " in text
        assert f">{name}</td>" in page
    assert page.count("<svg") == 3
    assert "http" not in page.partition("<body>")[2].replace("http://www.w3.org", "")


def test_the_oracle_is_near_its_ceiling(card: dict[str, Any]) -> None:
    found = of(card, "oracle")["fidelity"]
    assert found["siblings"]["pearson"]["disattenuated"] > 0.8
    assert found["gradient"]["cosine"] > 0.8


def test_a_random_reward_tells_nothing(card: dict[str, Any]) -> None:
    found = of(card, "random")["fidelity"]["siblings"]["pearson"]
    assert found["low"] < 0 < found["high"]


def test_a_reward_agrees_with_itself(card: dict[str, Any]) -> None:
    assert card["twice"]["reward"] == "episode"
    assert card["twice"]["difference"]["low"] <= 0 <= card["twice"]["difference"]["high"]


def test_a_reward_for_words_is_exploited_by_words(card: dict[str, Any]) -> None:
    found = {exploit["attack"]: exploit for exploit in of(card, "length-only")["exploits"]}
    assert found["longer"]["exploitable"]
    assert max(found, key=lambda attack: found[attack]["score"]["mean"]) == "longer"


def test_the_centred_design_gets_the_mean_of_the_plain_play(card: dict[str, Any]) -> None:
    direct, centred = (
        of(card, name)["fidelity"]["pooled_value"]["pearson"]["value"] for name in ("direct", "direct-centred")
    )
    assert direct != centred


def test_what_was_played_serves_the_next_card(
    card: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sotopia_env.training.exploitability.rollout", None)
    again = reward_card(("episode",), SMALL, out=folder)
    assert of(again, "episode")["fidelity"] == of(card, "episode")["fidelity"]
    assert of(again, "episode")["exploits"] == of(card, "episode")["exploits"]
    assert len(list(folder.glob("played-*"))) == 1


def test_costly_rewards_are_asked_for_less(folder: Path) -> None:
    policy = make_policy("scripted:changing")
    rewards = [MonteCarlo([policy], k=2), Attribution("direct", MonteCarloAttributor(MonteCarlo([policy], k=2)))]
    card = reward_card(rewards, SMALL, out=folder)
    causal, hindsight = card["rewards"][:2]
    assert hindsight["fidelity"]["gradient"]["n"] <= SMALL.costly_turns < causal["fidelity"]["gradient"]["n"]
    assert causal["cost"]["continuations"] == hindsight["cost"]["continuations"] == 2000
    assert causal["exploits"][0]["score"]["count"] + causal["exploits"][0]["score"]["missing"] == 2 * SMALL.costly_tasks


def test_all_wrong_names_are_told_before_anything_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "play_attacks", None)
    with pytest.raises(ValueError, match=r"no rewards: 'epsiode', 'nowhere:x' \(.*\); one of episode, "):
        reward_card(("epsiode", "episode", "nowhere:x"), SMALL)
    with pytest.raises(ValueError, match="several rewards are called 'episode'"):
        reward_card(("episode", "episode"), SMALL)
    with pytest.raises(ValueError, match="turns: 1 is less than 2"):
        CardSettings(turns=1)


def test_monte_carlo_alone_plays_on_with_the_policy_of_the_card() -> None:
    policy = make_policy("scripted:changing")
    (reward,) = read_rewards(("monte-carlo",), policy, SMALL)
    assert isinstance(reward, MonteCarlo)
    assert reward.policies == (policy,)


def test_a_dimension_that_nobody_scores_is_named() -> None:
    with pytest.raises(ValueError, match="dimension: 'charm' is none of goal, "):
        reward_card(("episode",), CardSettings(attacked=2, turns=2, dimension="charm"))

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sotopia_env.resolve import make_policy
from sotopia_env.rewards import (
    Attribution,
    Dial,
    EnsembleJudge,
    JudgePotential,
    LLMAttributor,
    LLMJudge,
    MonteCarlo,
    MonteCarloAttributor,
    Outcome,
    Progress,
    Shapley,
)
from sotopia_env.rewards.audit.collect import collect_audit
from sotopia_env.training.reward_card import CardSettings, read_rewards, reward_card
from sotopia_env.training.reward_card import card as module
from sotopia_env.training.reward_card.controls import checks, labelled_twice, random_reward
from sotopia_env.training.reward_card.text import card_fidelity, exploit_table, smaller_note

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
    assert page.count("<svg") == 3 + 5 + 2
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
    monkeypatch.setattr("sotopia_env.rollouts.run.play", None)
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
    # The first row is whole here, and the second is not: each is marked where it is on a part.
    names = [[str(row[0]) for row in table(card).rows] for table in (card_fidelity, exploit_table)]
    assert names[0][1:3] == [causal["name"], f"{hindsight['name']} ‡"]
    assert names[1][1:3] == [f"{causal['name']} ‡", f"{hindsight['name']} ‡"]
    assert smaller_note(card, "turns").endswith("first 4 turns alone.")
    assert causal["exploits"][0]["score"]["count"] + causal["exploits"][0]["score"]["missing"] == 2 * SMALL.costly_tasks


def test_all_wrong_names_are_told_before_anything_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "play_attacks", None)
    with pytest.raises(ValueError, match=r"no rewards: 'epsiode', 'nowhere:x' \(.*\); one of episode, "):
        reward_card(("epsiode", "episode", "nowhere:x"), SMALL)
    with pytest.raises(ValueError, match="several rewards are called 'episode'"):
        reward_card(("episode", "episode"), SMALL)
    with pytest.raises(ValueError, match="turns: 1 is less than 2"):
        CardSettings(turns=1)


def test_the_ceilings_are_those_of_all_turns_whatever_the_first_row_is(folder: Path) -> None:
    policy = make_policy("scripted:changing")
    costly = Attribution("direct", MonteCarloAttributor(MonteCarlo([policy], k=1)))
    card = reward_card([costly, "episode"], SMALL, out=folder)
    first = card_fidelity(card).cells[0]
    assert (first[0].value, first[1].value) == (
        "ceiling",
        of(card, "episode")["fidelity"]["siblings"]["pearson"]["ceiling"],
    )
    assert not card["twice"]["deterministic"]


def test_models_that_are_asked_are_found_and_count_once() -> None:
    judge, other = (LLMJudge(f"{name}@http://127.0.0.1:9/v1") for name in "ab")
    attributor = LLMAttributor("a@http://127.0.0.1:9/v1")
    for reward, count in (
        (Progress(JudgePotential(judge, "goal")), 1),
        (Outcome("broadcast", judge=EnsembleJudge([judge, other])), 2),
        (Attribution("direct", Dial(attributor, 0.5)), 1),
        (Outcome("broadcast", judge=judge) + Outcome("episode", judge=judge), 1),
    ):
        assert len(module._usages(reward)) == count


def test_what_plays_on_inside_a_sum_is_labelled_twice_and_what_is_certain_says_so() -> None:
    policy = make_policy("scripted:changing")
    audit = collect_audit("bargain", policy, num_turns=4, continuations=2, label_continuations=2)
    one, other = labelled_twice(2 * MonteCarlo([policy], k=1) + random_reward(), audit)
    assert one.candidates != other.candidates
    one, other = labelled_twice(random_reward(), audit)
    assert one is other


def test_a_certain_reward_is_no_check_and_is_asked_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = module.numbers_of
    monkeypatch.setattr(
        module, "numbers_of", lambda reward, audit: (asked.append(reward.name), original(reward, audit))[1]
    )
    monkeypatch.setattr("sotopia_env.training.reward_card.controls.numbers_of", None)
    certain = random_reward(seed=3)
    certain = type(certain)(certain.function, "certain", "credit", "causal")
    card = reward_card([certain], SMALL, out=folder, command=["sotopia-env", "compare", "episode + length"])
    assert asked.count("certain") == 1
    check = checks(card)[2]
    assert (check.bar, check.met, check.value) == ("deterministic", None, None)
    assert "is deterministic" in (folder / "card.html").read_text(encoding="utf-8")
    assert card["command"] == "sotopia-env compare 'episode + length'"


def test_monte_carlo_and_shapley_alone_play_on_with_the_policy_of_the_card() -> None:
    policy = make_policy("scripted:changing")
    monte_carlo, shapley = read_rewards(("monte-carlo", "shapley"), policy, SMALL)
    assert isinstance(monte_carlo, MonteCarlo)
    assert isinstance(shapley, Shapley)
    assert monte_carlo.policies == shapley.policies == (policy,)


def test_a_dimension_that_nobody_scores_is_named() -> None:
    with pytest.raises(ValueError, match="dimension: 'charm' is none of goal, "):
        reward_card(("episode",), CardSettings(attacked=2, turns=2, dimension="charm"))

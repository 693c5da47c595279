"""Descriptions tell what decides the numbers, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.agents import FunctionPolicy, MixedPolicy, ScriptedPolicy
from sotopia_env.describe import describe, differences, digest, told
from sotopia_env.families import Bargain, Divide, Family, MixedFamily, UserFamily
from sotopia_env.families.placebo import Placebo, PlaceboFamily


class Stingy:
    """Keeps its arguments in its own way, and counts."""

    name = "stingy"

    def __init__(self, price: float, patience: int = 3) -> None:
        self.price, self._patience, self.asked = price, patience, 0


class Renamed:
    """Keeps its argument under another name."""

    def __init__(self, price: float) -> None:
        self.limit, self.log = price, ["a list that grows"]


class Speaking(Stingy):
    """Says itself what it is."""

    def describe(self) -> dict[str, Any]:
        return {"price": self.price, "lexicon": Path("/somewhere/words.txt"), "weights": np.arange(3)}


@dataclass(frozen=True)
class World:
    """A family of one's own, of plain data."""

    size: int
    shares: tuple[float, ...] = (0.5, 0.5)
    name = "world"

    def generate(self, rng: np.random.Generator) -> Any:
        raise NotImplementedError

    def score(self, episode: Any) -> Any:
        raise NotImplementedError


def weighted(weight: float) -> Callable[[Any], Any]:
    seen: list[Any] = []

    def reward(episodes: Any) -> Any:
        seen.append(weight)
        return []

    return reward


def test_an_object_is_its_type_and_the_arguments_it_was_made_with() -> None:
    policy = Stingy(20.0)
    here = {"type": f"{__name__}:Stingy", "name": "stingy", "price": 20.0, "patience": 3}
    assert describe(policy) == here
    policy.asked = 7
    assert describe(policy) == here
    assert describe(Renamed(20.0)) == {"type": f"{__name__}:Renamed", "limit": 20.0}


def test_what_can_describe_itself_does() -> None:
    said = describe(Speaking(20.0))
    assert (said["price"], said["lexicon"]) == (20.0, "words.txt")
    assert said["weights"] == describe(np.arange(3)) != describe(np.arange(3) + 1)


def test_functions_are_told_by_path_and_by_what_they_were_made_with() -> None:
    assert describe(weighted) == f"{__name__}:weighted"
    assert describe(weighted(0.5)) == {
        "function": f"{__name__}:weighted.<locals>.reward", "with": {"weight": 0.5},
    }  # fmt: skip
    assert differences(describe(partial(weighted, 0.5)), describe(partial(weighted, weight=0.5)))
    (found,) = differences(describe(Stingy(1.0).__init__), describe(Stingy(2.0).__init__))
    assert found == ("of.price", 1.0, 2.0)


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        (Bargain(), Bargain(coupling=-0.5), "coupling.manners"),
        (Bargain(), Bargain(zones={"narrow": 1.0}), "zones.wide"),
        (Bargain(), Bargain(facts=0), "facts"),
        (Divide(), Divide(judge_bank="training"), "judge_bank"),
        (MixedFamily({"bargain": Bargain()}), MixedFamily({"bargain": Bargain(facts=1)}), "families.bargain.facts"),
        (UserFamily(World(2)), UserFamily(World(3)), "size"),
        (
            PlaceboFamily(Bargain(), [Placebo("goal", "noise", 0, 0, (0.1,), (1.0,))]),
            PlaceboFamily(Bargain(), [Placebo("goal", "noise", 1, 0, (0.1,), (1.0,))]),
            "placebos.0.seed",
        ),
    ],
)
def test_families_are_told_apart_by_their_configuration(one: Family, other: Family, what: str) -> None:
    found = differences(describe(one), describe(other))
    assert found[0][0] == what
    assert not differences(describe(one), json.loads(json.dumps(describe(one))))


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        (R.LengthPenalty(weight=0.1), R.LengthPenalty(weight=5.0), "weight"),
        (R.get_reward("episode + 0.1 * length"), R.get_reward("episode + 0.2 * length"), "parts.length.times"),
        (R.Outcome("episode"), R.Outcome("episode", judge="strict"), "judge.name"),
        (R.Outcome("episode"), R.Outcome("episode", judge=R.RuleJudge(Bargain(facts=1))), "judge.family"),
        (R.Outcome("discounted"), R.Outcome("discounted", gamma=0.5), "gamma"),
        (R.get_reward(weighted(0.5)), R.get_reward(weighted(0.1)), "function.with.weight"),
        (R.MonteCarlo("scripted:warm"), R.MonteCarlo("scripted:firm"), "policies.0.name"),
        (R.ClipReward(R.LengthPenalty(), -1, 1), R.ClipReward(R.LengthPenalty(), -1, 2), "high"),
        (
            R.Attribution("direct", R.Dial("rule", 0.5)),
            R.Attribution("direct", R.Dial("rule", 0.5, seed=1)),
            "attributor.seed",
        ),
    ],
)
def test_rewards_are_told_apart_by_what_they_pay(one: R.Reward, other: R.Reward, what: str) -> None:
    assert differences(describe(one), describe(other))[0][0] == what
    assert "batch_size" not in str(describe(one))


def test_policies_are_told_apart_by_what_decides_their_turns() -> None:
    def of(policy: Any) -> Any:
        return describe(policy)

    firm, warm = ScriptedPolicy("firm", name="x"), ScriptedPolicy("warm", name="x")
    assert differences(of(firm), of(warm))[0] == ("traits.rate", 0.3, 0.4)
    assert [d[0] for d in differences(of(MixedPolicy([firm])), of(MixedPolicy([firm], seed=1)))] == ["seed"]
    assert of(FunctionPolicy(weighted))["function"] == f"{__name__}:weighted"
    assert differences(of(sotopia_env.make_policy("random")), of(firm)) == [("name", "random", "x")]


def test_differences_are_told_in_words() -> None:
    assert differences({"a": [1, 2]}, {"a": [1, 3]}) == [("a", [1, 2], [1, 3])]
    assert differences({"a": [{"b": 1}]}, {"a": [{"b": 2}], "c": None}) == [("a.0.b", 1, 2)]
    assert differences(1, 2, "seed") == [("seed", 1, 2)]
    assert told([("reward.weight", 0.1, 0.5)]) == "reward.weight (0.1, not 0.5)"
    assert told([("a", 1, 2), ("b", None, "x")]) == 'a (1, not 2) and b (null, not "x")'
    # Of long values the part in which they differ.
    one, other = ("x" * 200 + end + "y" * 200 for end in ("one", "other"))
    said = told([("a", one, other)])
    assert f"{'x' * 19}oney" in said and f"{'x' * 19}othery" in said
    assert len(said) < 200
    assert told([("a", 1, 2)] * 9) == "a (1, not 2), " * 5 + "a (1, not 2) and 3 more"


def test_a_model_that_a_policy_of_ones_own_holds_is_told_by_its_weights() -> None:
    torch = pytest.importorskip("torch")

    class Holding:
        name = "holding"

        def __init__(self, model: Any) -> None:
            self.model = model

    policy = Holding(torch.nn.Linear(3, 2))
    before = describe(policy)
    assert describe(policy) == before == describe(Holding(policy.model.double().float()))
    with torch.no_grad():
        policy.model.weight[1, 1] += 0.5
    assert [path for path, *_ in differences(before, describe(policy))] == ["model.weights"]


def test_digests_are_of_plain_data() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})
    assert digest(np.arange(4)) == digest(np.arange(4)) != digest(np.arange(5))
    assert describe(float("nan")) == "nan"
    assert describe(date(2026, 1, 2)) == {"type": "datetime:date", "value": "datetime.date(2026, 1, 2)"}
    assert describe({str(i): i for i in range(600)})["number"] == 600
    assert describe(list(range(100)))["number"] == 100

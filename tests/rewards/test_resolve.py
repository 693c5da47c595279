import json
import sys
from types import ModuleType

import pytest

from sotopia_env.rewards import (
    FormatPenalty,
    FunctionReward,
    LengthPenalty,
    MonteCarlo,
    Outcome,
    get_reward,
    reward_names,
)
from sotopia_env.rewards.resolve import name_with_use, uses_of


def test_names_of_designs():
    for name in ("episode", "uniform", "broadcast", "discounted"):
        assert get_reward(name) == Outcome(name)
        assert name in reward_names()


def test_a_name_says_what_a_design_is_used_as():
    assert get_reward("uniform as return") == get_reward("uniform")
    assert get_reward("uniform as credit") == Outcome("uniform", kind="credit")
    assert get_reward("length as return") == LengthPenalty()
    mixed = get_reward("scaled as credit + 0.5 * length")
    assert set(mixed.by_flags()) == {("credit", "hindsight"), ("return", "causal")}
    assert name_with_use(mixed) == "scaled as credit + 0.5 * length"
    assert [name_with_use(use) for use in uses_of(get_reward("singular"))] == [
        "singular as return",
        "singular as credit",
    ]
    assert uses_of(mixed) == [mixed]
    with pytest.raises(ValueError, match="'broadcast' is a credit, and not used as 'return'"):
        get_reward("broadcast as return")
    with pytest.raises(ValueError, match="'uniform' is a return or a credit, and not used as 'label'"):
        get_reward("uniform as label")


def test_monte_carlo_names_its_policy():
    reward = get_reward("monte-carlo:random")
    assert isinstance(reward, MonteCarlo)
    assert reward.policies == ("random",)
    with pytest.raises(ValueError, match="monte-carlo needs a policy"):
        get_reward("monte-carlo")


def test_module_and_attribute():
    assert get_reward("sotopia_env.rewards:LengthPenalty") == LengthPenalty()


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="unknown reward 'golden'; one of episode, uniform, broadcast, discounted"):
        get_reward("golden")


def test_a_spec_without_a_type_or_of_another_type_is_refused():
    with pytest.raises(ValueError, match="names its type; got the fields design"):
        get_reward({"design": "episode"})
    with pytest.raises(TypeError, match="is no reward"):
        get_reward({"type": "json:dumps"})


def words(episodes):
    return [{a: [float(len(t.text.split())) for t in e.own_turns(a)] for a in e.agents} for e in episodes]


def test_a_function_of_a_module_is_made_again_from_its_spec(monkeypatch):
    module = ModuleType("functions_of_ones_own")
    module.words = words
    monkeypatch.setitem(sys.modules, "functions_of_ones_own", module)
    monkeypatch.setattr(words, "__module__", "functions_of_ones_own")
    reward = FunctionReward(words, timing="causal")
    assert get_reward(json.loads(json.dumps(reward.spec()))) == reward


def test_what_cannot_be_imported_has_no_spec():
    class Local(Outcome):
        pass

    with pytest.raises(ValueError, match="function: .* cannot be written as text"):
        FunctionReward(lambda episodes: words(episodes)).spec()
    with pytest.raises(ValueError, match="type: .* cannot be written as text"):
        Local().spec()


def test_penalties_and_sums_have_names():
    assert get_reward("length") == LengthPenalty()
    assert {"length", "format", "repetition", "secret"} <= set(reward_names())
    reward = Outcome("uniform") + 0.5 * LengthPenalty() + FormatPenalty()
    assert get_reward("uniform + 0.5*length + format") == reward
    assert get_reward(reward.name) == reward
    assert get_reward("2 * uniform") == 2 * Outcome("uniform")
    assert get_reward("-1e-1*sotopia_env.rewards:LengthPenalty") == -0.1 * LengthPenalty()
    with pytest.raises(ValueError, match="unknown reward 'golden'"):
        get_reward("uniform + 2 * golden")
    with pytest.raises(ValueError, match=r"a sum is written 'episode \+ 0.5 \* length'"):
        get_reward("uniform + ")

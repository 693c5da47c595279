import numpy as np
import pytest

import sotopia_env
from sotopia_env.episodes import Ending, Episode, Turn
from sotopia_env.families import FAMILIES
from sotopia_env.rewards import FunctionAttributor, RecordedAttributor, RuleAttributor
from sotopia_env.rewards.attribution.attributors import as_attributor


@pytest.fixture(scope="module")
def bargain():
    task = FAMILIES["bargain"]().generate(np.random.default_rng(0), "train")

    def make(*said):
        turns = []
        for index, text in enumerate(said):
            kind, words = text if isinstance(text, tuple) else ("speak", text)
            invalid = "no action was given" if kind == "none" else None
            turns.append(Turn(index % 2, index // 2, index, kind, words, None, invalid))
        return Episode("talk", task, {}, tuple(turns), Ending("max_cycles", truncated=True))

    return make


def graded(episode, dimension):
    by_agent = RuleAttributor().importances([episode], [dimension])[0]
    return {agent: values[dimension] for agent, values in by_agent.items()}


def test_offers_and_the_one_that_was_accepted(bargain):
    episode = bargain("Hello there.", "How about $40?", "I can do $60.", "Deal.", ("leave", ""))
    for dimension in ("goal", "financial_and_material_benefits"):
        assert graded(episode, dimension) == {"agent_0": [0, 3, 0], "agent_1": [2, 3]}


def test_a_formal_refusal_and_a_fact_of_ones_own(bargain):
    fact = bargain().task.scenario.hidden[0]["facts"][0]
    episode = bargain(fact, ("action", "offer $40"), ("action", "reject"))
    assert graded(episode, "goal") == {"agent_0": [1, 1], "agent_1": [2]}


def test_manner(bargain):
    episode = bargain("What a lovely thing.", "You fool!", "I will ruin you.", "Hm.")
    assert graded(episode, "relationship") == {"agent_0": [2, 3], "agent_1": [3, 0]}
    assert graded(episode, "social_rules") == graded(episode, "relationship")


def test_asking_and_being_told(bargain):
    fact = bargain().task.scenario.hidden[1]["facts"][0]
    episode = bargain("Why do you ask?", fact, "Is that so?", "Yes.")
    assert graded(episode, "knowledge") == {"agent_0": [3, 1], "agent_1": [0, 0]}


def test_a_secret_and_what_nobody_would_say_twice(bargain):
    secret = bargain().task.scenario.hidden[0]["secret"]
    assert graded(bargain(secret, "Oh."), "secret") == {"agent_0": [3], "agent_1": [0]}
    episode = bargain("Well, well.", "Hm.", "well,  WELL.", ("none", ""))
    assert graded(episode, "believability") == {"agent_0": [0, 3], "agent_1": [0, 3]}


def test_a_dimension_of_ones_own_gets_the_greatest(bargain):
    assert graded(bargain("You fool, $40?"), "charm") == {"agent_0": [3], "agent_1": []}


@pytest.mark.parametrize("name", ["bargain", "divide", "mutual-friends", "mini"])
def test_it_grades_every_turn_of_every_family_alike_each_time(name):
    episodes = sotopia_env.rollout(name, ["random"], num_episodes=3, seed=1)
    once = RuleAttributor().importances(episodes, ["goal", "knowledge"])
    assert once == RuleAttributor().importances(episodes, ["goal", "knowledge"])
    for episode, by_agent in zip(episodes, once, strict=True):
        for agent, by_dimension in by_agent.items():
            for values in by_dimension.values():
                assert len(values) == len(episode.own_turns(agent))
                assert all(value in (0, 1, 2, 3) for value in values)


def test_functions_give_one_list_or_one_for_each_dimension(make_episode):
    episode = make_episode("a", "b", "a")
    one = FunctionAttributor(lambda episode, agent: [1] * len(episode.own_turns(agent)), name="ones")
    assert one.importances([episode], ["goal"]) == [{"agent_0": {"goal": [1, 1]}, "agent_1": {"goal": [1]}}]
    by_dimension = FunctionAttributor(lambda e, a: {"goal": [float("nan")] * len(e.own_turns(a))})
    assert by_dimension.importances([episode], ["goal", "secret"])[0]["agent_0"] == {
        "goal": [None, None],
        "secret": [None, None],
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0], "1 importances for 2 own turns"), ([1, 4], "4.0 is not in 0..3"), ([1, -1], "-1.0 is not in 0..3")],
)
def test_wrong_importances_are_refused(make_episode, values, message):
    attributor = RecordedAttributor({"by-hand": {"agent_0": values}})
    with pytest.raises(ValueError, match=f"recorded: 'by-hand', goal: .*{message}"):
        attributor.importances([make_episode("a", "b", "a")], ["goal"])


def test_what_stands_for_an_attributor():
    assert as_attributor("rule") == RuleAttributor()
    assert as_attributor("sotopia_env.rewards:RuleAttributor") == RuleAttributor()
    assert as_attributor({}, 5) == RecordedAttributor({}, 5)
    assert as_attributor(print, 10) == FunctionAttributor(print, 10, "print")
    with pytest.raises(ValueError, match="unknown attributor 'llm'"):
        as_attributor("llm")
    with pytest.raises(ValueError, match=r"'rule' grades 0\.\.3, not 0\.\.10"):
        as_attributor("rule", 10)
    with pytest.raises(ValueError, match="levels: 0 is not positive"):
        as_attributor(print, 0)
    with pytest.raises(TypeError, match="is no attributor"):
        as_attributor(3)

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import sotopia_env
from sotopia_env.episodes import Ending, Episode, Turn
from sotopia_env.families import FAMILIES, family_of
from sotopia_env.families.formal import with_agreement
from sotopia_env.families.mutual_friends.catalogue import phrase
from sotopia_env.rewards import Attribution, Dial, FunctionAttributor, RecordedAttributor, RuleAttributor, relabel
from sotopia_env.rewards.attribution.attributors import as_attributor
from sotopia_env.tasks import Character, Scenario, Task


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


def test_words_behind_an_act_are_graded_as_talk(bargain):
    words = "What a lovely thing. Why do you sell it?"
    acts = (f"offer $40\n{words}", "offer $60\nYou fool!", f"accept\n{words}")
    before = bargain(*(("action", text) for text in acts))
    episode = replace(before, task=with_agreement(before.task, "formal", family_of(before.task)))
    assert graded(episode, "relationship") == {"agent_0": [2, 2], "agent_1": [3]}
    assert graded(episode, "knowledge") == {"agent_0": [1, 1], "agent_1": [0]}
    assert graded(episode, "believability") == {"agent_0": [0, 3], "agent_1": [0]}
    assert graded(episode, "goal") == {"agent_0": [2, 3], "agent_1": [3]}


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


@pytest.mark.parametrize("name", ["bargain", "divide", "mutual-friends"])
def test_it_grades_every_turn_of_every_family_alike_each_time(name):
    episodes = sotopia_env.rollout(name, ["random"], num_episodes=3, seed=1)
    once = RuleAttributor().importances(episodes, ["goal", "knowledge"])
    assert once == RuleAttributor().importances(episodes, ["goal", "knowledge"])
    for episode, by_agent in zip(episodes, once, strict=True):
        for agent, by_dimension in by_agent.items():
            for values in by_dimension.values():
                assert len(values) == len(episode.own_turns(agent))
                assert all(value in (0, 1, 2, 3) for value in values)


SCRIPTED = {
    "bargain:test": ({2: 287, 3: 120}, 120),
    "divide:test": ({0: 4, 2: 221, 3: 116}, 120),
    "mutual-friends:test": ({0: 154, 1: 293, 2: 34, 3: 68}, 117),
}
"""How many turns of 60 scripted dialogues have which importance for the goal, and how many of 120 agents any."""


@pytest.mark.parametrize("name", SCRIPTED)
def test_every_family_says_what_matters_in_its_game(name):
    episodes = sotopia_env.rollout(name, "scripted:mixed", num_episodes=60, seed=3)
    found, offers, paid = Counter(), Counter(), 0
    for episode, by_agent in zip(episodes, RuleAttributor().importances(episodes, ["goal"]), strict=True):
        for agent, by_dimension in by_agent.items():
            found.update(by_dimension["goal"])
            for turn, importance in zip(episode.own_turns(agent), by_dimension["goal"], strict=True):
                move = family_of(episode.task).move(episode.task, turn)
                offers.update([importance] if move.kind == "offer" else [])
            paid += any(by_dimension["goal"])
    assert (found, paid) == SCRIPTED[name]
    assert offers[0] == offers[1] == 0 and offers[2] > 0 and offers[3] > 0


def test_a_turn_of_mutual_friends_counts_by_what_it_does():
    task = FAMILIES["mutual-friends"]().generate(np.random.default_rng(0), "train")
    (own, other), common = task.scenario.hidden, task.scenario.hidden[0]["common"]
    stranger = next(friend["name"] for friend in other["friends"] if friend["name"] != common)
    told = phrase(*next(iter(own["friends"][0]["attributes"].items())))
    said = [
        f"A friend of mine {told}.",
        "Hm.",
        f"Do you know {common}?",
        f"Yes, I know {common} too!",
        f"I do not know {stranger}.",
    ]
    turns = tuple(Turn(i % 2, i // 2, i, "speak", text) for i, text in enumerate(said))
    episode = Episode("talk", task, {}, turns, Ending("max_cycles", truncated=True))
    assert graded(episode, "goal") == {"agent_0": [1, 3, 1], "agent_1": [0, 3]}
    assert graded(episode, "knowledge") == {"agent_0": [0, 1, 0], "agent_1": [0, 0]}


def test_without_moves_the_goal_is_unknown_and_the_reward_refused():
    episodes = sotopia_env.rollout("mini", ["random"], num_episodes=2, seed=1)
    (first, _) = RuleAttributor().importances(episodes, ["goal", "relationship", "charm"])
    turns = len(episodes[0].own_turns("agent_0"))
    assert first["agent_0"]["goal"] == first["agent_0"]["charm"] == [None] * turns
    assert set(first["agent_0"]["relationship"]) <= {0, 2, 3}
    for attributor in ("rule", Dial("rule", 0.5)):
        with pytest.raises(
            ValueError, match="goal: the family 'mini' does not say what a turn does.*another attributor"
        ):
            sotopia_env.parallel_env("mini", reward=Attribution("direct", attributor, judge=lambda *_: {"goal": 1.0}))
    sotopia_env.parallel_env("mini", reward=Attribution("direct", dimensions={"social_rules": 1}))
    bare = SimpleNamespace(name="bare", generate=lambda rng: None, score=lambda episode: {"goal": [1.0, 1.0]})
    with pytest.raises(ValueError, match="the family 'bare' does not say what a turn does"):
        relabel(episodes, "scaled", bare)


def test_a_family_of_ones_own_is_given_or_asked_for(make_episode, family):
    episode = make_episode("a", "x", "b", "a")
    with pytest.raises(KeyError, match="pass the family object itself"):
        RuleAttributor().importances([episode], ["goal"])
    for attributor in (RuleAttributor(family), RuleAttributor().for_family(family)):
        assert attributor.importances([episode], ["goal"])[0] == {
            "agent_0": {"goal": [2, 2]},
            "agent_1": {"goal": [0, 2]},
        }
        assert attributor.spec() == RuleAttributor().spec()
    assert RuleAttributor().for_family(FAMILIES["divide"]()) == RuleAttributor()


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


def test_a_secret_of_the_character_counts_where_the_hidden_values_hold_none():
    told = Character("a", "Ada", secret="he has already sold the silver watch")
    scenario = Scenario("market", "At the market.", ("Talk.", "Talk."))
    task = Task("x", "sotopia", "1", "", scenario, (told, Character("b", "Ben")))
    turns = (Turn(0, 0, 0, "speak", "I already sold the silver watch."), Turn(1, 0, 1, "speak", "Is that so?"))
    episode = Episode("0-0", task, {}, turns, Ending("left"))
    (found,) = RuleAttributor().importances([episode], ["secret"])
    assert found == {"agent_0": {"secret": [3.0]}, "agent_1": {"secret": [0.0]}}

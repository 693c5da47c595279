from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sotopia_env
from sotopia_env import do, gesture, leave, speak
from sotopia_env.actions import NONE, Action
from sotopia_env.agents.scripted.bargaining import next_offer
from sotopia_env.agents.scripted.policy import MixedPolicy, ScriptedPolicy, decide
from sotopia_env.agents.scripted.reading import Brief, read_talk
from sotopia_env.agents.scripted.traits import CLONED, PRESETS, Traits
from sotopia_env.episodes import Episode
from sotopia_env.families import Bargain
from sotopia_env.families.bargain.moves import read_move
from sotopia_env.policies import Context
from sotopia_env.seeds import turn_generator
from sotopia_env.tasks import Character, Scenario, Task

NAMES = list(PRESETS)
SELLER = Brief((), 1, 1, 1, "seller", 60, 100)
BUYER = Brief((), 1, 1, 1, "buyer", 100, 100)


def within(price: float, hidden: Any) -> bool:
    return price >= hidden["limit"] if hidden["role"] == "seller" else price <= hidden["limit"]


HOSTILE: tuple[Callable[[float], Action], ...] = (
    lambda price: speak(f"Deal, ${price:.0f} works for me."),
    lambda price: speak(f"I would pay ${price:.0f} for it."),
    lambda price: speak(f"I am asking ${price:.0f}."),
    lambda price: speak(f"${price:.0f}?"),
    lambda price: speak(f"You said ${price:.0f}, so ${price:.0f} it is."),
    lambda price: speak(f"No deal at ${price:.0f}."),
    lambda price: speak(f"If you throw in a lamp, ${price:.2f}."),
    lambda price: speak("I take that back."),
    lambda price: speak("Sounds good."),
    lambda price: speak(f"#0 agent_0: I offer ${price:.0f}\n#1 agent_1 [action]: accept"),
    lambda price: do(f"offer ${price:.0f}"),
    lambda price: do("accept"),
    lambda price: do("reject"),
    lambda price: do(f"accept ${price:.0f}"),
    lambda price: gesture("nods"),
    lambda price: NONE,
    lambda price: speak(f"Why? Thanks. Between us, I am glad. ${price:.0f}!"),
)


def hostile(observation: Any, rng: np.random.Generator) -> Action:
    """A partner that says anything about any price."""
    return HOSTILE[int(rng.integers(len(HOSTILE)))](float(rng.choice([1, 20, 50, 75, 80, 90, 100, 120, 500])))


def episodes(name: Any, partner: Any, number: int, seat: int = 0, **options: Any) -> list[Episode]:
    policies = [name, partner] if seat == 0 else [partner, name]
    return sotopia_env.rollout(options.pop("family", "bargain"), policies, num_episodes=number, **options)


@pytest.mark.parametrize("partner", [hostile, "random", "scripted:mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_no_deal_and_no_offer_ever_lies_outside_ones_own_limit(name: str, partner: Any) -> None:
    deals = 0
    for seat in (0, 1):
        for episode in episodes(f"scripted:{name}", partner, 12, seat, seed=seat):
            hidden = episode.task.scenario.hidden[seat]
            assert episode.ending is not None
            if episode.ending.reason == "agreement":
                deals += 1
                assert within(episode.ending.detail["price"], hidden), [turn.text for turn in episode.turns]
            for turn in episode.own_turns(f"agent_{seat}"):
                move = read_move(turn.type, turn.text)
                assert turn.invalid is None
                assert move.kind != "offer" or within(float(move.price or 0), hidden), turn.text
    assert deals > 0 or partner == "random"


@pytest.mark.parametrize("name", NAMES)
def test_decisions_follow_from_observation_and_generator_alone(name: str) -> None:
    """Asked in any batch and order, of any instance, it decides alike."""
    env = sotopia_env.parallel_env("bargain")
    observations, contexts = [], []
    for seed in range(5):
        env.reset(seed=seed)
        for text in ("I would pay $50.", "I am asking $90. Why do you want it?", "How about $60?"):
            env.step({env.acting[0]: text})
            observations.append(env.observe(env.acting[0]))
            contexts.append((env.acting[0], env.own_turns_played(env.acting[0]), seed))

    def asked(order: list[int], policy: Any) -> dict[int, Any]:
        made = policy.act(
            [observations[i] for i in order],
            [
                Context("e", contexts[i][0], contexts[i][1], turn_generator(contexts[i][2], 0, contexts[i][1]))
                for i in order
            ],
        )
        return dict(zip(order, made, strict=True))

    first = asked(list(range(15)), ScriptedPolicy(name))
    assert asked(list(range(14, -1, -1)), ScriptedPolicy(name)) == first
    assert {i: asked([i], ScriptedPolicy(name))[i] for i in range(15)} == first
    one = ScriptedPolicy(name)
    assert [one.act_one(o) for o in observations] == [ScriptedPolicy(name).act_one(dict(o)) for o in observations]


def test_nothing_but_the_observation_is_read() -> None:
    """Two tasks that look alike to a seat are played alike by it, whatever is hidden."""
    task = Bargain().generate(np.random.default_rng(0))
    hidden = tuple({**values, "limit": 1, "role": "?", "facts": [], "secret": ""} for values in task.scenario.hidden)
    blind = replace(task, scenario=replace(task.scenario, hidden=hidden))
    first, second = sotopia_env.parallel_env([task]), sotopia_env.parallel_env([blind])
    first.reset(seed=0)
    second.reset(seed=0)
    policy = ScriptedPolicy("warm")
    while first.agents:
        acts = [{env.acting[0]: policy.act_one(env.observe(env.acting[0]))} for env in (first, second)]
        assert acts[0] == acts[1]
        first.step(acts[0])
        second.step(acts[1])


garbage = st.lists(
    st.sampled_from(
        [
            "$",
            "$5",
            "accept",
            "deal",
            "?",
            "$9e99",
            "-$3",
            "$0",
            "\n",
            "#1 agent_0: ",
            "no ",
            "[leave]",
            "€",
            "$1,000,000",
        ]
    )
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    max_size=8,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.lists(st.tuples(st.sampled_from(["speak", "action", "leave", "none"]), garbage), max_size=4),
)
def test_any_text_of_a_partner_is_coped_with(name: str, said: list[tuple[str, str]]) -> None:
    env = sotopia_env.parallel_env("bargain", max_stale=9)
    env.reset(seed=1)
    policy = ScriptedPolicy(name)
    hidden = env.episode.task.scenario.hidden[1]
    for kind, text in said:
        if env.agents:
            env.step({"agent_0": Action(kind, text)})
        if env.agents:
            infos = env.step({"agent_1": policy.act_one(env.observe("agent_1"))})[4]
            assert infos["agent_1"]["invalid_action"] is None
    if env.ending is not None and env.ending.reason == "agreement":
        assert within(env.ending.detail["price"], hidden)


# Concessions


def observation_of(*texts: str, turn: int | None = None) -> dict[str, Any]:
    transcript = "\n".join(f"#{i} agent_{i % 2}: {text}" for i, text in enumerate(texts))
    return {
        "agent": "agent_0", "name": "A", "participants": "agent_0: A\nagent_1: B", "background": "A.", "partners": "",
        "situation": "A bike is listed at $100.", "goal": "Sell the bike. Never sell below $60. Sway: 0.",
        "transcript": transcript, "turn": len(texts) if turn is None else turn,
        "action_types": np.ones(5, dtype=np.int8),
    }  # fmt: skip


def offered(traits: Traits, *texts: str, brief: Brief = SELLER) -> float:
    return next_offer(brief, read_talk(observation_of(*texts), brief), traits)


@pytest.mark.parametrize("name", NAMES)
def test_concessions_follow_offers_and_never_time(name: str) -> None:
    traits = PRESETS[name]
    opened = ("I am asking $95.", "I would pay $50.", "I could do $90.")
    for waiting in ("Hello.", "Hm, let me see.", "I would pay $50.", "I would pay $45."):
        assert offered(traits, *opened, waiting) == 90
        assert offered(traits, *opened, waiting, "I stay at $90.", "And another word.") == 90
    assert offered(traits, *opened, "I would pay $60.") < 90
    for turn in (0, 4, 18):
        first = decide(observation_of(*opened, "Hm.", turn=turn), traits, np.random.default_rng(0))
        assert first == decide(observation_of(*opened, "Hm.", turn=4), traits, np.random.default_rng(0))


@pytest.mark.parametrize("name", NAMES)
def test_a_larger_concession_is_answered_by_one_no_smaller(name: str) -> None:
    opened = ("I am asking $95.", "I would pay $40.", "I could do $90.")
    asked = [offered(PRESETS[name], *opened, f"I would pay ${price}.") for price in (42, 45, 50, 55, 60)]
    assert asked == sorted(asked, reverse=True)
    assert all(60 <= price <= 90 for price in asked)


@pytest.mark.parametrize("brief", [SELLER, BUYER])
@pytest.mark.parametrize("name", NAMES)
def test_an_opening_is_within_the_limit_and_leaves_room(name: str, brief: Brief) -> None:
    opening = offered(PRESETS[name], brief=brief)
    assert brief.worth(opening)
    assert brief.sign * (opening - brief.limit) >= 10


def test_the_couplings_act_on_concessions() -> None:
    talk = read_talk(observation_of("I am asking $95.", "Thanks.", "Hm.", "Glad!", "Hm.", "Fair."), SELLER)
    assert talk.rapport == 1.0
    soft = [replace(SELLER, manners=manners).softness(talk) for manners in (-0.5, 0.0, 1.0)]
    assert soft == pytest.approx([0.5, 1.0, 2.0])
    told = replace(talk, told=frozenset({"a"}), rapport=0.0)
    assert replace(SELLER, facts=("a", "b")).softness(told) == pytest.approx(1.5)
    assert SELLER.softness(replace(talk, rapport=0.0, secret_out=True)) == pytest.approx(0.4)
    assert replace(SELLER, leaks=0.0).softness(replace(talk, rapport=0.0, secret_out=True)) == 1.0


def test_a_withdrawn_offer_is_not_accepted() -> None:
    texts = ("I am asking $95.", "I would pay $94.", "Hm.", "I take that back.")
    for name in NAMES:
        action = decide(observation_of(*texts), PRESETS[name], np.random.default_rng(0))
        assert action != do("accept")


# What they are made of


def test_at_least_six_policies_and_those_of_cloning_are_among_them() -> None:
    assert len(PRESETS) >= 6
    assert set(CLONED) < set(PRESETS)
    assert len(set(PRESETS) - set(CLONED)) >= 2
    assert all(ScriptedPolicy(name).name == f"scripted:{name}" for name in PRESETS)
    assert len(set(PRESETS.values())) == len(PRESETS)


def test_traits_of_ones_own_make_a_policy() -> None:
    policy = ScriptedPolicy(Traits(rate=0.9), name="mine")
    (episode,) = episodes(policy, "scripted:warm", 1)
    assert episode.policies["agent_0"] == "mine"


def test_an_unknown_preset_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="unknown scripted policy 'kind'; one of firm, soft, warm"):
        ScriptedPolicy("kind")


def test_hostile_policies_insult_and_warm_ones_do_not() -> None:
    def rules(name: str) -> float:
        played = episodes(f"scripted:{name}", "scripted:soft", 30)
        return float(np.mean([episode.judgements[0].scores["social_rules"][0] for episode in played]))

    assert rules("hostile") < -1
    assert rules("warm") == 0


def test_most_feasible_bargains_between_teachers_end_in_a_deal() -> None:
    feasible = Bargain(zones={"wide": 0.7, "narrow": 0.3})
    played = episodes("scripted:mixed", "scripted:mixed", 150, family=feasible)
    assert np.mean([episode.judgements[0].latent["deal"] for episode in played]) > 0.75


# Mixed


def test_a_mixed_policy_draws_for_each_episode_and_seat_and_stays_with_it() -> None:
    policy = MixedPolicy([ScriptedPolicy(name) for name in CLONED], seed=3)
    drawn = {}
    for episode in range(60):
        for agent in ("agent_0", "agent_1"):
            for turn in range(3):
                context = Context(f"run-{episode}", agent, turn, np.random.default_rng(turn))
                drawn.setdefault((episode, agent), set()).add(policy._drawn(context).name)
            continued = Context(f"run-{episode}~77", agent, 5, np.random.default_rng(0))
            drawn[episode, agent].add(policy._drawn(continued).name)
    assert all(len(names) == 1 for names in drawn.values())
    assert set().union(*drawn.values()) == {f"scripted:{name}" for name in CLONED}
    alike = sum(drawn[episode, "agent_0"] == drawn[episode, "agent_1"] for episode in range(60))
    assert alike < 25, "the two seats are drawn independently"


def test_a_changing_policy_draws_for_every_turn_by_the_turns_own_generator() -> None:
    env = sotopia_env.parallel_env("bargain", reward=None)
    observations, _ = env.reset(seed=0)

    def openings(name: str) -> list[str]:
        contexts = [Context("one", "agent_0", 0, np.random.default_rng(seed)) for seed in range(60)]
        decisions = sotopia_env.make_policy(name).act([observations["agent_0"]] * 60, contexts)
        return [decision.action.text for decision in decisions]

    def prices(texts: list[str]) -> set[str]:
        return {text.rpartition("$")[2] for text in texts}

    assert len(prices(openings("scripted:changing"))) > len(prices(openings("scripted:firm"))) == 1
    assert openings("scripted:changing") == openings("scripted:changing")


# Other tasks


def open_task() -> Task:
    people = (Character("a", "Ann"), Character("b", "Bo"))
    return Task("t", "sotopia", "1", "", Scenario("s", "They meet.", ("Comfort Bo.", "Keep a secret.")), people)


@pytest.mark.parametrize("name", NAMES)
def test_open_ended_tasks_are_played_with_courteous_replies(name: str) -> None:
    for episode in sotopia_env.rollout([open_task()], f"scripted:{name}", num_episodes=5):
        assert len(episode.turns) >= 12
        assert all(turn.invalid is None and turn.type in ("speak", "leave") for turn in episode.turns)
        assert all("$" not in turn.text for turn in episode.turns)


def test_a_price_agreed_on_where_that_ends_nothing_is_not_bargained_over_again() -> None:
    goals = ("Sell the bike, never below $60.", "Buy the bike, never above $90.")
    task = replace(open_task(), scenario=Scenario("s", "A bike is listed at $100.", goals))
    env = sotopia_env.parallel_env([task])
    env.reset(seed=0)
    env.step({"agent_0": "I am asking $80."})
    env.step({"agent_1": do("accept")})
    policy = ScriptedPolicy("firm")
    while env.agents:
        action = policy.act_one(env.observe(env.acting[0]))
        assert action == leave(action.text) or "$" not in action.text
        env.step({env.acting[0]: action})


def test_a_price_is_accepted_near_ones_own_last_or_where_one_would_ask_no_more() -> None:
    def accepted(*said: str) -> bool:
        action = decide(observation_of(*said), replace(PRESETS["firm"], formal=1.0), np.random.default_rng(0))
        return action == do("accept")

    assert not accepted("I am asking $95.", "I would pay $75.")
    assert accepted("I am asking $95.", "I would pay $75.", "I could do $80.", "I could do $75.")
    assert not accepted("I am asking $70.", "I would pay $60.")

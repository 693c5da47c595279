import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sotopia_env.rewards import Outcome, RewardWrapper, Shapley, get_reward, relabel
from sotopia_env.rewards.credit.shapley import shapley_values, values_along
from sotopia_env.testing import check_reward

TEXTS = st.lists(st.sampled_from(["a", "b", None]), max_size=4)


def always_b(observation, rng):
    return "b"


def by_seat(observation, rng):
    """Seat 0 says "b" if drawn anew, seat 1 "a"."""
    return "b" if observation["agent"] == "agent_0" else "a"


def echo(observation, rng):
    """Seat 1 repeats what was said last; seat 0 would say "b"."""
    said = observation["transcript"].rsplit(" ", 1)[-1]
    return said if observation["agent"] == "agent_1" else "b"


def test_two_turns_by_hand(make_episode, family):
    # The partner says "a" twice, three are needed: either turn of agent_0 wins alone, and so each earns half.
    reward = Shapley(by_seat, k=1, family=family)
    (values,) = reward.estimate([make_episode("a", "a", "a", "a")])
    own = values["agent_0"]
    assert own.credit == (0.5, 0.5)
    assert (own.empty, own.full, own.outcome, own.exact) == ((0.0, None), (1.0, None), 1.0, True)
    # The other one's goal is the opposite; its verbatim "a" equals what it says anew, and agent_0 says "b" throughout.
    assert values["agent_1"].credit == (0.0, 0.0)
    assert own.policies == {"agent_0": "by_seat", "agent_1": "by_seat"}


def test_a_turn_equal_to_what_the_reference_says_earns_nothing(make_episode, family):
    reward = Shapley(by_seat, k=1, family=family)
    assert reward([make_episode("a", "a", "b", "a")])[0]["agent_0"] == [1.0, 0.0]


def test_the_partner_and_later_turns_answer_the_talk_as_it_is(make_episode, family):
    # An echo doubles every "a": v(0) = v(1) = 0 with two of them, v(0, 1) = 1 with four.
    (values,) = Shapley(echo, k=1, family=family).estimate([make_episode("a", "b", "a", "b")])
    own = values["agent_0"]
    assert own.credit == (0.5, 0.5)
    assert own.full == (1.0, None)
    # Verbatim, the own turns win. That the partner then answered worse than it would is its own doing.
    assert (own.outcome, own.residual) == (0.0, (-1.0, None))


def test_one_turn_earns_the_whole_difference_and_no_turn_nothing(make_episode, family):
    reward = Shapley(by_seat, k=1, family=family)
    (values,) = reward.estimate([make_episode("a", max_cycles=3)])
    # Later own turns are the reference's: "a", "a", "b".
    assert values["agent_0"].credit == (values["agent_0"].full[0] - values["agent_0"].empty[0],) == (0.0,)
    assert values["agent_1"].credit == ()
    assert values["agent_1"].full == values["agent_1"].empty == (1.0, None)
    assert reward([make_episode()]) == [{"agent_0": [], "agent_1": []}]


@given(st.lists(TEXTS, min_size=1, max_size=2), st.integers(0, 3), st.booleans())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_credit_sums_to_what_the_own_turns_add(make_episode, voter, family, talks, seed, exact):
    reward = Shapley(voter, k=2, seed=seed, family=family, exact_up_to=6 if exact else 1, permutations=2)
    episodes = [make_episode(*talk) for talk in talks]
    for episode, values in zip(episodes, reward.estimate(episodes), strict=True):
        for agent, own in values.items():
            assert len(own.credit) == len(episode.own_turns(agent))
            assert math.fsum(own.credit) == pytest.approx(own.full[0] - own.empty[0], abs=1e-12)
            goal = family.score(episode).scores["goal"][int(agent[-1])] / 10
            assert own.residual[0] == pytest.approx(goal - own.full[0])


GAMES = st.integers(0, 4).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.floats(-10, 10), min_size=2**n, max_size=2**n))
)


def game(num_turns, numbers):
    return {frozenset(t for t in range(num_turns) if i >> t & 1): number for i, number in enumerate(numbers)}


@given(GAMES)
def test_the_axioms_of_shapley(drawn):
    num_turns, numbers = drawn
    worth = game(num_turns, numbers)
    values = shapley_values(num_turns, worth)
    everything = frozenset(range(num_turns))
    assert math.fsum(values) == pytest.approx(worth[everything] - worth[frozenset()], abs=1e-9)
    # All orders together are the exact values.
    orders = list(itertools.permutations(range(num_turns)))
    assert values_along(orders, worth) == pytest.approx(values, abs=1e-9)
    # Turns that add the same to every coalition earn the same, one that adds nothing earns nothing.
    symmetric = {c: float(len(c) ** 2) for c in worth}
    assert shapley_values(num_turns, symmetric) == pytest.approx([float(num_turns)] * num_turns)
    dummy = {c: worth[c - {0}] for c in worth}
    assert num_turns == 0 or shapley_values(num_turns, dummy)[0] == 0.0
    doubled = shapley_values(num_turns, {c: 2 * value + 1 for c, value in worth.items()})
    assert doubled == pytest.approx([2 * value for value in values], abs=1e-9)


def test_the_glove_game():
    # Turn 0 is a left glove, turns 1 and 2 are right ones; a pair is worth 1: 2/3, 1/6, 1/6.
    worth = {c: float(0 in c and len(c) > 1) for c in game(3, range(8))}
    assert shapley_values(3, worth) == pytest.approx([2 / 3, 1 / 6, 1 / 6])
    assert values_along([[1, 0, 2]], worth) == [1.0, 0.0, 0.0]
    assert shapley_values(3, {**worth, frozenset({1}): None}) == [None] * 3


def test_sampled_orders_agree_with_all_coalitions_within_their_errors(make_episode, voter, family):
    episode = make_episode(*"abbbab", max_cycles=6)
    (exact,) = Shapley(voter, k=25, family=family).estimate([episode])
    (sampled,) = Shapley(voter, k=25, family=family, exact_up_to=0, permutations=1, seed=1).estimate([episode])
    for agent, own in exact.items():
        other = sampled[agent]
        assert (own.exact, other.exact) == (True, False)
        for a, b, s, t in zip(own.credit, other.credit, own.stderr, other.stderr, strict=True):
            assert abs(a - b) <= 3.5 * math.hypot(s, t)
            assert 0 < s < t < 0.1


def test_in_an_additive_world_any_order_gives_the_exact_credit(make_episode, family):
    reward = Shapley(
        by_seat, k=1, family=family, dimensions={"relationship": 1}, scale="native", exact_up_to=0, permutations=1
    )
    (numbers,) = reward([make_episode("a", "b", "b", "a")])
    # -1 for every "b" of one's own, and the reference of seat 0 says "b", that of seat 1 "a".
    assert numbers == {"agent_0": [1.0, 0.0], "agent_1": [-1.0, 0.0]}


def test_all_coalitions_meet_the_same_luck(make_episode, family):
    asked = []

    def drawing(observation, rng):
        asked.append((observation["agent"], observation["turn"], float(rng.random())))
        return "b"

    Shapley(drawing, k=2, family=family)([make_episode("a", "b", "a", "b")])
    by_place = {}
    for agent, turn, number in asked:
        by_place.setdefault((agent, turn), set()).add(number)
    # One draw for each of the two samples, whatever the coalition.
    assert {len(numbers) for numbers in by_place.values()} == {2}
    # v(∅) is shared by both agents: 2 samples of 1 + 3 + 3 dialogues of 4 turns, less the verbatim ones.
    assert len(asked) == 2 * (7 * 4 - 2 * (1 + 1 + 2))


def test_the_batch_does_not_matter(make_episode, voter, family):
    reward = Shapley(voter, k=3, family=family)
    episodes = [make_episode(*talk) for talk in ("abab", "aaaa", "ab", "")]
    small = Shapley(voter, k=3, family=family, batch_size=5)
    assert reward(episodes) == [small([episode])[0] for episode in episodes]


def test_unknown_outcomes_and_running_episodes_have_no_credit_and_cost_nothing(make_env, make_episode):
    def never(observation, rng):
        raise AssertionError("nothing is to be played")

    unknown = type(make_env().family)(unknown=True)
    (values,) = Shapley(never, family=unknown).estimate([make_episode("a", "b")])
    assert values["agent_0"].credit == values["agent_0"].stderr == (None,)
    assert values["agent_0"].residual == (None, None)
    family = make_env().family
    assert Shapley(never, family=family)([make_episode("a", over=False)]) == [{"agent_0": [None], "agent_1": []}]


def test_a_play_that_cannot_be_scored_makes_the_agents_credit_unknown(make_episode, family):
    def judge(episode, agent):
        return {"goal": None if agent == "agent_0" and episode.turns[0].text == "b" else 5.0}

    reward = Shapley(always_b, k=2, family=family, judge=judge)
    assert reward([make_episode("a", "b", "a")]) == [{"agent_0": [None, None], "agent_1": [0.0]}]


def test_step_pays_the_outcome_and_the_credit_stands_in_infos(make_env, voter):
    reward = Shapley(voter, k=2)
    assert (reward.kind, reward.timing, reward.needs) == ("credit", "hindsight", ("continuations",))
    env = RewardWrapper(make_env(), reward)
    env.reset(seed=0)
    paid = []
    for text in "abaa":
        _, rewards, _, _, infos = env.step({env.unwrapped.acting[0]: text})
        paid.append(rewards["agent_0"])
    assert paid == [0.0, 0.0, 0.0, 1.0]
    bound = reward.for_family(env.unwrapped.family)
    (stored,) = relabel([env.unwrapped.episode], bound)
    assert stored.rewards["shapley"] == {agent: info["utterance_rewards"] for agent, info in infos.items()}


def test_invalid_turns_and_leaving_are_replayed_too(make_episode, family):
    (values,) = Shapley(always_b, k=1, family=family, dimensions={"relationship": 1}, scale="native").estimate(
        [make_episode(None, "b", "a", "b")]
    )
    assert values["agent_0"].credit == (1.0, 1.0)


def test_conformance_and_spec():
    quick = {"k": 1, "exact_up_to": 1, "permutations": 1}
    check_reward(Shapley("scripted:warm", **quick), episodes=1, max_cycles=4)
    reward = Shapley(["random"], **quick)
    assert get_reward(json.loads(json.dumps(reward.spec()))).spec() == reward.spec()
    assert get_reward("shapley:random").policies == ("random",)
    assert (Outcome() + reward).needs == ("continuations",)
    with pytest.raises(ValueError, match="permutations"):
        Shapley("random", permutations=0)
    with pytest.raises(ValueError, match="shapley needs a policy"):
        get_reward("shapley:")


def test_generators_are_seeded(make_episode, voter, family):
    episode = make_episode(*"abab")
    first, again, other = (Shapley(voter, k=4, seed=s, family=family)([episode]) for s in (0, 0, 1))
    assert first == again != other
    assert np.isfinite(first[0]["agent_0"]).all()

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.rewards.credit.progress import spans_of
from sotopia_env.testing import check_reward

TEXTS = st.sampled_from(["a", "b", None])


def share_of_a(episode, agent):
    """A third for every "a", at most 1; the other one's for seat 1."""
    value = min(sum(turn.text == "a" for turn in episode.turns) / 3, 1.0)
    return value if agent == "agent_0" else 1 - value


def test_each_turn_is_paid_the_change_until_it_was_replied_to(make_episode, judge):
    reward = R.Progress(share_of_a, judge=judge)
    # Φ of agent_0 before its turns and after: 0 -> 2/3 -> 1; of agent_1, from after the first turn: 2/3 -> 0 -> 0.
    (numbers,) = reward([make_episode("a", "a", "b", "a")])
    assert numbers["agent_0"] == pytest.approx([2 / 3, 1 / 3])
    assert numbers["agent_1"] == pytest.approx([-1 / 3, -1 / 3])
    (discounted,) = R.Progress(share_of_a, judge=judge, gamma=0.5)([make_episode("a", "a", "b", "a")])
    # γ multiplies what stands for the future, not the outcome of 1.
    assert discounted["agent_0"] == pytest.approx([0.5 * 2 / 3, 1 - 2 / 3])


@given(st.lists(TEXTS, max_size=7), st.floats(0, 1), st.integers(0, 9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_discounted_sum_is_the_outcome_less_the_first_potential(make_episode, judge, texts, gamma, seed):
    def arbitrary(episode, agent):
        return float(np.random.default_rng((seed, len(episode.turns), int(agent[-1]))).normal())

    episode = make_episode(*texts)
    (numbers,) = R.Progress(arbitrary, judge=judge, gamma=gamma)([episode])
    (ends,) = R.Outcome(judge=judge)([episode])
    for seat, agent in enumerate(episode.agents):
        own = numbers[agent]
        assert len(own) == len(episode.own_turns(agent))
        if own:
            first = arbitrary(make_episode(*texts[:seat]), agent)
            total = math.fsum(gamma**t * value for t, value in enumerate(own))
            assert total == pytest.approx(gamma ** (len(own) - 1) * ends[agent][-1] - first)


def test_the_published_form_shares_the_outcome_by_progress(make_episode, judge):
    reward = R.Progress(share_of_a, judge=judge, paper=True, scale="native")
    (numbers,) = reward([make_episode("a", "a", "b", "a")])
    # p goes from 0 over 20/3 to 10, and G is 10.
    assert numbers["agent_0"] == pytest.approx([20 / 3, 10 / 3])
    assert numbers["agent_1"] == [0.0, 0.0]
    assert (reward.kind, reward.timing) == ("credit", "hindsight")
    assert reward([make_episode("a", "b", over=False)]) == [{"agent_0": [None], "agent_1": [None]}]
    (judged,) = R.relabel([make_episode("a", "a", "b", "a")], reward)
    assert reward.outcome([judged]) == [{"agent_0": 10.0, "agent_1": 0.0}]


def test_what_is_unknown_leaves_both_changes_unknown(make_episode, judge):
    def not_after_two(episode, agent):
        return None if len(episode.turns) == 2 else 0.5

    (numbers,) = R.Progress(not_after_two, judge=judge)([make_episode("a", "b", "a", "a")])
    assert numbers == {"agent_0": [None, None], "agent_1": [0.0, -0.5]}
    silent = R.Progress(share_of_a, judge=lambda episode, agent: {"goal": None})
    (numbers,) = silent([make_episode("a", "b", "b")])
    assert numbers == {"agent_0": [pytest.approx(1 / 3), None], "agent_1": [None]}
    assert silent([make_episode()]) == [{"agent_0": [], "agent_1": []}]


@pytest.mark.parametrize(
    ("config", "seats", "spans"),
    [
        ({}, None, {0: (0, 2), 1: (1, 3), 2: (2, 4), 3: (3, 4)}),
        ({"action_order": "simultaneous"}, None, {0: (0, 2), 1: (0, 2), 2: (2, 4), 3: (2, 4)}),
        # Who speaks twice in a row is replied to by nobody.
        ({"action_order": "random"}, [0, 0, 1, 0], {0: (0, 1), 1: (1, 3), 2: (2, 4), 3: (3, 4)}),
    ],
)
def test_spans_follow_each_other_in_every_order(make_episode, config, seats, spans):
    episode = make_episode("a", "b", "a", "b", seats=seats, **config)
    assert spans_of(episode) == spans
    assert spans_of(episode, 2) == {index: span for index, span in spans.items() if index >= 2}


def test_play_pays_with_the_reply_and_equals_later_labels(make_env):
    for potential in (share_of_a, R.MonteCarlo(lambda o, rng: "a", k=2)):
        env = R.ProgressReward(make_env(), potential=potential)
        env.reset(seed=0)
        paid = []
        for text in "abaa":
            _, rewards, _, _, infos = env.step({env.unwrapped.acting[0]: text})
            paid.append(rewards)
        (labelled,) = R.relabel([env.unwrapped.episode], env.reward.for_family(env.unwrapped.family))
        numbers = labelled.rewards[env.reward.name]
        assert numbers == {agent: info["utterance_rewards"] for agent, info in infos.items()}
        assert [p["agent_0"] for p in paid] == [0.0, numbers["agent_0"][0], 0.0, numbers["agent_0"][1]]
        assert env.reward.needs == (() if potential is share_of_a else ("continuations",))


def bargain_with_room():
    """A bargain in which some price suits both, and the limits of both seats."""
    family = sotopia_env.families.Bargain()
    for seed in range(50):
        task = family.generate(np.random.default_rng(seed))
        limits = {own["role"]: own["limit"] for own in task.scenario.hidden}
        if limits["buyer"] - limits["seller"] > 10:
            return task, [own["limit"] for own in task.scenario.hidden]
    raise AssertionError("no such task")


def test_a_standing_offer_counts_as_if_it_were_accepted():
    task, limits = bargain_with_room()
    env = sotopia_env.parallel_env([task], max_cycles=6)
    env.reset(seed=0)
    values = []
    for text in ("Hello.", f"How about ${sum(limits) / 2:g}?", f"I would rather say ${limits[1]:g}.", "No deal."):
        env.step({env.unwrapped.acting[0]: text})
        values.append(R.StandingOffer().values([env.unwrapped.episode])[0])
    assert values[0] == {"agent_0": 0.0, "agent_1": 0.0}
    # Half of the zone each, 1 + 9 / 2 of 10; then the latest offer, all of it to the one who made it.
    assert values[1] == pytest.approx({"agent_0": 0.55, "agent_1": 0.55}, abs=0.01)
    assert values[2] == values[3] == pytest.approx({"agent_0": 1.0, "agent_1": 0.1})


def test_a_judges_estimate_as_potential(make_episode, judge):
    def coach(episode, agent):
        return {"progress": float(len(episode.turns)), "goal": 5.0}

    potential = R.JudgePotential(coach)
    assert potential.values([make_episode("a", "b", over=False)]) == [{"agent_0": 0.2, "agent_1": 0.2}]
    assert R.JudgePotential(coach, "goal").values([make_episode("a")]) == [{"agent_0": 0.5, "agent_1": 0.5}]
    reward = R.Progress(potential, judge=judge)
    assert reward.name == "progress@coach"
    assert reward([make_episode("a", "a", "b", "a")])[0]["agent_0"] == pytest.approx([0.2, 1 - 0.2])
    with pytest.raises(ValueError, match="'charm' is none of"):
        R.JudgePotential(coach, "charm")


def test_a_model_is_asked_for_progress_alone(chat_server, make_episode):
    reply = {f"agent_{seat}": {"progress": {"reason": "", "score": 2 + seat}} for seat in (0, 1)}
    chat_server.answer(lambda sent: json.dumps(reply))
    potential = R.JudgePotential({"judge": f"llm:m@{chat_server.url}", "retries": 0})
    assert potential.values([make_episode("a", "b", over=False)]) == [{"agent_0": 0.2, "agent_1": 0.3}]
    assert "- progress, from 0 to 10" in chat_server.requests[0]["messages"][1]["content"]
    assert '{"end"' not in chat_server.requests[0]["messages"][1]["content"]
    again = R.get_reward(json.loads(json.dumps(R.Progress(potential).spec()))).potential
    assert again.judge.version == potential.judge.version
    with pytest.raises(ValueError, match="is not asked for 'progress'"):
        R.JudgePotential(R.LLMJudge(f"m@{chat_server.url}"))


def test_conformance_names_and_spec():
    assert check_reward("progress", episodes=1, max_cycles=6).passed
    for name in ("progress", "progress-paper"):
        assert R.get_reward(name).name == name
        assert name in R.reward_names()
    for reward in (
        R.Progress(gamma=0.9, dimensions={"goal": 1, "relationship": 1}),
        R.Progress(R.MonteCarlo(["random"], k=1)),
        R.Progress(share_of_a),
    ):
        assert R.get_reward(json.loads(json.dumps(reward.spec()))).spec() == reward.spec()


@pytest.mark.slow
def test_conformance_of_the_published_form():
    assert check_reward("progress-paper", episodes=2, max_cycles=8).passed


def test_wrong_arguments_are_refused(make_env, family):
    with pytest.raises(ValueError, match="the published form knows no discount"):
        R.Progress(paper=True, gamma=0.9)
    with pytest.raises(ValueError, match="unknown potential 'hope'"):
        R.Progress("hope")
    with pytest.raises(TypeError, match="is no potential"):
        R.Progress(3)
    with pytest.raises(ValueError, match="no spec"):
        R.Progress(type("Bare", (), {"values": lambda self, e: []})()).spec()
    env = sotopia_env.environment.SotopiaParallelEnv(
        sotopia_env.families.base.OpenEnded(), tasks=[family.generate(np.random.default_rng(0))]
    )
    with pytest.raises(ValueError, match="cannot score open-ended tasks"):
        R.ProgressReward(env, judge=lambda episode, agent: {"goal": 1.0}, potential=R.StandingOffer())


def moody(episode, agent):
    """Depends on the text so far; now and then it does not know."""
    drawn = np.random.default_rng((int(agent[-1]), *(ord(c) for turn in episode.turns for c in turn.text)))
    return None if drawn.random() < 0.1 else float(drawn.uniform(0, 10))


def moody_goal(episode, agent):
    return {"goal": moody(episode, agent)}


REWARDS = [
    R.Progress(moody, gamma=0.9),
    R.Progress(moody, paper=True, judge=moody_goal),
    R.ClipReward(R.Progress(moody, judge=moody_goal) + R.LengthPenalty(target_words=1), -0.5, 0.5),
    R.JudgeScores(moody_goal),
    R.JudgeScores(moody_goal, 2) + R.Progress(moody, scale="native"),
    R.Shapley(lambda o, rng: "ab"[int(rng.random() < 0.5)], k=1, exact_up_to=1, permutations=1),
]


@given(
    acts=st.lists(st.sampled_from(["a", "b", "a b", None, "leave"]), min_size=10, max_size=10),
    reward=st.sampled_from(REWARDS),
    order=st.sampled_from(["round-robin", "random", "simultaneous"]),
    limit=st.integers(1, 6),
)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_play_equals_relabelling_whatever_is_done(make_env, acts, reward, order, limit):
    env = R.RewardWrapper(make_env(action_order=order, max_cycles=limit), reward)
    env.reset(seed=0)
    given_acts = iter(acts * 2)
    while env.agents:
        actions = {agent: next(given_acts) for agent in env.unwrapped.acting}
        actions = {agent: sotopia_env.leave() if act == "leave" else act for agent, act in actions.items()}
        _, _, _, _, infos = env.step(actions)
    (labelled,) = R.relabel([env.unwrapped.episode], reward.for_family(env.unwrapped.family))
    assert labelled.rewards[reward.name] == {agent: info["utterance_rewards"] for agent, info in infos.items()}


def test_the_standing_offer_follows_the_arguments_of_a_copy(make_episode, judge, family):
    reward = replace(R.Progress().for_family(family), dimensions={"relationship": 1.0}, scale="native")
    assert reward.potential.dimensions == {"relationship": 1.0}
    # The relationship of agent_0 falls with the "b" of its own: Φ is 0 at first, and G is -1.
    assert reward([make_episode("b", "a", "a", "a")])[0]["agent_0"] == [-1.0, 0.0]
    assert replace(R.Progress(judge=judge), judge="rule").potential.judge == R.RuleJudge()
    assert R.Progress().spec()["potential"] == "standing-offer"
    fixed = R.StandingOffer()
    assert replace(R.Progress(fixed), dimensions={"relationship": 1.0}).potential == fixed

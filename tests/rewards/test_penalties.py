import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sotopia_env
from sotopia_env.episodes import Episode, Turn
from sotopia_env.families import Bargain, conduct, language
from sotopia_env.rewards import (
    AddReward,
    ClipReward,
    FormatPenalty,
    LengthPenalty,
    Outcome,
    RepetitionPenalty,
    RewardWrapper,
    ScaleReward,
    SecretPenalty,
    get_reward,
    relabel,
)
from sotopia_env.testing import check_reward
from sotopia_env.turns import Rules

PENALTIES = [LengthPenalty, FormatPenalty, RepetitionPenalty, SecretPenalty]


def test_words_beyond_the_target_cost_in_proportion(make_episode):
    penalty = LengthPenalty(target_words=4, weight=0.2)
    episode = make_episode("one two", "one two three four", "one two three four five six", " ".join("x" * 12), "")
    assert penalty([episode]) == [{"agent_0": [0.0, pytest.approx(-0.1), 0.0], "agent_1": [0.0, pytest.approx(-0.4)]}]


def test_invalid_turns_cost(make_episode):
    assert FormatPenalty(weight=0.3)([make_episode("a", None, None)]) == [{"agent_0": [0.0, -0.3], "agent_1": [-0.3]}]


def test_penalties_know_running_episodes(make_episode):
    running = make_episode(None, "b", over=False)
    assert FormatPenalty(weight=0.3)([running]) == [{"agent_0": [-0.3], "agent_1": [0.0]}]


def test_with_an_environment_a_penalty_adds_itself_to_what_is_paid_below(make_env):
    env = LengthPenalty(RewardWrapper(make_env(), "uniform"), target_words=3)
    assert isinstance(env, RewardWrapper)
    assert env.reward.name == "uniform + length"
    assert FormatPenalty(env, weight=1.0).reward.name == "uniform + length + format"
    assert LengthPenalty(make_env()).reward == LengthPenalty()


def test_impossible_targets_are_refused():
    with pytest.raises(ValueError, match="target_words: 0"):
        LengthPenalty(target_words=0)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_weights_that_are_no_numbers_are_refused(penalty):
    for weight in (math.nan, math.inf, "much", None):
        with pytest.raises(ValueError, match="weight: .* is no finite number"):
            penalty(weight=weight)


def test_the_share_of_ngrams_said_before_costs(make_episode):
    # agent_0 says trigrams abc bcd; then bcd cde def: 1 of 3 said before; then abc: 1 of 1.
    episode = make_episode("a b c d", "x", "B c, d! e f", "a b c", "a b c", "y")
    (costs,) = RepetitionPenalty(ngram=3, weight=0.6)([episode])
    assert costs["agent_0"] == [0.0, pytest.approx(-0.2), -0.6]
    # What the other said may be taken up; x, "a b c" and y are each one n-gram.
    assert costs["agent_1"] == [0.0, 0.0, 0.0]


def test_utterances_shorter_than_n_words_are_one_ngram(make_episode):
    episode = make_episode("yes", "no", "Yes!", "no way", "yes yes", "no")
    (costs,) = RepetitionPenalty(ngram=4, weight=1.0)([episode])
    assert costs == {"agent_0": [0.0, -1.0, 0.0], "agent_1": [0.0, 0.0, -1.0]}


def test_whole_utterances_alone_where_there_is_no_n(make_episode):
    episode = make_episode("a b c d e", "x", "a b c d e f", "y", "a  B c d e.", "x")
    (costs,) = RepetitionPenalty(ngram=None, weight=0.5)([episode])
    assert costs == {"agent_0": [0.0, 0.0, -0.5], "agent_1": [0.0, 0.0, -0.5]}


def test_words_behind_an_act_are_said_again_like_any_others():
    acts = ("offer $60\nI need it for my shop.", "offer $90", "offer $65\nI need it for my shop.", "offer $90")

    def costs(mode):
        task = Bargain(agreement=mode).generate(np.random.default_rng(0), "test")
        turns = tuple(Turn(i % 2, i // 2, i, "action", text) for i, text in enumerate(acts))
        return RepetitionPenalty(weight=0.5)([Episode("e", task, Rules().to_dict(), turns)])[0]["agent_0"]

    assert costs("formal") == [0.0, -0.5]
    assert costs("plain") == [0.0, 0.0]


def test_silence_and_what_is_not_speech_is_no_repetition(make_episode):
    episode = make_episode(None, "...", None, "...", "accept", "b", "accept", "b")
    turns = [replace(turn, type="action") if turn.text == "accept" else turn for turn in episode.turns]
    (costs,) = RepetitionPenalty(weight=1.0)([replace(episode, turns=tuple(turns))])
    assert costs == {"agent_0": [0.0, 0.0, 0.0, 0.0], "agent_1": [0.0, 0.0, 0.0, -1.0]}


def test_an_impossible_n_is_refused():
    with pytest.raises(ValueError, match="ngram: 0 is not a positive number"):
        RepetitionPenalty(ngram=0)


def bargain(*texts):
    """A finished bargain; "SECRET" stands for the speaker's own secret, "HALF" for the first of its content words."""
    env = sotopia_env.parallel_env("bargain", max_cycles=len(texts))
    env.reset(seed=3)
    for text in texts:
        agent = env.acting[0]
        secret = env.episode.task.characters[int(agent[-1])].secret
        words = sorted(language.content_words(secret))
        half = " ".join(words[: math.ceil(len(words) / 2)])
        env.step({agent: text.replace("SECRET", secret).replace("HALF", half)})
    return env.episode


def test_a_secret_costs_once_and_sums_to_the_dimension_of_the_rule_judge():
    episode = bargain("Hello.", "Hello.", "Well, SECRET", "HALF", "SECRET", "SECRET", "Bye.", "SECRET")
    (costs,) = SecretPenalty(weight=0.8)([episode])
    assert costs["agent_0"] == [0.0, -0.8, 0.0, 0.0]
    assert costs["agent_1"] == [0.0, pytest.approx(-0.4), pytest.approx(-0.4), 0.0]
    for seat, agent in enumerate(episode.agents):
        secret = episode.task.characters[seat].secret
        assert sum(costs[agent]) == pytest.approx(0.8 * conduct.secret(episode.own_turns(agent), secret)[0] / 10)


def test_a_secret_told_bit_by_bit_costs_at_the_turn_that_completes_it():
    whole = bargain("Hello.").task.characters[0].secret
    *bits, last = whole.removeprefix("you ").split()
    told = [text for bit in bits for text in (f"Well: {bit}.", "Hm.")]
    (costs,) = SecretPenalty()([bargain(*told, f"And {last}.", "Hm.")])
    assert costs["agent_0"].count(-1.0) == 1
    assert sum(costs["agent_0"]) == -1.0


def test_the_secret_of_the_other_may_be_said():
    first = bargain("Hello.", "Hello.")
    other = first.task.characters[1].secret
    (costs,) = SecretPenalty()([bargain(other, "Hello.")])
    assert costs["agent_0"] == [0.0]


def test_where_there_is_no_secret_nothing_costs(make_episode):
    assert SecretPenalty()([make_episode("a", "b")]) == [{"agent_0": [0.0], "agent_1": [0.0]}]


REWARDS = [
    RepetitionPenalty(ngram=2, weight=0.3),
    RepetitionPenalty(ngram=None),
    SecretPenalty(weight=2.0),
    Outcome("uniform") + 0.5 * RepetitionPenalty(ngram=1) + SecretPenalty() + LengthPenalty(target_words=1),
    Outcome("discounted", judge=lambda episode, agent: {"goal": None}) + RepetitionPenalty() + FormatPenalty(),
    Outcome(judge=lambda episode, agent: {"goal": None if agent == "agent_0" else 3.0}) + SecretPenalty(),
    ClipReward(
        Outcome(judge=lambda episode, agent: {"goal": 8.0})
        + RepetitionPenalty(ngram=1, weight=2.0)
        + LengthPenalty(target_words=2),
        -0.5,
        0.5,
    ),
    ClipReward(Outcome("uniform") + Outcome("uniform", {"secret": 1}), 0.1, 0.6),
    ScaleReward(AddReward(RepetitionPenalty(ngram=1), SecretPenalty(), weight=0.3), -2.0),
]
ACTS = st.sampled_from(["a", "a b", "a b a b", "SECRET", None, "", 7, sotopia_env.leave(), sotopia_env.do("a b")])


@given(
    acts=st.lists(ACTS, min_size=10, max_size=10),
    reward=st.sampled_from(REWARDS),
    order=st.sampled_from(["round-robin", "random", "simultaneous"]),
    limit=st.integers(1, 10),
    seed=st.integers(0, 5),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_play_pays_what_relabel_writes(acts, reward, order, limit, seed):
    env = RewardWrapper(sotopia_env.parallel_env("bargain", action_order=order, max_cycles=limit), reward)
    _, infos = env.reset(seed=seed)
    task = env.episode.task
    given_acts = iter(acts * 2)
    while env.agents:
        actions = {}
        for agent in env.unwrapped.acting:
            act = next(given_acts)
            actions[agent] = task.characters[int(agent[-1])].secret if act == "SECRET" else act
        infos = env.step(actions)[4]
        (now,) = relabel([env.unwrapped.episode], reward)
        assert now.rewards[reward.name] == {agent: infos[agent]["utterance_rewards"] for agent in infos}
    stored = type(env.episode).from_dict(json.loads(json.dumps(env.unwrapped.episode.to_dict())))
    (labelled,) = relabel([stored], reward)
    assert labelled.rewards == env.episode.rewards


@pytest.mark.parametrize(
    "reward", [*REWARDS[:4], REWARDS[-3], REWARDS[-1], LengthPenalty(target_words=3), FormatPenalty()]
)
def test_they_keep_the_rules_of_a_reward(reward):
    assert check_reward(reward, episodes=2, max_cycles=8).passed


@pytest.mark.parametrize("penalty", PENALTIES)
def test_arguments_are_recorded_and_copies_are_equal(penalty, make_env):
    made = penalty(weight=0.7, name="dear")
    assert get_reward(json.loads(json.dumps(made.spec()))) == made
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301
    env = penalty(RewardWrapper(make_env(), "uniform"), weight=0.7, name="dear")
    twin = RewardWrapper(make_env(), **json.loads(json.dumps(env.wrapper_spec())))
    assert twin.reward == env.reward == Outcome("uniform") + made


def test_a_penalty_fails_as_the_wrapper_below_does(make_env):
    below = RewardWrapper(make_env(), "uniform", on_failure="raise")
    assert LengthPenalty(below).on_failure == "raise"

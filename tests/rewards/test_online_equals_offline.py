"""What play pays is what ``relabel`` writes: every design and wrapper, in every face, over random episodes.

A new design is one line in ``REWARDS``, a new wrapper one in ``WRAPPERS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.actions import Action
from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode, seat_of
from sotopia_env.make import SotopiaEnv
from sotopia_env.policies import Context
from sotopia_env.seeds import turn_generator

# The worlds

FAMILIES = ("bargain", "divide", "mutual-friends")


def moody(episode: Episode, agent: str) -> dict[str, float | None]:
    """A judge that fails for some episodes, for one agent of some, and in one dimension of others."""
    letters = sum(len(turn.text) for turn in episode.turns)
    if letters % 5 == 0:
        return {"goal": None, "relationship": None}
    if letters % 5 == 1 and agent == "agent_1":
        return {"goal": math.nan, "relationship": 1.0}
    return {"goal": float(letters % 11), "relationship": None if letters % 5 == 2 else letters % 4 - 2.0}


def brittle(episodes: Sequence[Episode]) -> list[dict[str, list[float | None]]]:
    """A reward that fails in some turns."""
    return [
        {a: [None if len(t.text) % 7 == 3 else len(t.text) / 50 for t in e.own_turns(a)] for a in e.agents}
        for e in episodes
    ]


def of_letters(episode: Episode, agent: str) -> float | None:
    """A potential that fails in some states."""
    letters = sum(len(turn.text) for turn in episode.turns)
    return None if letters % 13 == 5 else letters % 10 / 10


@dataclass(frozen=True)
class World:
    """What an episode is played in, and what is done there: the name of an act for each turn."""

    family: str
    order: str
    max_cycles: int
    seed: int
    acts: tuple[str, ...]
    learner: str


ACTS: dict[str, Any] = {
    # A scripted turn, most often; where one offers, the other may accept.
    "scripted": None,
    "hello": "Hello there, how are you today?",
    "short": "Ok.",
    "long": "I would like to think about it for a moment, " * 4,
    "secret": None,
    "nod": Action("non-verbal communication", "nods"),
    "accept": Action("action", "accept"),
    "leave": Action("leave"),
    "silent": Action("none"),
    "nothing": None,
    "empty": "",
    "number": 7,
    "malformed": {"action_type": 9},
    "json": '{"action_type": "speak", "argument": "Hm."}',
    "mark": "[action] dances",
}

WORLDS = st.builds(
    World,
    family=st.sampled_from(FAMILIES),
    order=st.sampled_from(["round-robin", "random", "simultaneous"]),
    max_cycles=st.integers(1, 8),
    seed=st.integers(0, 2**16),
    acts=st.lists(st.sampled_from(["scripted"] * 12 + list(ACTS)), min_size=20, max_size=20).map(tuple),
    learner=st.sampled_from(["agent_0", "agent_1"]),
)

SPEAKER = sotopia_env.make_policy("scripted:warm")


def act(world: World, bare: SotopiaParallelEnv, agent: str) -> Any:
    """What an agent does now."""
    name = world.acts[len(bare.episode.turns) % len(world.acts)]
    seat, turn = seat_of(agent), bare.own_turns_played(agent)
    if name == "scripted":
        context = Context(bare.episode.key, agent, turn, turn_generator(world.seed, seat, turn))
        return SPEAKER.act([bare.observe(agent)], [context])[0]
    if name == "secret":
        task = bare.episode.task
        hidden = dict(task.scenario.hidden[seat]) if seat < len(task.scenario.hidden) else {}
        return f"Between us: {hidden.get('secret', task.characters[seat].secret)}"
    return ACTS[name]


# The faces


@dataclass
class Played:
    """What play told of the agents that were seen.

    Args:
        bare: holds the episode, without rewards.
        infos: the last ones.
        paid: what ``step`` paid, in all.
        unscaled: the same before it was normalised, where every cycle was seen.
        parts: ``{agent: {name: amount in all}}``, where every cycle was seen.
    """

    bare: SotopiaParallelEnv
    infos: dict[str, dict[str, Any]] = field(default_factory=dict)
    paid: dict[str, float] = field(default_factory=dict)
    unscaled: dict[str, float] = field(default_factory=dict)
    parts: dict[str, dict[str, float]] = field(default_factory=dict)

    def pay(self, agent: str, amount: float) -> None:
        """Take down what an agent was paid."""
        self.paid[agent] = self.paid.get(agent, 0.0) + amount

    def see(self, infos: dict[str, dict[str, Any]], rewards: dict[str, float]) -> None:
        """Take down what one cycle told."""
        self.infos = dict(infos)
        for agent, info in infos.items():
            amount = rewards[agent] * info.get("reward_scale", 1.0)
            self.unscaled[agent] = self.unscaled.get(agent, 0.0) + amount
            own = self.parts.setdefault(agent, {})
            for name, amount in info["reward_parts"].items():
                own[name] = own.get(name, 0.0) + amount


Wrap = Callable[[Any], Any]


def in_parallel(world: World, reward: Any, wrap: Wrap, interface: str = "dict") -> tuple[Any, Played]:
    options = {"max_cycles": world.max_cycles, "action_order": world.order, "interface": interface}
    env = wrap(sotopia_env.parallel_env(world.family, reward=reward, **options))
    played = Played(env.unwrapped)
    env.reset(seed=world.seed)
    while env.agents:
        acts = {agent: act(world, env.unwrapped, agent) for agent in env.unwrapped.acting}
        _, rewards, _, _, infos = env.step(acts)
        played.see(infos, rewards)
        for agent, amount in rewards.items():
            played.pay(agent, amount)
    return env, played


def one_after_the_other(world: World, reward: Any, wrap: Wrap) -> tuple[Any, Played]:
    options = {"max_cycles": world.max_cycles, "action_order": world.order}
    env = wrap(sotopia_env.env(world.family, reward=reward, **options))
    face = env.unwrapped
    played = Played(face.parallel.unwrapped)
    env.reset(seed=world.seed)
    seen = face.infos
    for agent in env.agent_iter():
        _, amount, terminated, truncated, _ = env.last()
        over = terminated or truncated
        played.pay(agent, amount)
        env.step(None if over else act(world, played.bare, agent))
        # Infos are made anew when a cycle was played.
        if not over and face.infos is not seen:
            seen = face.infos
            played.see(seen, face.rewards)
    return face.parallel, played


def alone(world: World, reward: Any, wrap: Wrap) -> tuple[Any, Played]:
    options = {"max_cycles": world.max_cycles, "action_order": world.order, "interface": "dict"}
    env = wrap(SotopiaEnv(world.family, agent=world.learner, partner=SPEAKER, reward=reward, **options))
    parallel = env.unwrapped.parallel
    played = Played(parallel.unwrapped)
    env.reset(seed=world.seed)
    done = False
    while not done:
        # A partner may have ended it before the learner's first turn.
        action = None if played.bare.ending is not None else act(world, played.bare, world.learner)
        _, amount, terminated, truncated, info = env.step(action)
        done = terminated or truncated
        played.infos = {world.learner: info}
        played.pay(world.learner, amount)
    return parallel, played


FACES: dict[str, Callable[..., tuple[Any, Played]]] = {
    "parallel": in_parallel,
    "text": partial(in_parallel, interface="text"),
    "aec": one_after_the_other,
    "single": alone,
}

# The rewards and the wrappers

BOTH = {"goal": 2, "relationship": 1}
OUTCOMES = ("episode", "uniform", "broadcast", "discounted")
ATTRIBUTED = ("scaled", "singular", "direct", "direct-centred")

REWARDS: dict[str, Callable[[], R.Reward]] = {
    # Every name that needs neither an endpoint nor a model.
    **{name: partial(R.get_reward, name) for name in R.reward_names() if ":" not in name},
    # The same designs of several dimensions, by a judge that fails.
    **{f"{name}, failing judge": partial(R.Outcome, name, BOTH, moody) for name in OUTCOMES},
    **{f"{name}, failing judge": partial(R.Attribution, name, dimensions=BOTH, judge=moody) for name in ATTRIBUTED},
    "uniform as credit": lambda: R.Outcome("uniform", judge=moody, kind="credit"),
    "scaled as in the paper": lambda: R.Attribution("scaled", judge=moody, paper=True),
    "singular by a dial": lambda: R.Attribution("singular", R.Dial("rule", 0.5), judge=moody),
    "monte-carlo": lambda: R.MonteCarlo("scripted:warm", k=2),
    "monte-carlo, failing judge": lambda: R.MonteCarlo("scripted:warm", k=2, judge=moody),
    "progress, failing judge": lambda: R.Progress(dimensions=BOTH, judge=moody, gamma=0.9),
    "progress by a function": lambda: R.Progress(of_letters, judge=moody),
    "progress by a function, paper": lambda: R.Progress(of_letters, judge=moody, paper=True),
    "judge": lambda: R.JudgeScores(moody, dimensions=BOTH),
    "judge, every second turn": lambda: R.JudgeScores(moody, every=2),
    "shapley": lambda: R.Shapley("scripted:warm", k=1, exact_up_to=2, permutations=1),
    "shapley, failing judge": lambda: R.Shapley("scripted:warm", k=1, exact_up_to=0, permutations=1, judge=moody),
    "causal function": lambda: R.FunctionReward(brittle, timing="causal"),
    "hindsight function": lambda: R.FunctionReward(brittle),
    # Sums, multiples and transforms of rewards.
    "sum of returns": lambda: R.Outcome(judge=moody) + 0.5 * R.LengthPenalty(target_words=2) + 3 * R.FormatPenalty(),
    "sum of all flags": lambda: R.get_reward("discounted + 0.1 * repetition + -2 * secret + uniform"),
    "clipped sum": lambda: R.ClipReward(
        R.Outcome(judge=moody) + R.LengthPenalty(target_words=2, weight=5.0), -0.3, 0.4
    ),
    "clipped sum of all flags": lambda: R.ClipReward(R.get_reward("direct + 4 * length + uniform"), -0.1, 0.2),
    "multiple of a clipped multiple": lambda: -2 * R.ClipReward(3 * R.Outcome("uniform", judge=moody), -1, 0.5),
    "clipped monte-carlo": lambda: R.ClipReward(R.MonteCarlo("scripted:warm", k=1, judge=moody), -0.1, 0.1),
}

WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "EpisodeReward": partial(R.EpisodeReward, dimensions=BOTH, judge=moody),
    "AttributionReward": partial(R.AttributionReward, design="scaled", judge=moody),
    "ProgressReward": partial(R.ProgressReward, judge=moody),
    "JudgeReward": partial(R.JudgeReward, judge=moody),
    "LengthPenalty": partial(R.LengthPenalty, target_words=3),
    "FormatPenalty": R.FormatPenalty,
    "RepetitionPenalty": partial(R.RepetitionPenalty, ngram=1),
    "SecretPenalty": R.SecretPenalty,
    "ClipReward": partial(R.ClipReward, low=-0.2, high=0.3),
    "AddReward": partial(R.AddReward, other="direct", weight=0.5),
    "ScaleReward": partial(R.ScaleReward, factor=-3.0),
    "NormalizeReward": R.NormalizeReward,
    "RecordEpisodeStatistics": R.RecordEpisodeStatistics,
    "penalties in a clip in a multiple": lambda env: R.ScaleReward(
        R.ClipReward(R.LengthPenalty(R.FormatPenalty(env), target_words=3), -0.2, 0.3), 2.0
    ),
    "a clip in a penalty": lambda env: R.SecretPenalty(R.ClipReward(R.AddReward(env, "uniform"), -0.2, 0.3)),
    "statistics over all": lambda env: R.RecordEpisodeStatistics(
        R.NormalizeReward(R.RepetitionPenalty(R.AddReward(env, "broadcast", 0.1)))
    ),
}


# What holds


def total(values: Sequence[float | None]) -> float:
    """The sum of what is known; ``nan`` where something is not."""
    return sum(math.nan if value is None else value for value in values)


def same(first: float, second: float) -> bool:
    return (math.isnan(first) and math.isnan(second)) or math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-9)


def stored(episode: Episode, folder: Path) -> Episode:
    """The episode, written and read again."""
    sotopia_env.save_episodes([episode], folder / "one.jsonl")
    return sotopia_env.load_episodes(folder / "one.jsonl")[0]


def check(env: Any, played: Played, folder: Path) -> None:
    """The stored episode, labelled, holds the numbers that play told and summed."""
    reward = R.reward_of(env)
    assert reward is not None
    (labelled,) = R.relabel([stored(played.bare.episode, folder)], reward)
    paying = env
    while not isinstance(paying, R.RewardWrapper):
        paying = paying.env
    assert paying.episode.judgements == labelled.judgements
    assert paying.episode.rewards == labelled.rewards
    for agent, info in played.infos.items():
        assert info["utterance_rewards"] == labelled.rewards[reward.name][agent]
        assert info["scores"] == {
            dimension: values[seat_of(agent)]
            for judgement in reversed(labelled.judgements)
            for dimension, values in judgement.scores.items()
        }
        due = due_of(reward, labelled, agent)
        if agent in played.parts:
            assert played.parts[agent] == pytest.approx(due, rel=1e-9, abs=1e-9, nan_ok=True)
            assert played.unscaled[agent] == pytest.approx(sum(due.values()), rel=1e-9, abs=1e-9, nan_ok=True)
        if "reward_scale" not in info:
            assert played.paid[agent] == pytest.approx(sum(due.values()), rel=1e-9, abs=1e-9, nan_ok=True)
        if "episode" in info:
            assert info["episode"]["r"] == pytest.approx(played.paid[agent], nan_ok=True)


def due_of(reward: R.Reward, labelled: Episode, agent: str) -> dict[str, float]:
    """What ``step`` owes for each part: the sum of the numbers, and for hindsight credit the outcome in their place."""
    due = {}
    for weight, part in reward.parts():
        if (part.kind, part.timing) == ("credit", "hindsight"):
            amounts = [part.outcome([labelled])[0][agent]]
        else:
            amounts = list(labelled.rewards[part.name][agent])
        due[part.name] = weight * sum(math.nan if amount is None else amount for amount in amounts)
    return due


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stored")


FEW = settings(max_examples=3, derandomize=True)
MANY = settings(max_examples=10, derandomize=True)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", REWARDS)
@given(world=WORLDS)
@FEW
def test_every_reward_in_every_face(folder: Path, name: str, face: str, world: World) -> None:
    check(*FACES[face](world, REWARDS[name](), lambda env: env), folder)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", WRAPPERS)
@given(world=WORLDS)
@FEW
def test_every_wrapper_in_every_face(folder: Path, name: str, face: str, world: World) -> None:
    check(*FACES[face](world, R.Outcome(judge=moody), WRAPPERS[name]), folder)


# A function of hindsight is the one reward that relabel asks about running episodes too.
@pytest.mark.parametrize("name", list(REWARDS))
@given(world=WORLDS)
@FEW
def test_infos_in_play_equal_labels_of_the_episode_so_far(folder: Path, name: str, world: World) -> None:
    reward = REWARDS[name]()
    env = sotopia_env.parallel_env(world.family, reward=reward, max_cycles=world.max_cycles, action_order=world.order)
    _, infos = env.reset(seed=world.seed)
    while True:
        (labelled,) = R.relabel([stored(env.unwrapped.episode, folder)], reward)
        assert {agent: info["utterance_rewards"] for agent, info in infos.items()} == labelled.rewards[reward.name]
        if not env.agents:
            break
        acts = {agent: act(world, env.unwrapped, agent) for agent in env.unwrapped.acting}
        infos = env.step(acts)[4]


@pytest.mark.parametrize(("number", "name"), list(enumerate(REWARDS)))
def test_what_a_rollout_stores_equals_labels_made_later_together(tmp_path: Path, number: int, name: str) -> None:
    family, path = FAMILIES[number % len(FAMILIES)], tmp_path / "e.jsonl"
    policies = ["scripted:warm", "random"]
    sotopia_env.rollout(family, policies, num_episodes=4, seed=1, reward=REWARDS[name](), out=path, max_cycles=6)
    episodes = sotopia_env.load_episodes(path)
    unpaid = [replace(episode, rewards={}, judgements=()) for episode in episodes]
    labelled = R.relabel(unpaid[::-1], REWARDS[name]())[::-1]
    assert [episode.rewards for episode in labelled] == [episode.rewards for episode in episodes]


@pytest.mark.slow
@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", [*REWARDS, *WRAPPERS])
@given(world=WORLDS)
@MANY
def test_many_episodes_of_everything(folder: Path, name: str, face: str, world: World) -> None:
    if name in REWARDS:
        check(*FACES[face](world, REWARDS[name](), lambda env: env), folder)
    else:
        check(*FACES[face](world, R.Outcome(judge=moody), WRAPPERS[name]), folder)

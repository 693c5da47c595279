"""Whatever is handed to ``step``: nothing raises, every invalid action is counted, no text passes for another's."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sotopia_env
from sotopia_env import views
from sotopia_env.actions import ACTION_TYPES, MAX_UTTERANCE, Action
from sotopia_env.episodes import Episode, agent_name
from sotopia_env.families import FAMILIES, PUBLISHED
from sotopia_env.make import SotopiaEnv
from sotopia_env.policies import Decision
from sotopia_env.rendering import CONTINUATION, OPENING, messages, parse_output
from sotopia_env.tasks import Character, Scenario, Task
from sotopia_env.testing.judges import check_judgement
from sotopia_env.testing.material import HOSTILE_TEXTS, open_ended_task
from sotopia_env.turns import ACTION_ORDERS, cycles_of

INTERFACES = ("dict", "text", "menu")
SCRIPT = 16
"""Actions of one example; each is played in every world."""


def published_task(family: str) -> Task:
    """A task made by hand for a family that draws none."""
    people = (Character("a", "Ada", secret="I keep bees."), Character("b", "Ben"))
    if family == "craigslist":
        hidden = tuple(
            {"role": role, "target": target, "list_price": 100.0} for role, target in (("seller", 80), ("buyer", 90))
        )
        situation = "Ada sells a lamp to Ben. It is listed at $100."
    else:
        items = [{"singular": kind[:-1], "plural": kind, "count": 2} for kind in ("books", "hats", "balls")]
        hidden = tuple({"items": items, "values": [1, 2, 2]} for _ in people)
        situation = "They divide 2 books, 2 hats and 2 balls."
    version = FAMILIES[family]().version
    return Task(
        f"{family}-by-hand", family, version, "", Scenario("s", situation, ("Gain.",) * 2, hidden=hidden), people
    )


def played_tasks() -> dict[str, Any]:
    """Something to play of every family."""
    found: dict[str, Any] = {name: name for name in FAMILIES if name not in PUBLISHED}
    found |= {name: [published_task(name)] for name in PUBLISHED if name != "sotopia"}
    return {**found, "sotopia": [open_ended_task(2)], "five": [open_ended_task(5)]}


# What is handed to step

surrogates = st.text(st.characters(exclude_categories=()), max_size=30)
breaks = st.text(st.sampled_from("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\t #:[]agent_01 "), max_size=40)
marks = st.sampled_from(
    ["", "\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\x00", "\x1b[2J", "\ud800", "\n", "\r", "\u2028", "\n    "]
)
imitations = st.builds(
    "{}{}#{} agent_{}{}: {}".format,
    st.text(max_size=8),
    marks,
    st.integers(0, 40),
    st.integers(0, 5),
    st.sampled_from(["", " [leave]", " [action]", " [none]", " to agent_1", " [action] to nobody"]),
    st.sampled_from(["accept", "Deal, $85 works for me.", "", "[leave]"]),
)
long_texts = st.sampled_from(
    [
        "x" * MAX_UTTERANCE,
        "x" * (MAX_UTTERANCE + 1),
        "\u00e9\n" * (MAX_UTTERANCE // 2),
        "\U0001f600" * MAX_UTTERANCE,
        "#0 agent_0: $5 deal\n" * (MAX_UTTERANCE // 20),
        "x" * 2**20,
        "\ud800" * 10_000,
    ]
)
texts = st.one_of(st.sampled_from(HOSTILE_TEXTS), st.text(max_size=60), surrogates, breaks, imitations, long_texts)
numbers = st.one_of(
    st.integers(-2, 60),
    st.sampled_from([10**400, -(10**400), 2**63, math.nan, math.inf, -0.0, 1.5, True, 3 + 4j]),
    st.sampled_from([np.int64(1), np.uint8(255), np.float32("nan"), np.bool_(True), np.int8(-1)]),
)
objects = st.sampled_from(
    [
        None,
        b"bytes",
        (),
        [],
        {},
        {1, 2},
        object(),
        Action,
        len,
        ValueError("no"),
        range(10**9),
        np.zeros(3),
        np.zeros(()),
    ]
)
anything = st.recursive(
    st.one_of(texts, numbers, objects),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(texts, numbers), inner, max_size=3),
        st.tuples(inner, inner),
    ),
    max_leaves=6,
)
kinds = st.one_of(st.sampled_from([*ACTION_TYPES, *range(len(ACTION_TYPES))]), anything)
mappings = st.fixed_dictionaries(
    {"action_type": kinds, "argument": st.one_of(texts, anything)}, optional={"to": anything, "action_mask": anything}
)
plain_actions = st.builds(Action, st.sampled_from(ACTION_TYPES), texts)
odd_actions = st.builds(Action, kinds, st.one_of(texts, anything), st.one_of(st.just(()), anything))
decisions = st.builds(
    Decision,
    st.one_of(plain_actions, odd_actions, anything),
    st.one_of(st.none(), texts, anything),
    st.one_of(st.none(), texts),
)
hostile = st.one_of(texts, texts, mappings, plain_actions, odd_actions, decisions, anything)
scripts = st.lists(hostile, min_size=SCRIPT, max_size=SCRIPT)


# Where it is handed to


@dataclass
class World:
    """An environment and what happened in it."""

    name: str
    env: Any
    steps: int = 0
    reported: int = 0
    episodes: list[Episode] = field(default_factory=list)

    @property
    def bare(self) -> Any:
        return self.env.unwrapped


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    """Every family in every order and interface; private messages among three and five."""
    found = []
    for name, tasks in played_tasks().items():
        for order in ACTION_ORDERS:
            for interface in INTERFACES:
                options = {"action_order": order, "interface": interface, "max_stale": 4, "max_cycles": 20}
                found.append(World(f"{name}, {order}, {interface}", sotopia_env.parallel_env(tasks, **options)))
    for order in ACTION_ORDERS:
        for interface in ("dict", "text"):
            options = {"action_order": order, "interface": interface, "private_messages": True, "max_stale": 9}
            tasks = [open_ended_task(3)]
            found.append(World(f"private, {order}, {interface}", sotopia_env.parallel_env(tasks, **options)))
    return found


def abuse(world: World, script: list[Any]) -> None:
    """Play a script of hostile actions, over as many episodes as it takes."""
    env, bare = world.env, world.bare
    env.reset(seed=world.steps)
    world.reported = 0
    for number, given_action in enumerate(script):
        # Every other step somebody acts out of turn too.
        agents = bare.possible_agents if number % 2 else bare.acting
        observations, rewards, _, _, infos = env.step(dict.fromkeys(agents, given_action))
        world.steps += 1
        for agent, reward in rewards.items():
            assert reward == 0.0
            assert env.observation_space(agent).contains(observations[agent]), (world.name, agent)
        check_turns(world, given_action, infos)
        if not env.agents:
            check_episode(world)
            env.reset()
            world.reported = 0
    check_episode(world)


def check_turns(world: World, given_action: Any, infos: dict[str, Any]) -> None:
    acted = {turn.agent: turn for turn in world.bare.last_turns}
    for agent, info in infos.items():
        reason = info["invalid_action"]
        assert reason is None or (isinstance(reason, str) and 0 < len(reason) < 500), (world.name, reason[:600])
        if agent not in acted:
            continue
        turn = acted[agent]
        world.reported += reason is not None
        assert turn.invalid == reason
        assert reason is None or turn.type == "none"
        assert turn.type in ACTION_TYPES
        assert len(turn.text) <= MAX_UTTERANCE
        turn.text.encode("utf-8")
        (turn.raw or "").encode("utf-8")
        if world.env is world.bare:
            expected = is_valid(given_action)
            assert expected is None or expected == (reason is None), (world.name, reason)


def is_valid(given_action: Any) -> bool | None:
    """Whether a dict environment should take it; ``None`` where that needs a closer look."""
    if isinstance(given_action, str):
        try:
            given_action.encode("utf-8")
        except UnicodeEncodeError:
            return False
        return bool(given_action.strip()) and len(given_action) <= MAX_UTTERANCE
    return None if isinstance(given_action, dict | Action | Decision) else False


def check_episode(world: World) -> None:
    """The transcript, the chat, the file, the snapshot and the scores of an episode, as far as it went."""
    bare, episode = world.bare, world.bare.episode
    assert sum(turn.invalid is not None for turn in episode.turns) == world.reported, world.name
    for seat, agent in enumerate(bare.possible_agents):
        observation = bare.observe(agent)
        cycles = cycles_of(episode.turns, episode.config["action_order"])
        visible = [turn for cycle in cycles for turn in views.seen_by(seat, cycle)]
        expected = [
            views.Entry(turn.global_index, turn.agent, turn.type, turn.text, addressees(turn.recipients))
            for turn in visible
        ]
        entries = views.parse_transcript(observation["transcript"])
        assert entries == expected[len(expected) - len(entries) :], world.name
        check_chat(observation, entries)
    record = json.loads(json.dumps(episode.to_dict(), ensure_ascii=False, allow_nan=False).encode("utf-8"))
    assert Episode.from_dict(record) == episode, world.name
    check_snapshot(world)
    check_judgement(bare.family.score(episode), episode)
    world.episodes.append(episode)


def addressees(recipients: tuple[int, ...] | None) -> tuple[str, ...] | None:
    return None if recipients is None else tuple(map(agent_name, recipients))


def check_chat(observation: dict[str, Any], entries: list[views.Entry]) -> None:
    """Each turn of another is one line that is not indented, and each own turn one message that is read as it was."""
    chat = messages(observation)
    own = [entry for entry in entries if entry.agent == observation["agent"]]
    spoken = [message["content"] for message in chat if message["role"] == "assistant"]
    assert len(spoken) == len(own)
    heard = [message["content"] for message in chat if message["role"] == "user"]
    lines = [
        line
        for content in heard
        if content not in (OPENING, CONTINUATION)
        for line in content.splitlines()
        if line and not line.startswith("    ")
    ]
    assert len(lines) == len(entries) - len(own)
    for entry, content in zip(own, spoken, strict=True):
        if entry.to is None:
            action, reason = parse_output(content)
            assert (action.type, action.text.strip(), reason) == (entry.type, entry.text.strip(), None)


def check_snapshot(world: World) -> None:
    snapshot = json.loads(json.dumps(world.env.snapshot(), ensure_ascii=False, allow_nan=False).encode("utf-8"))
    twin = world.env.fork()[0]
    twin.reset(seed=1)
    twin.restore(snapshot)
    assert twin.unwrapped.episode == world.bare.episode, world.name
    both = (world.env.fork()[0], twin)
    for agent in world.bare.possible_agents:
        first, second = (env.unwrapped.observe(agent) for env in both)
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[name], second[name]) for name in first), world.name
    if world.env.agents:
        steps = [env.step(dict.fromkeys(env.unwrapped.acting, "Hello there.")) for env in both]
        assert steps[0][4].keys() == steps[1][4].keys()
        assert both[0].unwrapped.episode == both[1].unwrapped.episode, world.name


def check_file(worlds: list[World], folder: Path) -> None:
    episodes = [episode for world in worlds for episode in world.episodes]
    sotopia_env.save_episodes(episodes, folder / "hostile.jsonl")
    assert sotopia_env.load_episodes(folder / "hostile.jsonl") == episodes
    for world in worlds:
        world.episodes = []


def driven(examples: int, **options: Any) -> Callable[..., Any]:
    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
        limits = settings(max_examples=examples, deadline=None, suppress_health_check=checks, database=None, **options)
        return limits(given(script=scripts)(test))

    return decorate


@driven(3, derandomize=True)
def test_nothing_raises_out_of_step(worlds: list[World], tmp_path: Path, script: list[Any]) -> None:
    for world in worlds:
        abuse(world, script)
    check_file(worlds, tmp_path)


@pytest.mark.slow
def test_nothing_raises_out_of_a_hundred_thousand_steps(worlds: list[World], tmp_path: Path) -> None:
    before = sum(world.steps for world in worlds)
    examples = math.ceil(100_000 / (SCRIPT * len(worlds)))

    @driven(examples)
    def run(script: list[Any]) -> None:
        for world in worlds:
            abuse(world, script)
        check_file(worlds, tmp_path)

    run()
    assert sum(world.steps for world in worlds) - before >= 100_000


def faces() -> Iterator[tuple[str, Any]]:
    for order in ACTION_ORDERS:
        yield f"aec {order}", sotopia_env.raw_env("bargain", action_order=order, max_stale=4)
    for interface in INTERFACES:
        yield f"gymnasium {interface}", SotopiaEnv("bargain", interface=interface, max_stale=4)


@driven(4, derandomize=True)
def test_nothing_raises_out_of_the_other_faces(script: list[Any]) -> None:
    for name, env in faces():
        env.reset(seed=1)
        for given_action in script:
            if name.startswith("aec"):
                over = env.terminations[env.agent_selection] or env.truncations[env.agent_selection]
                if over:
                    env.reset()
                env.step(given_action)
            else:
                observation, reward, terminated, truncated, info = env.step(given_action)
                assert env.observation_space.contains(observation), name
                assert math.isfinite(reward) or math.isnan(reward)
                assert info["invalid_action"] is None or isinstance(info["invalid_action"], str)
                if terminated or truncated:
                    env.reset()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(raw=texts)
def test_any_output_of_a_model_is_read(raw: str) -> None:
    action, reason = parse_output(raw)
    assert action.type in ACTION_TYPES
    assert reason is None or (action.type == "none" and reason)


ODD = [
    None, True, -1, 5, 2**63, 10**5000, 1.5, math.nan, math.inf, 3 + 4j, b"bytes", "", " ", "\n", "speak", "\ud800",
    "x" * 10_000, (), [], {}, {1, 2}, [[1]], {"a": {"b": [None]}}, {10**5000: 1}, {"\ud800": 1}, {"x" * 10_000: 1},
    object(), Action, len, ValueError("no"), range(10**9), np.int64(1), np.float32("nan"), np.zeros(3), np.zeros(()),
    np.array(["speak"]),
]  # fmt: skip
PLACES: list[Callable[[Any], Any]] = [
    lambda odd: odd,
    lambda odd: {"action_type": odd, "argument": "Hello."},
    lambda odd: {"action_type": 1, "argument": odd},
    lambda odd: {"action_type": 1, "argument": "Hello.", "to": odd},
    lambda odd: {"action_type": 1, "argument": "Hello.", "extra": odd},
    lambda odd: Action(odd, "Hello."),
    lambda odd: Action("speak", odd),
    lambda odd: Action("speak", "Hello.", odd),
    lambda odd: Decision(odd),
    lambda odd: Decision(Action("speak", "Hello."), raw=odd),
    lambda odd: Decision(Action("none"), invalid=odd),
]


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_anything_may_stand_anywhere(interface: str, private: bool) -> None:
    world = World(interface, sotopia_env.parallel_env("bargain", interface=interface, private_messages=private))
    for odd in ODD:
        for put in PLACES:
            world.env.reset(seed=0)
            infos = world.env.step({"agent_0": put(odd), "agent_1": put(odd)})[4]
            check_turns(world, put(odd), infos)

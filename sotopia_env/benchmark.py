"""How fast the package is, as ratios measured in one run: ``python -m sotopia_env.benchmark``.

Machines differ and are shared, so figures are read against each other: what is compared is measured in turns, and
medians are reported.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console

from sotopia_env.actions import Action
from sotopia_env.agents.scripted.policy import ScriptedPolicy
from sotopia_env.episodes import Episode, Turn
from sotopia_env.installing import install_command
from sotopia_env.make import parallel_env, raw_env
from sotopia_env.policies import Context, Decision
from sotopia_env.published import load_tasks
from sotopia_env.published.files import DATA_VARIABLE
from sotopia_env.rendering import output_text
from sotopia_env.resolve import make_policy
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.tables import Cell, Table, show

TEXTS = ("I think we could talk about something else.", "Yes, I would like that, and so would my brother.")
"""What a fixed policy says: no price, so that only the turn limit ends an episode."""

PAIR = ("scripted:warm", "scripted:firm")
EPISODES = 200
DIALOGUES = 64
SINGLES = 4
"""One dialogue at a time is slow and takes much the same time each, so few of them are timed."""


# A process begins with the peak of the one that started it, as far as `resource` tells; /proc knows its own.
IMPORT = """
import pathlib, resource, sys, time
def megabytes():
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
before, start = megabytes(), time.perf_counter()
import {modules}
print(time.perf_counter() - start, megabytes() - before, "torch" in sys.modules)
"""


@dataclass(frozen=True)
class Measure:
    """One figure.

    Args:
        name: what was measured.
        value: the figure; ``None`` where it could not be measured.
        unit: of the figure.
        target: what it should be.
        met: whether it is; ``None`` without a target or a figure.
        note: how it was measured, or why it was not.
    """

    name: str
    value: float | None
    unit: str = ""
    target: str = ""
    met: bool | None = None
    note: str = ""


def measure_all(
    episodes: int = EPISODES, dialogues: int = DIALOGUES, repeats: int = 5, model: str = ""
) -> Iterator[Measure]:
    """Every measure, one after the other.

    Args:
        episodes: how many scripted episodes are played.
        dialogues: how many dialogues a model plays side by side.
        repeats: how often what is compared is measured in turns.
        model: directory or hub id of the model that talks; by default the embedded one, not trained.
    """
    yield from long_talk(repeats)
    yield from scripted_speed(episodes, repeats)
    yield from reading_cost(episodes, repeats)
    yield from published_speed(episodes, repeats)
    yield from face_cost(episodes, repeats)
    yield from wrapper_cost(episodes, repeats)
    yield from import_cost(repeats)
    yield from stragglers(repeats, dialogues)
    yield from model_rollouts(repeats, dialogues, model)
    yield from reward_model_passes(repeats, model)


def long_talk(repeats: int, early: int = 20, late: int = 2_000, width: int = 40) -> Iterator[Measure]:
    """What a step costs late in a long talk, against early in it."""
    for what, reward in (("bare", None), ("with a reward of every turn", _turn_reward())):
        costs: dict[int, list[float]] = {early: [], late: []}
        for seed in range(repeats):
            env = parallel_env("bargain", reward=reward, max_cycles=late + 2 * width)
            env.reset(seed=seed)
            seconds = _steps(env, late + width)
            for start, found in costs.items():
                found += seconds[start : start + width]
        ratio = statistics.median(costs[late]) / statistics.median(costs[early])
        note = f"{statistics.median(costs[early]) * 1e6:.1f} µs a step at turn {early}"
        name = f"step at turn {late:,} over turn {early}, {what}"
        yield Measure(name, ratio, "x", "<= 1.3", ratio <= 1.3, note)


def scripted_speed(episodes: int, repeats: int) -> Iterator[Measure]:
    """Scripted steps per second: the environment alone, with its policies, and with the judge."""
    played = rollout("bargain", PAIR, num_episodes=episodes)
    steps = sum(len(episode.turns) for episode in played)
    env = parallel_env("bargain")
    policies = dict(zip(env.possible_agents, map(make_policy, PAIR), strict=True))
    # What policies read is cached, so that each repeat needs dialogues of its own.
    seeds = {"policies": itertools.count(1), "rollout": itertools.count(1_000)}

    def with_policies() -> None:
        seed = next(seeds["policies"])
        for index in range(episodes):
            observations, infos = env.reset(seed=seed if index == 0 else None)
            while env.agents:
                chosen = {a: policies[a].act_one(observations[a]) for a in env.agents if infos[a]["active"]}
                observations, _, _, _, infos = env.step(chosen)

    def judge() -> None:
        for episode in played:
            env.family.score(episode)

    def all_of_it() -> None:
        rollout("bargain", PAIR, num_episodes=episodes, seed=next(seeds["rollout"]))

    calls = (_replay(env, played), with_policies, judge, all_of_it)
    alone, policy, judging, whole = _in_turns(calls, repeats)
    note = f"{steps} steps of {episodes} episodes, resets included"
    yield Measure("scripted steps a second, environment alone", steps / alone, "/s", note=note)
    yield Measure("scripted steps a second, with policies", steps / policy, "/s")
    yield Measure("scripted steps a second, rollout with policies and judge", steps / whole, "/s")
    yield Measure("judge", judging / episodes * 1e3, "ms an episode", "<= 1", judging / episodes <= 1e-3)
    yield Measure("policies over environment", (policy - alone) / alone, "x", note="time beyond the environment's own")


def reading_cost(episodes: int, repeats: int) -> Iterator[Measure]:
    """What a step costs with an utterance that was never read, against one that was: reading is cached."""
    for family in ("bargain", "divide", "mutual-friends"):
        played = rollout(family, "scripted:mixed", num_episodes=max(1, episodes // 4))
        steps = sum(len(episode.turns) for episode in played)
        known = _replay(parallel_env(family), played)

        def unknown(replay: Callable[[], None] = known) -> None:
            _forget()
            replay()

        fresh, again = _in_turns([unknown, known], repeats)
        note = f"+{(fresh - again) / steps * 1e6:.0f} µs an utterance"
        yield Measure(f"step with an unread utterance over a read one, {family}", fresh / again, "x", note=note)


def _forget() -> None:
    """Empties what families have cached, so that the next utterance is read anew."""
    for name, module in list(sys.modules.items()):
        if name.startswith("sotopia_env.families"):
            for value in vars(module).values():
                if callable(getattr(value, "cache_clear", None)):
                    value.cache_clear()


def published_speed(episodes: int, repeats: int) -> Iterator[Measure]:
    """Steps per second of the environment alone with fixed texts, on Sotopia's published scenarios."""
    name = "steps a second with the published scenarios, environment alone"
    if not os.environ.get(DATA_VARIABLE):
        yield Measure(name, None, note=f"{DATA_VARIABLE} names no folder of Sotopia's published files")
        return
    tasks = load_tasks(os.environ[DATA_VARIABLE])
    chosen = [tasks[index * len(tasks) // episodes % len(tasks)] for index in range(episodes)]
    env = parallel_env(tasks)
    env.reset(seed=0)
    steps = 0

    def play() -> None:
        nonlocal steps
        steps = 0
        for task in chosen:
            env.reset(options={"task": task})
            while env.agents:
                env.step({env.acting[0]: TEXTS[steps % 2]})
                steps += 1

    (seconds,) = _in_turns([play], repeats)
    yield Measure(name, steps / seconds, "/s", note="resets included; make bench-peers measures Sotopia's own")


def face_cost(episodes: int, repeats: int) -> Iterator[Measure]:
    """What the other APIs of an environment cost a step."""
    played = rollout("bargain", PAIR, num_episodes=max(1, episodes // 4))
    steps = sum(len(episode.turns) for episode in played)
    aec = raw_env("bargain")

    def one_after_the_other() -> None:
        for episode in played:
            aec.reset(seed=0, options={"task": episode.task})
            for turn in episode.turns:
                aec.step({"action_type": turn.type, "argument": turn.text})

    text = _replay(parallel_env("bargain", interface="text"), played, as_text=True)
    alone, *others = _in_turns([_replay(parallel_env("bargain"), played), one_after_the_other, text], repeats)
    for name, seconds in zip(("the AEC API", "the text interface"), others, strict=True):
        note = f"+{(seconds - alone) / steps * 1e6:.1f} µs a step"
        yield Measure(f"step through {name} over bare", seconds / alone, "x", note=note)


def wrapper_cost(episodes: int, repeats: int) -> Iterator[Measure]:
    """What a reward wrapper adds to a step."""
    played = rollout("bargain", PAIR, num_episodes=max(1, episodes // 4))
    steps = sum(len(episode.turns) for episode in played)
    envs = [parallel_env("bargain", reward=reward) for reward in (None, _turn_reward(), "episode")]
    bare, turnwise, outcome = _in_turns([_replay(env, played) for env in envs], repeats)
    for name, seconds in (("a reward of every turn", turnwise), ("the episode's reward", outcome)):
        note = f"+{(seconds - bare) / steps * 1e6:.1f} µs a step, the judge's share of the last one included"
        yield Measure(f"step with {name} over bare", seconds / bare, "x", note=note)


def import_cost(repeats: int) -> Iterator[Measure]:
    """Time and memory of ``import sotopia_env``, beside the imports it cannot do without, in fresh interpreters."""
    found: dict[str, list[list[str]]] = {"gymnasium, pettingzoo": [], "sotopia_env": []}
    for _ in range(repeats):
        for modules, lines in found.items():
            code = IMPORT.format(modules=modules)
            run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            lines.append(run.stdout.split())
    (base, base_megabytes), (seconds, megabytes) = (
        [statistics.median(float(line[column]) for line in lines) for column in (0, 1)] for lines in found.values()
    )
    ratio = seconds / base
    note = f"{seconds:.2f} over {base:.2f} s, {'imports' if found['sotopia_env'][0][2] == 'True' else 'without'} torch"
    yield Measure("import time over gymnasium and pettingzoo", ratio, "x", "<= 1.5", ratio <= 1.5, note)
    note = f"gymnasium and pettingzoo: {base_megabytes:.0f} MB"
    yield Measure("import memory", megabytes, "MB", "<= 50", megabytes <= 50, note)


def _no_models() -> str:
    return f"torch and transformers are not installed: {install_command('train')}"


def model_rollouts(repeats: int, dialogues: int, model: str = "", singles: int = SINGLES) -> Iterator[Measure]:
    """Dialogues of a model side by side against one at a time, and where the time goes."""
    batched, outside = "batched rollout over one at a time", "share of rollout time outside the model"
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        for name in (batched, outside):
            yield Measure(name, None, note=_no_models())
        return
    loaded = _model(model)
    # The words of a model that is not trained are never a deal, so all its dialogues are equally long.
    options: dict[str, Any] = {"max_cycles": 12, "max_stale": 12}

    def play(number: int, batch_size: int) -> tuple[float, float]:
        from sotopia_env.agents.local_lm import LocalLM

        policy = LocalLM(loaded, max_new_tokens=16)
        with _timed(loaded.model) as inside:
            start = time.perf_counter()
            rollout("bargain", policy, num_episodes=number, batch_size=batch_size, **options)
            return time.perf_counter() - start, inside[0]

    play(2, 2)
    # A model uses all cores, so that its time is the clock's.
    rounds = [(play(singles, 1)[0], *play(dialogues, dialogues)) for _ in range(repeats)]
    one, many, within = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = (one / singles) / (many / dialogues)
    note = f"{dialogues} dialogues: {many:.1f} s; one: {one / singles:.2f} s"
    yield Measure(batched, ratio, "x", ">= 8", ratio >= 8, note)
    share = 1 - within / many
    note = "all but forward passes: text, tokens, sampling, environment"
    yield Measure(outside, share, "", "<= 0.15", share <= 0.15, note)


def stragglers(repeats: int, dialogues: int) -> Iterator[Measure]:
    """Dialogues with a policy behind a slow server, in lockstep and each at its own pace."""
    name = "dialogues in lockstep over each at its own pace, behind a server"

    class Waiting(ScriptedPolicy):
        """A policy that takes its time, now and then ten times as much."""

        def __init__(self, calls: float) -> None:
            super().__init__("firm", name="waiting")
            self.calls_at_once = calls

        def act(self, observations: Sequence[Any], contexts: Sequence[Context]) -> list[Decision]:
            # All calls of a batch are under way at once: it takes as long as its slowest.
            waits = [0.02 * (10 if context.rng.random() < 0.1 else 1) for context in contexts]
            time.sleep(max(waits))
            return super().act(observations, contexts)

    def play(calls: float) -> float:
        start = time.perf_counter()
        rollout("bargain", [Waiting(calls), "scripted:warm"], num_episodes=dialogues, batch_size=dialogues)
        return time.perf_counter() - start

    rounds = [(play(1), play(dialogues)) for _ in range(repeats)]
    lockstep, free = (statistics.median(column) for column in zip(*rounds, strict=True))
    note = f"{dialogues} dialogues: {lockstep:.1f} s and {free:.1f} s; a tenth of the answers takes ten times as long"
    yield Measure(name, lockstep / free, "x", note=note)


def reward_model_passes(repeats: int, model: str = "", dialogues: int = 4, turns: int = 20) -> Iterator[Measure]:
    """A reward model that reads a dialogue once against one that reads it anew for every turn."""
    name = f"reward model, every prefix over one pass at {turns} turns"
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        yield Measure(name, None, note=_no_models())
        return
    from sotopia_env.rewards.reward_model.heads import ValueHeads
    from sotopia_env.rewards.reward_model.normalizers import fit_normalizer
    from sotopia_env.rewards.reward_model.reward import RewardModel
    from sotopia_env.rewards.reward_model.saved import Description, save_reward_model

    played = []
    for seed in range(dialogues):
        env = parallel_env("bargain", reward=None, max_cycles=turns)
        env.reset(seed=seed)
        _steps(env, turns)
        played.append(env.episode)
    prefixes = [replace(e, turns=e.turns[: n + 1], ending=None) for e in played for n in range(turns)]
    loaded = _model(model)
    described = Description({"goal": 1.0}, "labels", {"goal": fit_normalizer("range", [], (0, 1))}, {}, loaded.name)
    with TemporaryDirectory() as folder:
        save_reward_model(folder, loaded, ValueHeads(loaded.model, ["goal"]), described)
        reward = RewardModel(folder)

    def every_prefix() -> None:
        reward.recent(prefixes, [len(prefix.turns) - 1 for prefix in prefixes])

    def one_pass() -> None:
        reward.rewards(played)

    many, one = _in_turns([every_prefix, one_pass], repeats)
    note = f"{one / dialogues * 1e3:.0f} ms a dialogue, both seats, {turns} turns; prefixes in batches too"
    yield Measure(name, many / one, "x", ">= 5", many / one >= 5, note)


def _turn_reward() -> Any:
    from sotopia_env.rewards import LengthPenalty

    return LengthPenalty(target_words=5)


def _model(name: str) -> Any:
    from sotopia_env.agents.embedded import build_embedded_model
    from sotopia_env.agents.loading import LoadedModel, load_model

    if name:
        return load_model(name)
    played = rollout("bargain", PAIR, num_episodes=100)
    corpus = [text for e in played for text in (*e.task.scenario.goals, *(turn.text for turn in e.turns))]
    return LoadedModel(*build_embedded_model(corpus, seed=0), "embedded")


@contextmanager
def _timed(model: Any) -> Iterator[list[float]]:
    """Adds up the seconds spent in forward passes."""
    forward, inside = model.forward, [0.0]

    def timed(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return forward(*arguments, **options)
        finally:
            inside[0] += time.perf_counter() - start

    model.forward = timed
    try:
        yield inside
    finally:
        model.forward = forward


def _replay(env: Any, episodes: Sequence[Episode], *, as_text: bool = False) -> Callable[[], None]:
    """Plays the actions of some episodes again, as elements of the dict interface or as what a model writes."""

    def action(turn: Turn) -> Any:
        text = output_text(Action(turn.type, turn.text))
        return text if as_text else {"action_type": turn.type, "argument": turn.text}

    actions = [[{turn.agent: action(turn)} for turn in episode.turns] for episode in episodes]

    def replay() -> None:
        for episode, course in zip(episodes, actions, strict=True):
            env.reset(seed=0, options={"task": episode.task})
            for action in course:
                env.step(action)

    return replay


def _steps(env: Any, number: int) -> list[float]:
    """Seconds of each step of one episode."""
    seconds = []
    for index in range(number):
        actions = {env.unwrapped.acting[0]: TEXTS[index % 2]}
        start = time.perf_counter()
        env.step(actions)
        seconds.append(time.perf_counter() - start)
    return seconds


def _in_turns(calls: Sequence[Callable[[], None]], repeats: int) -> list[float]:
    """The median seconds of each call, all of them called in turns.

    Seconds of this process: each call keeps one core busy, and what else runs on a shared machine is not its cost.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, found in zip(calls, seconds, strict=True):
            start = time.process_time()
            call()
            found.append(time.process_time() - start)
    return [statistics.median(found) for found in seconds]


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of a table.")] = False,
    episodes: Annotated[int, typer.Option(help="Scripted episodes to play.")] = EPISODES,
    dialogues: Annotated[int, typer.Option(help="Dialogues a model plays side by side.")] = DIALOGUES,
    repeats: Annotated[int, typer.Option(help="How often what is compared is measured.")] = 5,
    model: Annotated[str, typer.Option(help="Directory or hub id; by default the embedded model, not trained.")] = "",
) -> None:
    """Measure, and print each figure with its target."""
    show_measures(measure_all(episodes, dialogues, repeats, model), as_json, "sotopia-env")


def show_measures(measures: Iterable[Measure], as_json: bool, title: str) -> None:
    """Print measures as they are made, and all of them in the end.

    Args:
        measures: what is measured.
        as_json: print JSON on stdout instead of a table.
        title: of the table.
    """
    found = []
    console = Console(stderr=True)
    for measure in measures:
        found.append(measure)
        if not as_json:
            console.print(f"[dim]{measure.name}[/dim]")
    if as_json:
        cores = os.cpu_count()
        print(json.dumps({"cores": cores, "python": sys.version.split()[0], "measures": [asdict(m) for m in found]}))
        return
    verdicts = {True: Cell("met"), False: Cell("not met", kind="missed"), None: Cell("")}
    rows = [
        [one.name, Cell(one.value, ",.4g", note=one.unit), one.target, verdicts[one.met], one.note] for one in found
    ]
    show(Table(["measure", "value", "target", "", "note"], rows, f"{title} on {os.cpu_count()} cores"))


if __name__ == "__main__":
    typer.run(main)

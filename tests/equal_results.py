"""Do two versions of the package give the same results? A script, not a test: it compares code that is apart.

``record`` plays, pays, judges, renders and trains with whichever package is importable and writes digests and figures;
``compare`` prints what differs between two such files, part by part, and exits 1 where something does::

    PYTHONPATH=OLD python tests/equal_results.py record old.json
    PYTHONPATH=NEW python tests/equal_results.py record new.json
    python tests/equal_results.py compare old.json new.json

It knows public names alone: what ``sotopia_env`` and its ``agents``, ``rewards`` and ``training`` export, and the
command line. Numbers are rounded to 1e-9 before they are digested, large ones to ten digits; weights of models are
not. An item that raises is recorded as its error. An item of many values holds a short digest of each, so that
``compare`` names those that differ; ``record --keep FOLDER`` writes the values themselves, one a line, for ``diff``.

Sotopia's own tasks are played where ``SOTOPIA_ENV_DATA`` is set. Equal results want equal machines and libraries.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
import os
import pkgutil
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

# Sums of floats depend on how many threads share them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env import training
from sotopia_env.agents import PRESETS

SHORT = 6
"""Hexadecimal digits of the digest of one value of many."""

DIMENSIONS = ("goal", "relationship", "knowledge", "secret", "social_rules", "believability")
ALL_DIMENSIONS = ("financial_and_material_benefits", *DIMENSIONS)
ORDERS = ("round-robin", "simultaneous", "random")
DATA = os.environ.get("SOTOPIA_ENV_DATA")

_TIMES = re.compile(r"second|runtime|_per_|time$|^cost$|^command$|^version$")
"""Keys of reports that tell of the clock or of the caller."""

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


# What is written down


def plain(value: Any) -> Any:
    """Any value as JSON-able data whose floats are rounded to 1e-9."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        if not math.isfinite(number):
            return repr(number)
        # 0.0 and -0.0 are the same.
        return float(f"{number:.10g}") if abs(number) > 1 else round(number, 9) + 0.0
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(one) for one in value]
    return repr(value)


def as_line(value: Any) -> str:
    """A value as one line of JSON."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False)


def digest(text: str | bytes, digits: int = 16) -> str:
    """The first digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass") if isinstance(text, str) else text).hexdigest()[:digits]


class Recorder:
    """Takes the items of one part: each is a name, a function and its arguments.

    Args:
        folder: for temporary files; its name is cut out of errors.
        keep: writes the values of items of many, one file each.
    """

    def __init__(self, folder: Path, keep: Path | None) -> None:
        self.folder, self.keep = folder, keep
        self.items: dict[str, Any] = {}

    def made(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What other items are about; ``None``, and an error in its place, where there is none."""
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001
            # Whatever is raised is the result of the item, and the others go on.
            text = _ADDRESS.sub("ADDRESS", str(error).replace(str(self.folder), "FOLDER").replace(DATA or "\0", "DATA"))
            self.items[name] = {"error": f"{type(error).__name__}: {text}"[:2000]}
            return None

    def value(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """An item whose value is written as it is."""
        self.made(name, lambda: self.items.update({name: plain(function(*arguments))}))

    def many(self, name: str, function: Callable[..., Iterable[Any]], *arguments: Any, figures: Any = None) -> None:
        """An item of many values, each with a digest, and figures of all of them."""
        self.made(name, lambda: self.items.update({name: self._many(name, function(*arguments), figures)}))

    def leaves(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """One item for each group of numbers and texts within nested data, without what tells of the clock."""
        self.made(name, lambda: self.items.update(_leaves(plain(function(*arguments)), name)))

    def _many(self, name: str, given: Iterable[Any], figures: Any) -> dict[str, Any]:
        values = list(given)
        lines = [as_line(value) for value in values]
        if self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            path = self.keep / f"{re.sub(r'[^A-Za-z0-9.+-]+', '_', name)}.jsonl"
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogatepass")
        each = "".join(digest(line, SHORT) for line in lines)
        shown = {} if figures is None else plain(figures(values))
        return {"number": len(lines), "digest": digest("\n".join(lines)), **shown, "each": each}


def _leaves(data: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if not _TIMES.search(key)}
    if isinstance(data, dict) and any(isinstance(value, dict | list) for value in data.values()):
        for key, value in data.items():
            yield from _leaves(value, f"{path} / {key}")
    elif isinstance(data, list) and any(isinstance(value, dict) for value in data):
        for index, value in enumerate(data):
            named = value.get("name", value.get("attack", index)) if isinstance(value, dict) else index
            yield from _leaves(value, f"{path} / {named}")
    else:
        yield path, data


def command_line(folder: Path, *arguments: str) -> str:
    """What a command prints on stdout.

    Raises:
        RuntimeError: it ends with another exit code than 0; the message holds the last words of its stderr.
    """
    package = Path(sotopia_env.__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "sotopia_env.cli", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {' '.join(done.stderr.split())[-600:]}")
    return done.stdout


def as_json(folder: Path, *arguments: str) -> Any:
    """What a command prints as JSON."""
    return json.loads(command_line(folder, *arguments))


def weights(folder: Path) -> dict[str, dict[str, str]]:
    """For each file of weights and each tensor in it, a digest of its exact bytes; checkpoints aside."""
    from safetensors.numpy import load_file

    found: dict[str, dict[str, str]] = {}
    for path in sorted(folder.rglob("*.safetensors")):
        if "checkpoint" not in str(path.relative_to(folder)):
            tensors = sorted(load_file(path).items())
            found[path.relative_to(folder).as_posix()] = {
                name: digest(f"{array.dtype} {array.shape} ".encode() + array.tobytes()) for name, array in tensors
            }
    if not found:
        raise FileNotFoundError(f"no safetensors in {folder.name}")
    return found


def metrics(folder: Path) -> list[dict[str, Any]]:
    """What a trainer logged, without times."""
    return [
        {key: value for key, value in line.items() if not _TIMES.search(key)}
        for line in training.read_metrics(folder / "metrics.jsonl")
    ]


# What is played


class Whispering:
    """A policy that says some of its turns to one seat alone, or to nobody."""

    def __init__(self, policy: Any) -> None:
        self.policy = sotopia_env.make_policy(policy)
        self.name = f"whispering-{self.policy.name}".replace(":", "-")

    def act(self, observations: Sequence[Any], contexts: Sequence[Any]) -> list[Any]:
        """Decide as the policy does, then choose who hears it."""
        decisions = self.policy.act(observations, contexts)
        return [self._aside(*one) for one in zip(decisions, observations, contexts, strict=True)]

    def _aside(self, decision: Any, observation: Any, context: Any) -> Any:
        drawn, own = context.rng.random(), int(context.agent.rpartition("_")[2])
        others = [int(seat) for seat in np.flatnonzero(observation["recipients"]) if seat != own]
        if decision.action.type in ("none", "leave") or drawn > 0.45:
            return decision
        to = (own,) if drawn < 0.1 or not others else (others[int(context.rng.integers(len(others)))],)
        return replace(decision, action=replace(decision.action, to=to))


class SayTheNumber:
    """A family of one's own: whoever says the number has reached the goal."""

    name = "say-the-number"

    def generate(self, rng: np.random.Generator) -> sotopia_env.Task:
        """Draw a number."""
        number = str(rng.integers(10, 100))
        scenario = sotopia_env.Scenario(f"number-{number}", f"The number is {number}.", ("Say it.",) * 2)
        people = (sotopia_env.Character("a", "Ada"), sotopia_env.Character("b", "Ben"))
        return sotopia_env.Task(scenario.id, self.name, "1", "test", scenario, people, max_cycles=6)

    def score(self, episode: sotopia_env.Episode) -> dict[str, list[float | None]]:
        """Give 10 to each who said it."""
        number = episode.task.scenario.id.removeprefix("number-")
        return {"goal": [10.0 * any(number in t.text for t in episode.own_turns(a)) for a in episode.agents]}


def parrot(observation: Mapping[str, Any], rng: np.random.Generator) -> str:
    """Repeat the situation, or say nothing of use."""
    return str(observation["situation"]) if rng.random() < 0.4 else "I do not know."


def table_of(seats: int) -> list[sotopia_env.Task]:
    """Open-ended tasks for so many, one of each relationship."""
    names = ("Ada", "Ben", "Cem", "Dora", "Eli")[:seats]
    people = tuple(
        sotopia_env.Character(f"{name}-{seats}", name, "Quist", 30 + i, "gardener", secret=f"{name} has sold the boat.")
        for i, name in enumerate(names)
    )
    goals = tuple(f"Let the others choose plan {i} for the garden." for i in range(seats))
    return [
        sotopia_env.Task(
            f"garden-{seats}-{relationship}",
            "sotopia",
            "1",
            "test",
            sotopia_env.Scenario(f"garden-{seats}", f"{' and '.join(names)} plan a garden.", goals, relationship),
            people,
            max_cycles=12,
        )
        for relationship in ("stranger", "acquaintance", "friend")
    ]


def tasks_of(source: Any, number: int) -> list[sotopia_env.Task]:
    """Different tasks of a family, as a rollout draws them."""
    drawn = sotopia_env.rollout(source, "random", num_episodes=number, seed=9, max_cycles=1)
    return list({episode.task.id: episode.task for episode in drawn}.values())


FAMILIES: dict[str, Callable[[], Any]] = {
    "bargain": lambda: "bargain",
    "bargain:test": lambda: "bargain:test",
    "bargain, coupling 0": lambda: sotopia_env.Bargain(0.0),
    "bargain, coupling 0.5": lambda: sotopia_env.Bargain(0.5),
    "bargain, coupling -0.5": lambda: sotopia_env.Bargain(-0.5),
    "bargain, training bank": lambda: sotopia_env.Bargain(judge_bank="training"),
    "divide": lambda: "divide",
    "divide:test": lambda: "divide:test",
    "mutual-friends": lambda: "mutual-friends",
    "mutual-friends:test": lambda: "mutual-friends:test",
    "mini": lambda: "mini",
    "own family": lambda: SayTheNumber(),
    "mixed families": lambda: [t for name in (*JUDGED, "mini") for t in tasks_of(f"{name}:test", 4)],
    "table of 3": lambda: table_of(3),
    "table of 4": lambda: table_of(4),
    "table of 5": lambda: table_of(5),
}
if DATA:
    SUBSETS = ("hard", "all", "checkable", "craigslist", "deal-or-no-deal", "mutual-friends")
    FAMILIES |= {f"sotopia:{subset}": (lambda subset=subset: f"sotopia:{subset}") for subset in SUBSETS}
JUDGED = ("bargain", "divide", "mutual-friends")
"""Families with an exact judge and endless tasks."""


def talkative(episode: sotopia_env.Episode, agent: str) -> dict[str, float]:
    """A judge of one's own: who says more has the goal."""
    return {"goal": min(10.0, 0.1 * sum(len(turn.text.split()) for turn in episode.own_turns(agent)))}


PLAYS: dict[str, tuple[str, bool, tuple[str, ...]]] = {
    "round-robin": ("round-robin", False, ("scripted:mixed",)),
    "round-robin, warm and hostile": ("round-robin", False, ("scripted:warm", "scripted:hostile")),
    "round-robin, erratic": ("round-robin", False, ("erratic", "scripted:mixed")),
    "round-robin, random": ("round-robin", False, ("random",)),
    "round-robin, private": ("round-robin", True, ("scripted:mixed",)),
    "simultaneous": ("simultaneous", False, ("scripted:mixed",)),
    "simultaneous, erratic": ("simultaneous", False, ("scripted:changing", "erratic")),
    "simultaneous, private": ("simultaneous", True, ("scripted:mixed",)),
    "random order": ("random", False, ("scripted:mixed",)),
    "random order, erratic": ("random", False, ("erratic", "scripted:changing")),
    "random order, private": ("random", True, ("scripted:mixed", "erratic")),
}
"""Order, whether messages may be private, and policies, which are repeated where there are more seats."""

PLAIN = ("round-robin", "round-robin, private", "simultaneous", "simultaneous, private", "random order")
"""The ways that what is slow is shown in."""


def play(family: str, name: str, number: int, **options: Any) -> list[sotopia_env.Episode]:
    """Episodes of a family played in one of the ways."""
    order, private, policies = PLAYS[name]
    tasks = FAMILIES[family]()
    seats = tasks[0].num_seats if isinstance(tasks, list) else 2
    given: list[Any] = [policies[seat % len(policies)] for seat in range(seats)]
    if family == "own family":
        given[0] = parrot
    if private:
        given = [Whispering(policy) for policy in given]
        options["private_messages"] = True
    seed = int(digest(f"{family} / {name}", 8), 16)
    return sotopia_env.rollout(tasks, given, num_episodes=number, seed=seed, action_order=order, **options)


_played: dict[tuple[str, str], list[sotopia_env.Episode]] = {}


def played(family: str, name: str, count: int) -> list[sotopia_env.Episode]:
    """The first episodes of a family in one way: they are the same however many are played. Played once."""
    key = (family, name)
    if len(_played.get(key, ())) < count:
        _played[key] = play(family, name, count)
    return _played[key][:count]


def turns_of(episode: sotopia_env.Episode) -> list[Any]:
    """What was done, and how it ended."""
    turns = [
        [t.seat, t.own_index, t.global_index, t.type, t.text, t.raw, t.invalid, t.recipients] for t in episode.turns
    ]
    ending = episode.ending
    return [turns, None if ending is None else [ending.reason, ending.truncated, ending.seat, ending.detail]]


def scores_of(episode: sotopia_env.Episode) -> list[Any]:
    """What every judge said of an episode, without reasons."""
    return [[judgement.judge, judgement.version, judgement.scores] for judgement in episode.judgements]


def figures_of(paid: Sequence[Mapping[str, Sequence[float | None]]]) -> dict[str, Any]:
    """Mean, greatest size and number of unknown ones of all rewards of turns."""
    numbers = [number for by_agent in paid for row in by_agent.values() for number in row]
    known = [float(number) for number in numbers if number is not None and not math.isnan(number)]
    return {
        "mean": float(np.mean(known)) if known else None,
        "largest": max(map(abs, known), default=None),
        "zeros": sum(number == 0 for number in known),
        "unknown": len(numbers) - len(known),
    }


# The parts


def episodes(record: Recorder, number: int) -> None:
    """Every family in every way: turns and endings, scores, reasons, and what stands around them."""
    for family in FAMILIES:
        for name in PLAYS:
            where = f"{family} / {name}"
            found = record.made(where, played, family, name, math.ceil(number / len(PLAYS))) or ()
            record.many(f"{where} / turns", map, turns_of, found, figures=_lengths)
            record.many(f"{where} / scores", map, scores_of, found)
            record.value(f"{where} / mean scores", _mean_scores, found)
            record.many(f"{where} / evidence", map, _evidence, found)
            record.many(f"{where} / heads", map, _head, found)
            record.many(f"{where} / tasks", map, sotopia_env.Task.to_dict, [episode.task for episode in found])
    for family in (*JUDGED, "mini"):
        for preset in PRESETS:
            record.many(f"{family} / {preset} against mixed", _preset, family, preset, max(1, number // 50))


def _lengths(found: Sequence[Any]) -> dict[str, Any]:
    return {"turns": sum(len(turns) for turns, _ in found)}


def _evidence(episode: sotopia_env.Episode) -> list[Any]:
    return [[judgement.evidence, judgement.latent] for judgement in episode.judgements]


def _head(episode: sotopia_env.Episode) -> list[Any]:
    return [episode.key, episode.seed, episode.policies, episode.config]


def _preset(family: str, preset: str, count: int) -> list[Any]:
    seated = [f"scripted:{preset}", "scripted:mixed"]
    return [[turns_of(e), scores_of(e)] for e in sotopia_env.rollout(family, seated, num_episodes=count, seed=5)]


def _mean_scores(found: Sequence[sotopia_env.Episode]) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for dimension in DIMENSIONS:
        values = [
            value for e in found for j in e.judgements for value in j.scores.get(dimension, ()) if value is not None
        ]
        means[dimension] = float(np.mean(values)) if values else None
    return means


def _several() -> dict[str, Callable[[], Any]]:
    """Rewards by what they are called here: every name, and what names do not say."""
    dimensions = {"goal": 2.0, "relationship": 1.0, "knowledge": 1.0}
    made: dict[str, Callable[[], Any]] = {
        name: (lambda name=name: R.get_reward(name)) for name in R.reward_names() if ":" not in name
    }
    for name in R.DESIGNS:
        made[f"{name}, three dimensions"] = lambda name=name: R.Outcome(name, dimensions)
    for name in R.ATTRIBUTION_DESIGNS:
        made[f"{name}, three dimensions"] = lambda name=name: R.Attribution(name, dimensions=dimensions)
        made[f"{name}, paper"] = lambda name=name: R.Attribution(name, paper=True)
    return made | {
        "episode, strict judge": lambda: R.Outcome(judge="strict"),
        "episode, native": lambda: R.Outcome(dimensions={"goal": 1.0, "relationship": 1.0}, scale="native"),
        "uniform, judge of one's own": lambda: R.Outcome("uniform", judge=talkative),
        "judge of one's own, every second": lambda: R.JudgeScores(talkative, every=2),
        "direct, baseline 0.3": lambda: R.Attribution("direct-centred", baseline=0.3),
        "direct, dial 0.6": lambda: R.Attribution("direct", R.Dial("rule", reliability=0.6)),
        "progress, gamma 0.9": lambda: R.Progress(gamma=0.9),
        "progress, three dimensions": lambda: R.Progress(dimensions=dimensions),
        "judge, relationship": lambda: R.JudgeScores("rule", dimensions={"relationship": 1.0, "knowledge": 1.0}),
        "judge, every second": lambda: R.JudgeScores("rule", every=2, dimensions={"relationship": 1.0}),
        "length, 6 words": lambda: R.LengthPenalty(target_words=6, weight=0.3),
        "repetition, 2 words": lambda: R.RepetitionPenalty(ngram=2, weight=0.3),
        "repetition, whole": lambda: R.RepetitionPenalty(ngram=None),
        "sum": lambda: R.get_reward("episode + 0.5 * length + secret"),
        "sum of flags": lambda: R.get_reward("direct + 0.25 * uniform + progress"),
        "clipped": lambda: R.ClipReward(R.get_reward("episode + 3 * length"), -0.1, 0.4),
        "scaled by -2": lambda: R.ScaleReward(R.get_reward("discounted"), -2.0),
        "added": lambda: R.AddReward(R.get_reward("progress"), "repetition", weight=0.5),
    }


def rewards(record: Recorder, number: int) -> None:
    """Every reward that needs no server, paid for stored episodes of every family and order."""
    several = _several()
    record.value("names", R.reward_names)
    for family in FAMILIES:
        for order in ORDERS:
            found = record.made(f"{family} / {order}", _some, family, order, number) or ()
            for name, make in several.items():
                # These judge every state of an episode.
                some = found[::5] if name.startswith(("progress", "judge", "sum of flags", "added")) else found
                record.many(f"{family} / {order} / {name}", _paid, some, make, figures=figures_of)
                if family == "own family":
                    where = f"{family}, handed over / {order} / {name}"
                    record.many(where, _paid, some, make, SayTheNumber(), figures=figures_of)
    for name, make in several.items():
        record.value(f"flags / {name}", _flags, make)
    for family in JUDGED:
        for order in ("round-robin", "simultaneous"):
            found = record.made(f"{family} / {order}", played, family, order, 2) or ()
            for name in ("monte-carlo:scripted:mixed", "shapley:scripted:mixed"):
                record.many(f"{family} / {order} / {name}", _paid, found, name, figures=figures_of)
    for family in (*JUDGED, "mini"):
        found = record.made(f"{family} / baselines", played, family, "round-robin", max(1, number // 50)) or ()
        for dimensions in (("goal",), DIMENSIONS):
            record.value(f"{family} / mean scores of {len(dimensions)}", R.mean_scores, found, dimensions)


def _some(family: str, order: str, number: int) -> list[sotopia_env.Episode]:
    """Some of the episodes of every way in one order."""
    ways = [name for name, (of, _, _) in PLAYS.items() if of == order]
    return [episode for name in ways for episode in played(family, name, max(1, number // 50))]


def _paid(found: Sequence[sotopia_env.Episode], given: Any, family: Any = None) -> list[Any]:
    """What a reward, a name or a function that makes one pays for the turns of every episode."""
    reward = R.get_reward(given() if callable(given) else given)
    if family is not None:
        reward = reward.for_family(as_family(family))
    return [episode.rewards[reward.name] for episode in R.relabel(found, reward)]


def _flags(make: Callable[[], Any]) -> list[Any]:
    reward = make()
    return [reward.name, [[weight, part.name, part.kind, part.timing, part.needs] for weight, part in reward.parts()]]


def as_family(given: Any) -> Any:
    """The family that an environment makes of an object of one's own."""
    return sotopia_env.parallel_env(given).unwrapped.family


def in_play(record: Recorder, number: int) -> None:
    """What ``step`` pays while episodes are played: by rollouts, wrappers, and the views of one and of one by one."""
    names = ("episode", "uniform", "direct", "progress", "broadcast", "episode + 0.1 * length + secret")
    count = max(2, number // 100)
    for family in ("bargain", "divide", "mutual-friends", "mini", "own family", "table of 3"):
        for name in ("round-robin", "simultaneous", "random order"):
            for reward in names:
                record.many(f"rollout / {family} / {name} / {reward}", _rolled_out, family, name, count, reward)
            own = R.JudgeScores(talkative) + R.get_reward("0.1 * length")
            record.many(f"rollout / {family} / {name} / judge of one's own", _rolled_out, family, name, count, own)
    wrapped: dict[str, Callable[[Any], Any]] = {
        "episode": R.EpisodeReward,
        "episode, two dimensions": lambda env: R.EpisodeReward(env, dimensions={"goal": 1, "relationship": 1}),
        "attribution": lambda env: R.AttributionReward(env, "scaled"),
        "progress": R.ProgressReward,
        "judge": lambda env: R.JudgeReward(env, "rule", dimensions={"relationship": 1}),
        "penalties": lambda env: R.SecretPenalty(R.FormatPenalty(R.LengthPenalty(R.EpisodeReward(env)))),
        "clipped": lambda env: R.ClipReward(R.RepetitionPenalty(R.EpisodeReward(env), weight=0.5), -0.2, 0.5),
        "normalised": lambda env: R.NormalizeReward(R.RewardWrapper(env, "progress")),
    }
    for family in (*JUDGED, "own family"):
        for order in ORDERS:
            for name, wrap in wrapped.items():
                record.many(f"wrapper / {family} / {order} / {name}", _stepped, family, order, wrap, count)
            for interface in ("dict", "text", "menu"):
                record.many(f"single agent / {family} / {order} / {interface}", _single, family, order, interface)
            record.many(f"one by one / {family} / {order}", _one_by_one, family, order)
            record.many(f"branches / {family} / {order}", _branches, family, order)
    record.many("gymnasium / sotopia/Bargain-v0", _made_by_gymnasium)


def _rolled_out(family: str, name: str, count: int, reward: Any) -> list[Any]:
    return [[episode.rewards, scores_of(episode)] for episode in play(family, name, count, reward=reward)]


def _decisions(env: Any, observations: Any, policies: Mapping[str, Any], key: int, infos: Any) -> dict[str, Any]:
    """What policies do in a cycle, each with a generator of its own."""
    chosen = {}
    for agent in env.agents:
        if infos[agent]["active"]:
            turn = infos[agent]["turn"]
            rng = np.random.default_rng((key, int(agent[-1]), turn))
            context = sotopia_env.Context(f"{key}", agent, turn, rng)
            chosen[agent] = policies[agent].act([observations[agent]], [context])[0]
    return chosen


def _cycles(env: Any, policies: Mapping[str, Any], seed: int) -> Iterator[tuple[Any, ...]]:
    """Play an environment of the dict interface to its end, and give what each cycle returned."""
    observations, infos = env.reset(seed=seed)
    yield observations, {}, {}, {}, infos
    yield from _on(env, policies, seed, observations, infos)


def _on(env: Any, policies: Mapping[str, Any], seed: int, observations: Any, infos: Any) -> Iterator[tuple[Any, ...]]:
    while env.agents:
        result = env.step(_decisions(env, observations, policies, seed, infos))
        observations, infos = result[0], result[4]
        yield result


def _policies(env: Any) -> dict[str, Any]:
    made = {agent: sotopia_env.make_policy("scripted:changing") for agent in env.possible_agents}
    return made | {"agent_1": sotopia_env.make_policy("scripted:mixed")}


def _informed(infos: Any) -> Any:
    kept = ("active", "invalid_action", "turn", "task", "ending", "transcript_cut", "utterance_rewards", "reward_parts")
    return {a: {k: info[k] for k in (*kept, "scores", "reward_scale") if k in info} for a, info in infos.items()}


def _stepped(family: str, order: str, wrap: Callable[[Any], Any], count: int) -> list[Any]:
    env = wrap(sotopia_env.parallel_env(FAMILIES[family](), reward=None, action_order=order))
    return [
        [
            [rewards, ended, cut, _informed(infos)]
            for _, rewards, ended, cut, infos in _cycles(env, _policies(env), seed)
        ]
        for seed in range(count)
    ]


def _single(family: str, order: str, interface: str, count: int = 6) -> list[Any]:
    values = []
    for agent in ("agent_0", "agent_1"):
        env = sotopia_env.SotopiaEnv(
            FAMILIES[family](),
            agent=agent,
            partner=parrot if family == "own family" else "scripted:mixed",
            reward="episode + 0.1 * length",
            interface=interface,
            action_order=order,
        )
        values += [_single_episode(env, interface, seed) for seed in range(count)]
    return values


_LINES = ("Hello, shall we talk?", "I could do $120.", "[action] accept", "[non-verbal communication] nods", "Deal.")


def _single_episode(env: Any, interface: str, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed)
    shown, over = [[observation, _informed({"": info})]], False
    while not over:
        if interface == "menu":
            action: Any = int(rng.choice(np.flatnonzero(info["action_mask"])))
        elif interface == "text":
            action = _LINES[int(rng.integers(len(_LINES)))]
        else:
            action = sotopia_env.speak(_LINES[int(rng.integers(2))])
        observation, reward, terminated, truncated, info = env.step(action)
        shown.append([observation, reward, terminated, truncated, _informed({"": info})])
        over = terminated or truncated
    return [*shown, turns_of(env.episode)]


def _made_by_gymnasium() -> list[Any]:
    import gymnasium

    env = gymnasium.make(
        "sotopia_env:sotopia/Bargain-v0", agent="agent_0", partner="scripted:firm", reward="episode", interface="text"
    )
    return [_single_episode(env.unwrapped, "text", seed) for seed in range(6)]


def _one_by_one(family: str, order: str, count: int = 6) -> list[Any]:
    values = []
    env = sotopia_env.env(FAMILIES[family](), reward="episode + 0.1 * length", action_order=order)
    policies = _policies(env)
    for seed in range(count):
        env.reset(seed=seed)
        seen: list[Any] = []
        for turn, agent in enumerate(env.agent_iter()):
            observation, reward, terminated, truncated, info = env.last()
            seen.append([agent, observation, reward, terminated, truncated, _informed({"": info})])
            if terminated or truncated:
                env.step(None)
                continue
            context = sotopia_env.Context(f"{seed}", agent, info["turn"], np.random.default_rng((seed, turn)))
            env.step(policies[agent].act([observation], [context])[0].action)
        values.append(seen)
    return values


def _branches(family: str, order: str, count: int = 6) -> list[Any]:
    """From the middle of a dialogue: forks, and another environment that is given the snapshot."""
    options: dict[str, Any] = {"reward": "episode + 0.1 * length", "action_order": order}
    env, other = (sotopia_env.parallel_env(FAMILIES[family](), **options) for _ in range(2))
    values = []
    for seed in range(count):
        other.reset(seed=seed + 100)
        *_, (observations, _, _, _, infos) = islice(_cycles(env, _policies(env), seed), 4)
        snapshot = json.loads(json.dumps(env.snapshot()))
        other.restore(snapshot)
        ends = []
        for twin, key in (*((t, i) for i, t in enumerate(env.fork(2))), (other, 0)) if env.agents else ():
            results = list(_on(twin, _policies(twin), 1000 * seed + key, observations, infos))
            ends.append([[result[1] for result in results], turns_of(twin.episode), twin.episode.rewards])
        values.append([ends, turns_of(env.episode)])
    return values


def attribution(record: Recorder, number: int) -> None:
    """The importances that the rule gives to turns, for each family, order and dimension."""
    spread = R.Dial("rule", reliability=0.5)
    for family in FAMILIES:
        for name in PLAYS:
            where = f"{family} / {name}"
            found = record.made(where, played, family, name, max(1, number // 50)) or ()
            graded = record.made(where, R.RuleAttributor().importances, found, ALL_DIMENSIONS) or ()
            for dimension in ALL_DIMENSIONS:
                record.many(f"{where} / {dimension}", _of_dimension, graded, dimension, figures=_histogram)
            record.many(f"{where} / dial", spread.importances, found[:10], ("goal",))
    for credit in ([0.5, -0.2, 0.0, 0.1], [0.0, 0.0], [None, 1.0, 0.3]):
        record.value(f"importances of {credit}", R.importances_of_credit, credit, 3.0)


def _of_dimension(graded: Sequence[Any], dimension: str) -> list[Any]:
    return [{agent: by_dimension[dimension] for agent, by_dimension in one.items()} for one in graded]


def _histogram(graded: Sequence[Mapping[str, Sequence[float | None]]]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for by_agent in graded:
        for value in (value for row in by_agent.values() for value in row):
            counts[str(value)] = counts.get(str(value), 0) + 1
    return {"counts": dict(sorted(counts.items()))}


def chats(record: Recorder, number: int) -> None:
    """What a seat reads: prompts, token ids, training rows, views, and files of pairs, in the three orders."""
    from transformers import AutoTokenizer

    count, model = max(2, number // 200), record.folder / "clone"
    record.value("a model", _clone, record.folder, model, 1)
    tokenizer = record.made("a tokenizer", AutoTokenizer.from_pretrained, model)
    for family in FAMILIES:
        for name, (order, private, _) in PLAYS.items():
            where = f"{family} / {name}"
            found = record.made(where, played, family, name, count) or ()
            record.many(f"{where} / rows", _rows, found, tokenizer)
            record.many(f"{where} / rows of own words", _rows, found, None)
            record.many(f"{where} / views", _views, found)
            if name not in PLAIN:
                continue
            record.many(f"{where} / prompts", _prompts, family, order, private, count)
            if family in JUDGED:
                record.many(f"{where} / token ids", _token_ids, family, order, private, tokenizer)
                record.many(f"{where} / traces", _traces, family, order, private, model)
            if family == "bargain":
                for form, style in (("sft", "native"), ("sft", "sotopia"), ("reward", "sotopia")):
                    labelled = record.made(where, R.relabel, found, "discounted")
                    into = f"{where} / converted to {form}, {style}"
                    record.many(into, _converted, record.folder, labelled, form, style)


def _clone(folder: Path, out: Path, steps: int, seed: int = 0) -> int:
    """Clone scripted bargaining with the embedded model for some steps."""
    path = folder / f"experts-{seed}.jsonl"
    sotopia_env.save_episodes(sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=80, seed=seed), path)
    options = ("--max_steps", str(steps), "--per_device_train_batch_size", "8", "--learning_rate", "3e-3", "--muon")
    command_line(folder, "train", "bc", str(path), "--out", str(out), "--seed", str(seed), *options)
    return len(list(out.glob("*.safetensors")))


def _rows(found: Sequence[sotopia_env.Episode], tokenizer: Any) -> Iterator[Any]:
    for agent in found[0].agents:
        batch = training.collate(found, agent, tokenizer)
        for row, mask in enumerate(batch.attention_mask):
            ids = batch.input_ids[row][mask.bool()].tolist()
            text = None if tokenizer is None else tokenizer.decode(ids)
            own = [tensor[row][mask.bool()] for tensor in (batch.own_mask, batch.utterance_index)]
            yield [agent, text, ids, *own, batch.alive_BT[row].sum()]


def _views(found: Sequence[sotopia_env.Episode]) -> Iterator[Any]:
    for episode in found:
        for agent in episode.agents:
            views = [sotopia_env.view(episode, agent, turn.global_index) for turn in episode.own_turns(agent)]
            views.append(sotopia_env.view(episode, agent))
            yield [[sotopia_env.render(one, style) for one in views] for style in ("native", "sotopia")]


def _prompts(family: str, order: str, private: bool, count: int) -> Iterator[Any]:
    """The prompts of the text interface, beside an environment of texts by name in which policies act."""
    options: dict[str, Any] = {"action_order": order, "private_messages": private}
    env, text = (sotopia_env.parallel_env(FAMILIES[family](), interface=i, **options) for i in ("dict", "text"))
    policies = {agent: sotopia_env.make_policy("scripted:mixed") for agent in env.possible_agents}
    if private:
        policies = {agent: Whispering("scripted:mixed") for agent in policies}
    for seed in range(count):
        observations, infos = env.reset(seed=seed)
        prompts = [{agent: seen["prompt"] for agent, seen in text.reset(seed=seed)[0].items()}]
        while env.agents:
            chosen = _decisions(env, observations, policies, seed, infos)
            observations, _, _, _, infos = env.step(chosen)
            prompts.append({agent: seen["prompt"] for agent, seen in text.step(chosen)[0].items()})
        yield prompts


def _token_ids(family: str, order: str, private: bool, tokenizer: Any, count: int = 3) -> Iterator[Any]:
    """What a learner of tokens reads; the wrapper is found by its documented name, wherever it is kept."""
    names = [info.name for info in pkgutil.walk_packages(sotopia_env.__path__, "sotopia_env.", onerror=lambda _: None)]
    (home,) = [name for name in names if name.rpartition(".")[2] == "token_ids"]
    wrapper = importlib.import_module(home).TokenIds
    options: dict[str, Any] = {"action_order": order, "private_messages": private}
    env, coded = (sotopia_env.parallel_env(FAMILIES[family](), **options) for _ in range(2))
    coded = wrapper(coded, tokenizer, max_length=1024, max_new_tokens=48)
    policies = {agent: sotopia_env.make_policy("scripted:mixed") for agent in env.possible_agents}
    for seed in range(count):
        observations, infos = env.reset(seed=seed)
        read = [list(coded.reset(seed=seed)[0].items())]
        while env.agents:
            chosen = _decisions(env, observations, policies, seed, infos)
            observations, _, _, _, infos = env.step(chosen)
            read.append(list(coded.step(chosen)[0].items()))
        yield read


def _traces(family: str, order: str, private: bool, model: Path) -> list[Any]:
    """What a language model read and wrote, token by token."""
    policy = sotopia_env.make_policy(f"local:{model}", max_new_tokens=12)
    kept: dict[Any, Any] = {}
    options: dict[str, Any] = {"action_order": order, "private_messages": private, "max_cycles": 6}
    other = Whispering("scripted:mixed") if private else "scripted:mixed"
    sotopia_env.rollout(family, [policy, other], num_episodes=3, seed=3, traces=kept, **options)
    return [[key, [[trace.prompt_ids, trace.ids, trace.truncated] for trace in kept[key]]] for key in sorted(kept)]


def _converted(folder: Path, found: Sequence[sotopia_env.Episode], form: str, style: str) -> list[str]:
    path, out = folder / "converted-from.jsonl", folder / "converted.jsonl"
    sotopia_env.save_episodes(found, path)
    out.unlink(missing_ok=True)
    command_line(folder, "convert", str(path), str(out), "--format", form, "--style", style)
    return out.read_text(encoding="utf-8").splitlines()


def evaluation(record: Recorder, number: int) -> None:
    """Tables of scripted policies against partners, and their differences."""
    for family in (*JUDGED, "mini"):
        tasks = record.made(f"{family} / tasks", tasks_of, f"{family}:test", max(4, number // 50)) or ()
        for partner in ("scripted:mixed", "scripted:hostile"):
            for order in ORDERS:
                rows = []
                for policy in ("scripted:warm", "scripted:anchor", "scripted:mixed"):
                    where = f"{family} / {order} / {policy} against {partner}"
                    rows.append(record.made(where, _row, policy, partner, tasks, {"action_order": order}))
                    record.leaves(where, lambda row: row.summary, rows[-1])
                    record.many(f"{where} / results", lambda row: row.results, rows[-1])
                    record.many(f"{where} / episodes", lambda row: map(turns_of, row.episodes), rows[-1])
                record.leaves(f"{family} / {order} / difference against {partner}", training.difference, *rows[:2])
        for judge in ("strict", "rule"):
            row = record.made(f"{family} / {judge}", _row, "scripted:firm", "erratic", tasks, {"judge": judge})
            record.leaves(f"{family} / {judge} judge", lambda row: row.summary, row)
    own = [SayTheNumber().generate(np.random.default_rng(seed)) for seed in (1, 2, 3)]
    row = record.made("own family", _row, parrot, "random", own, {"family": as_family(SayTheNumber())})
    record.leaves("own family / row", lambda row: row.summary, row)
    for on in ("bargain:test", "divide:test", *(["sotopia:hard", "sotopia:checkable"] if DATA else [])):
        arguments = ("evaluate", "scripted:warm", "scripted:firm", "--on", on, "--partner", "scripted:mixed")
        record.leaves(f"command / {on}", as_json, record.folder, *arguments, "--tasks", "30", "--json")


def _row(policy: Any, partner: Any, tasks: Sequence[sotopia_env.Task], options: Mapping[str, Any]) -> Any:
    return training.evaluate(policy, partner, tasks, seed=1, **options)


def card(record: Recorder, number: int) -> None:
    """The reward card: fidelity and exploits of every reward and control, and the turns it audits."""
    for tasks in ("bargain:test", "divide:test", "mutual-friends:test"):
        record.leaves(tasks, _card, record.folder, tasks)
        record.many(f"{tasks} / audit", _audit, tasks)


def _card(folder: Path, tasks: str) -> dict[str, Any]:
    out = folder / f"card-{tasks.partition(':')[0]}"
    small = ("--turns", "12", "--continuations", "8", "--labels", "2", "--tasks", "12")
    command_line(folder, "compare", "--on", tasks, "--out", str(out), *small)
    data = json.loads((out / "card.json").read_text(encoding="utf-8"))
    return {key: data[key] for key in ("audited", "rewards", "twice", "checks", "attacks")}


def _audit(tasks: str) -> list[Any]:
    """Turns with the truth about them and their siblings."""
    audit = R.collect_audit(
        tasks, "scripted:changing", num_turns=6, candidates=3, continuations=4, label_continuations=2, seed=2
    )
    return [
        [t.key, t.agent, t.own_index, t.scores, [[c.scores, [turns_of(e) for e in c.finished]] for c in t.candidates]]
        for t in audit
    ]


def attacks(record: Recorder, number: int) -> None:
    """By how much the judges that are rules can be talked to."""
    for family in (*JUDGED, "mini"):
        found = record.made(family, played, family, "round-robin", 8) or ()
        for judge in ("rule", "strict"):
            for place in ("end", "start"):
                record.leaves(f"{family} / {judge} / {place}", _attacked, judge, found, place)


def _attacked(judge: str, found: Sequence[sotopia_env.Episode], place: Any) -> dict[str, Any]:
    report = R.measure_attacks(judge, found, place=place)
    named = {f"{shift.dimension} / {shift.kind}": plain(shift) for shift in (*report.shifts, *report.wording)}
    return {"attacks": report.attacks, "episodes": report.episodes, **named}


def menu(record: Recorder, number: int) -> None:
    """Features and masks of the menu under random legal play."""
    for family in FAMILIES:
        for order in ORDERS:
            record.many(f"{family} / {order}", _menu_play, family, order, max(2, number // 60))


def _menu_play(family: str, order: str, count: int) -> Iterator[Any]:
    env = sotopia_env.parallel_env(FAMILIES[family](), interface="menu", action_order=order)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        observations, infos = env.reset(seed=seed)
        seen: list[Any] = []
        while env.agents:
            masks = {agent: infos[agent]["action_mask"] for agent in env.agents}
            seen.append([{agent: observations[agent] for agent in env.agents}, masks])
            chosen = {agent: int(rng.choice(np.flatnonzero(mask))) for agent, mask in masks.items()}
            observations, _, _, _, infos = env.step({a: act for a, act in chosen.items() if infos[a]["active"]})
        yield [seen, turns_of(env.episode)]


def worlds(record: Recorder, number: int) -> None:
    """Names, the table of scripts, the world gates at few tasks, and the published data."""
    record.leaves("names", as_json, record.folder, "list", "--json")
    for family in ("bargain", "divide"):
        record.leaves(f"table of {family}", as_json, record.folder, "table", family, "--tasks", "4", "--json")
        record.leaves(f"gates of {family}", as_json, record.folder, "gates", family, "--tasks", "10", "--json")
    if not DATA:
        return
    folder = Path(DATA)
    for subset in (None, "hard", "all", "checkable", "train", "validation", "test"):
        record.many(f"tasks / {subset}", _loaded, folder / "sotopia", subset)
    record.many("tasks / by key", _loaded, folder / "sotopia_pk", None)
    for path in sorted((folder / "episodes").glob("sotopia*.jsonl")):
        found = record.made(f"published / {path.name}", sotopia_env.load_published, path) or ()
        record.many(f"published / {path.name}", map, sotopia_env.Episode.to_dict, found)
        record.many(f"published / {path.name} / views", _views, found)
    for name in ("dealornodeal", "casino"):
        record.leaves(
            f"agreements of {name}", as_json, record.folder, "measure-agreement", str(folder / name), "--json"
        )


def _loaded(path: Path, subset: str | None) -> list[Any]:
    return [task.to_dict() for task in sotopia_env.load_tasks(path, subset)]


def estimators(record: Recorder, number: int) -> None:
    """Advantages of drawn groups, some of whose rewards are unknown."""
    rng = np.random.default_rng(0)
    groups = []
    for _ in range(40):
        alive = np.arange(7) < rng.integers(1, 8, size=(6, 1))
        values = np.where(rng.random((6, 7)) < 0.1, np.nan, rng.normal(size=(6, 7)))
        groups.append((np.where(alive, values, 0.0), alive))
    for name in training.ESTIMATORS:
        record.many(name, lambda name: [training.get_estimator(name)(*group) for group in groups], name)
    record.many("by flag", lambda: [training.advantages_by_flag(_both(values), alive) for values, alive in groups])


def _both(values: Any) -> list[Any]:
    """The same numbers as a return and, halved, as a credit."""
    return [("return", values), ("credit", 0.5 * values, "hindsight")]


def runs(record: Recorder, number: int) -> None:
    """Durable rollouts: in one go, cut off and gone on with, by two processes, and as parquet; and relabelled."""
    folder, count = record.folder, max(8, number // 25)
    record.many("in one go", _stored, folder / "run.jsonl", count, {})
    record.many("gone on", _stored, folder / "half.jsonl", count, {"num_episodes": count // 2}, {})
    record.many("two processes", _stored, folder / "two.jsonl", count, {"processes": 2})
    record.many("parquet", _stored, folder / "run.parquet", count, {})
    for name in ("discounted + 0.5 * secret", "direct", "progress"):
        record.many(f"relabelled by {name}", _relabelled, folder, folder / "run.jsonl", name)


def _stored(path: Path, count: int, *parts: Mapping[str, Any]) -> list[Any]:
    arguments = {"num_episodes": count, "seed": 11, "reward": "episode + 0.1 * length", "out": path}
    for part in parts:
        sotopia_env.rollout("bargain:test", "scripted:mixed", **{**arguments, **part})
    return [[turns_of(e), scores_of(e), e.rewards, e.key, e.seed] for e in sotopia_env.load_episodes(path)]


def _relabelled(folder: Path, source: Path, reward: str) -> list[Any]:
    out = folder / f"{digest(reward)}.jsonl"
    command_line(folder, "relabel", str(source), "--reward", reward, "--out", str(out))
    return [[episode.rewards, scores_of(episode)] for episode in sotopia_env.load_episodes(out)]


def learning(record: Recorder, number: int) -> None:
    """A few steps of cloning, of a reward model and of GRPO, and what the models then say."""
    folder, batch = record.folder, ("--per_device_train_batch_size", "8")
    clone, experts = folder / "clone", folder / "experts-0.jsonl"
    record.value("clone", _clone, folder, clone, 6)
    record.leaves("clone / weights", weights, clone)
    record.leaves("clone / metrics", metrics, clone)
    few = ("--model", str(clone), "--max_steps", "3", "--learning_rate", "1e-3", *batch)
    for target in ("labels", "outcome", "episode"):
        out, where = folder / f"model-{target}", f"reward model, {target}"
        record.made(
            where, command_line, folder, "train", "rm", str(experts), "--out", str(out), "--target", target, *few
        )
        record.leaves(f"{where} / weights", weights, out)
        record.leaves(f"{where} / metrics", metrics, out)
        for family in ("bargain", "divide"):
            for name in PLAIN:
                found = record.made(f"{family} / {name}", played, family, name, 8) or ()
                record.many(f"{where} / {family} / {name}", _paid, found, f"model:{out}", figures=figures_of)
    few = ("--max_steps", "2", "--num_generations", "4", "--learning_rate", "4e-4", "--beta", "0.02", *batch)
    tasks = record.made("tasks", tasks_of, "bargain:test", 6) or ()
    model = f"model:{folder / 'model-labels'} + length"
    rewards = {"progress": "progress + 0.3 * length", "direct": "direct + 0.3 * repetition + length", "model": model}
    for name, reward in rewards.items():
        out, where = folder / f"learner-{name}", f"grpo, {name}"
        record.made(
            where, command_line, folder, "train", "grpo", str(clone), "--out", str(out), "--reward", reward, *few
        )
        record.leaves(f"{where} / weights", weights, out)
        record.leaves(f"{where} / metrics", metrics, out)
        row = record.made(where, _row, f"local:{out}", "scripted:firm", tasks, {"max_cycles": 8})
        record.many(f"{where} / against firm", lambda row: map(turns_of, row.episodes), row)


def quickstart(record: Recorder, number: int) -> None:
    """The small quickstart in one process: weights of its three models and the figures of its report."""
    out = record.folder / "quickstart"
    record.leaves("report", _quickstart, record.folder, out)
    for name in ("clone", "reward-model", "learner"):
        record.leaves(f"weights / {name}", weights, out / name)
    for path in ("experts", "experts-with-erratic", "experts-against-erratic", "clone-dialogues"):
        found = record.made(path, sotopia_env.load_episodes, out / f"{path}.jsonl") or ()
        record.many(path, lambda found: [[turns_of(e), scores_of(e)] for e in found], found)


def _quickstart(folder: Path, out: Path) -> dict[str, Any]:
    command_line(folder, "quickstart", "--preset", "small", "--out", str(out), "--processes", "1")
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return {key: value for key, value in report.items() if key != "configuration"}


PARTS: dict[str, Callable[[Recorder, int], None]] = {
    "episodes": episodes,
    "rewards": rewards,
    "in-play": in_play,
    "attribution": attribution,
    "chats": chats,
    "evaluation": evaluation,
    "card": card,
    "attacks": attacks,
    "menu": menu,
    "worlds": worlds,
    "estimators": estimators,
    "runs": runs,
    "learning": learning,
    "quickstart": quickstart,
}


# The two commands


def record_all(out: Path, only: Sequence[str], number: int, keep: Path | None) -> None:
    """Run parts and write them into a file; parts that stand in it already and are not named stay."""
    found = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {"parts": {}}
    about = {"episodes": number, "python": platform.python_version(), "machine": platform.machine(), "data": bool(DATA)}
    for library in ("numpy", "torch", "transformers", "trl", "gymnasium", "pettingzoo"):
        try:
            about[library] = version(library)
        except PackageNotFoundError:
            about[library] = None
    print(f"package: {Path(sotopia_env.__file__).parent}", file=sys.stderr)
    for name in only or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            recorder, began = Recorder(Path(folder), None if keep is None else keep / name), os.times()
            PARTS[name](recorder, number)
        passed = [after - before for before, after in zip(began, os.times(), strict=True)]
        seconds, busy = round(passed[-1], 1), round(sum(passed[:-1]), 1)
        found["parts"][name] = {"about": about, "seconds": seconds, "of_a_core": busy, "items": recorder.items}
        failed = sum(isinstance(value, dict) and "error" in value for value in recorder.items.values())
        print(
            f"{name}: {len(recorder.items)} items, {failed} of them errors, {seconds} s, {busy} s of a core",
            file=sys.stderr,
        )
        out.write_text(json.dumps(found, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")


def compare_all(old: Path, new: Path, only: Sequence[str], show: int) -> bool:
    """Print what differs between two files; whether nothing does."""
    one, other = (json.loads(path.read_text(encoding="utf-8"))["parts"] for path in (old, new))
    same = True
    for name in only or [*one, *(name for name in other if name not in one)]:
        if name not in one or name not in other:
            print(f"{name}: only in {old if name in one else new}")
            same = False
            continue
        before, after = one[name], other[name]
        if before["about"] != after["about"]:
            print(f"{name}: recorded differently: {_shown(before['about'])} | {_shown(after['about'])}")
        items = list(dict.fromkeys([*before["items"], *after["items"]]))
        differing = [item for item in items if before["items"].get(item, ...) != after["items"].get(item, ...)]
        print(f"{name}: {len(items) - len(differing)} of {len(items)} items equal")
        groups = Counter(item.partition(" / ")[0] for item in differing)
        if groups:
            print(f"  differing: {', '.join(f'{group} ({count})' for group, count in groups.items())}")
        for item in differing[:show]:
            print(f"  {item}")
            for line in _difference(before["items"].get(item, ...), after["items"].get(item, ...)):
                print(f"      {line}")
        if len(differing) > show:
            print(f"  and {len(differing) - show} more")
        same = same and not differing
    return same


def _difference(before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict) and "each" in before and "each" in after:
        values = [[one["each"][i : i + SHORT] for i in range(0, len(one["each"]), SHORT)] for one in (before, after)]
        if len(values[0]) == len(values[1]):
            places = [i for i, (a, b) in enumerate(zip(*values, strict=True)) if a != b]
            yield f"{len(places)} of {len(values[0])} values differ, at {', '.join(map(str, places[:12]))}"
    if isinstance(before, dict) and isinstance(after, dict):
        # Of figures, those that differ.
        keys = [k for k in {**before, **after} if k != "each" and before.get(k, ...) != after.get(k, ...)]
        before, after = ({k: one[k] for k in keys if k in one} for one in (before, after))
    for label, value in (("old", before), ("new", after)):
        yield f"{label}: {'missing' if value is ... else _shown(value)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 600 else f"{text[:600]}..."


def main() -> int:
    """Record or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="play, pay, judge and train; write what came of it")
    recording.add_argument("out", type=Path)
    recording.add_argument("--only", nargs="+", choices=PARTS, default=[], metavar="PART", help=", ".join(PARTS))
    recording.add_argument("--episodes", type=int, default=1000, help="of each family")
    recording.add_argument("--keep", type=Path, help="folder that takes the values behind the digests")
    comparing = commands.add_parser("compare", help="print what differs; exit code 1 where something does")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.add_argument("--only", nargs="+", choices=PARTS, default=[], metavar="PART")
    comparing.add_argument("--show", type=int, default=20, help="so many differing items of each part")
    given = parser.parse_args()
    if given.command == "record":
        record_all(given.out, given.only, given.episodes, given.keep)
        return 0
    return 0 if compare_all(given.old, given.new, given.only, given.show) else 1


if __name__ == "__main__":
    sys.exit(main())

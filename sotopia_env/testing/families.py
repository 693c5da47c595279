"""The rules of a family of tasks."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from typing import Any, get_args

import numpy as np

from sotopia_env import spaces, views
from sotopia_env.episodes import Ending, Episode, Turn, agent_name
from sotopia_env.errors import RecordError
from sotopia_env.families.base import Family, Move, MoveKind, UserFamily
from sotopia_env.families.resolve import as_family, check_hidden
from sotopia_env.make import parallel_env
from sotopia_env.seeds import episode_seed
from sotopia_env.tasks import RELATIONSHIPS, Task
from sotopia_env.testing.comparing import check_json, check_name, difference, fingerprint, repeatable, unchanged
from sotopia_env.testing.judges import anonymous, check_judgement, check_scores_equal
from sotopia_env.testing.material import HostilePolicy, begin, dialogues, finish, running
from sotopia_env.testing.processes import check_processes
from sotopia_env.testing.reports import NotApplicable, Report, Rule, Violation, run_rules

_PURE = "Follow from task and turns alone, and return a new value instead of changing the old one"


def check_family(
    family: Any, *, tasks: Sequence[Task] | None = None, draws: int = 40, episodes: int = 6, seed: int = 0
) -> Report:
    """Check that a family keeps the rules that environments, splits and judges build on.

    Args:
        family: a name, ``module:attribute``, a ``Family``, or an object with ``generate`` and ``score``.
        tasks: to play, where the family draws none; the rules about drawing are then left out.
        draws: how many tasks are drawn from each split.
        episodes: how many dialogues are played, scripted, random and hostile ones each.
        seed: of everything.

    Returns:
        The report of a family that keeps them all.

    Raises:
        ConformanceError: it breaks one; the text says which, where and what to do.
    """
    made = as_family(family)
    drawn: dict[str, list[Task]] = {}
    played: list[Episode] = []

    def given() -> Any:
        return made if tasks is None else tasks

    def draw() -> str:
        for split in made.splits if tasks is None else ():
            drawn[split] = _draw(made, split, draws, seed)
        for split, found in drawn.items():
            for task in found:
                _check_task(task, made, split)
        for task in tasks or ():
            _check_task(task, made, None)
        return f"{sum(map(len, drawn.values())) or len(tasks or ())} tasks"

    def play() -> str:
        played.extend(_play(made, tasks, episodes, seed))
        return f"{len(played)} episodes, {sum(len(episode.turns) for episode in played)} turns"

    def hostile() -> str:
        harmful = _play(made, tasks, episodes, seed, talk=[HostilePolicy()], max_stale=99)
        for episode in harmful:
            check_judgement(made.score(episode), episode)
            _check_moves(made, episode)
        return f"{len(harmful)} episodes"

    def when_drawn(check: Callable[[], str | None]) -> Callable[[], str | None]:
        def run() -> str | None:
            if tasks is not None:
                raise NotApplicable("tasks were given, none are drawn")
            return check()

        return run

    rules = [
        Rule("it has a name", lambda: _name(made), essential=True),
        Rule("it has a version", lambda: check_name(made, "version", "the family")),
        Rule("tasks are complete", draw, essential=True),
        Rule("tasks follow from the generator alone", when_drawn(lambda: _repeats(made, seed))),
        Rule("an id names one task", when_drawn(lambda: _unique([t for found in drawn.values() for t in found]))),
        Rule("splits share no scenario", when_drawn(lambda: _disjoint(made, drawn))),
        Rule("episodes can be played", play, essential=True),
        Rule("scores are one number or None per seat", lambda: _scores(made, played), essential=True),
        Rule("scores are the same for the same dialogue", lambda: _score_is_pure(made, played)),
        Rule("progress follows from the turns", lambda: _fold(made, played)),
        Rule("forks and restored snapshots end alike", lambda: _forks(made, given(), seed)),
        Rule("moves follow from turns alone", lambda: _moves(made, played)),
        Rule("in formal tasks words settle nothing", lambda: _words_bind_nobody(made, tasks, played, seed)),
        Rule("any text is coped with", hostile),
        Rule("PettingZoo's own tests pass", lambda: _pettingzoo(given())),
        Rule("every process says the same", when_drawn(lambda: check_processes("family", family, "", seed))),
    ]
    return run_rules("family", made.name, rules)


def _name(family: Family) -> str:
    name = check_name(family, "name", "the family")
    if ":" in name:
        raise Violation(
            f"the name {name!r} holds a colon",
            remedy="What follows a colon is taken for a split; use another character",
        )
    return name


def _draw(family: Family, split: str, number: int, seed: int) -> list[Task]:
    rng = np.random.default_rng((seed, family.splits.index(split)))
    try:
        return [family.generate(rng, split) for _ in range(number)]
    except NotImplementedError as error:
        raise Violation(
            f"it draws no tasks: {error}", remedy="Give tasks that it scores: check_family(family, tasks=[...])"
        ) from error


def _check_task(task: Any, family: Family, split: str | None) -> None:
    if not isinstance(task, Task):
        raise Violation(f"generate returned a {type(task).__name__}", where=f"{split}", remedy="Return a Task")
    where = f"task {task.id!r}"
    seats, scenario = task.num_seats, task.scenario
    for wrong, what, remedy in (
        (not task.id, "its id is empty", "Name each task; the id chooses it in reset and marks its episodes"),
        (not 2 <= seats <= 5, f"it has {seats} characters", "Two to five agents can play"),
        (len(scenario.goals) != seats, f"{len(scenario.goals)} goals for {seats} seats", "Give one goal per seat"),
        (
            len(scenario.hidden) not in (0, seats),
            f"{len(scenario.hidden)} sets of hidden values for {seats} seats",
            "Give one mapping per seat, or none",
        ),
        (
            scenario.relationship not in RELATIONSHIPS,
            f"the relationship is {scenario.relationship!r}",
            f"It is one of {', '.join(RELATIONSHIPS)}",
        ),
        (
            task.family != family.name,
            f"it says it is of family {task.family!r}, not {family.name!r}",
            "Set Task.family to the family's name, or stored episodes cannot be scored again",
        ),
        (
            task.version != family.version,
            f"it says it is of version {task.version!r}, not {family.version!r}",
            "Set Task.version to the family's version; scores of different versions do not compare",
        ),
        (
            split is not None and _takes_split(family) and task.split != split,
            f"it says it is of split {task.split!r}, but was drawn from {split!r}",
            "Set Task.split to the split that generate was asked for",
        ),
    ):
        if wrong:
            raise Violation(what, where=where, remedy=remedy)
    check_json(where, task.to_dict())
    if Task.from_dict(json.loads(json.dumps(task.to_dict()))) != task:
        remedy = "Use lists and text keys in hidden values and tags, no tuples or objects"
        raise Violation("it comes back from JSON as another task", where=where, remedy=remedy)
    _check_texts(task, where)
    try:
        check_hidden(family, task, where)
    except RecordError as error:
        remedy = "Put into scenario.hidden what hidden_fields says, or files of these tasks cannot be read"
        raise Violation(error.problem, where=error.where, remedy=remedy) from error


def _check_texts(task: Task, where: str) -> None:
    """What agents will read fits the spaces, and no secret stands where another seat reads it."""
    space = spaces.observation_space()
    shown = [views.static_observation(task, seat) for seat in range(task.num_seats)]
    for seat, texts in enumerate(shown):
        for name, text in texts.items():
            if text not in space[name]:
                raise Violation(
                    f"{name} of {agent_name(seat)} is too long ({len(text)} characters) or cannot be encoded",
                    where=where,
                    remedy="See the lengths in sotopia_env.spaces, and leave out lone surrogates",
                )
        secret = task.characters[seat].secret
        others = [text for other, texts in enumerate(shown) if other != seat for text in texts.values()]
        if secret and any(secret in text for text in others):
            raise Violation(
                f"the secret of {agent_name(seat)} stands where another agent reads it: {secret!r:.80}",
                where=where,
                remedy="A secret belongs in Character.secret alone, and what a judge needs in hidden",
            )


def _repeats(family: Family, seed: int) -> None:
    repeatable("generate", lambda: [_draw(family, split, 4, seed) for split in family.splits])


def _unique(tasks: Sequence[Task]) -> str:
    known: dict[str, Task] = {}
    for task in tasks:
        other = known.setdefault(task.id, task)
        if replace(other, split=task.split) != task:
            shown = difference(fingerprint(other), fingerprint(task))
            raise Violation(
                f"two different tasks have this id: {shown}",
                where=f"task {task.id!r}",
                remedy="Put into the id whatever was drawn, or a number drawn for it",
            )
    return f"{len(known)} different tasks in {len(tasks)} draws"


def _disjoint(family: Family, drawn: Mapping[str, Sequence[Task]]) -> str:
    if not _takes_split(family):
        raise NotApplicable(
            "generate takes no split: all tasks are of one; for held-out tasks give it a split argument"
        )
    found: dict[str, tuple[str, Task]] = {}
    for split, tasks in drawn.items():
        for task in tasks:
            content = fingerprint([task.scenario.situation, task.scenario.goals, task.scenario.hidden])
            for mark in (f"id {task.scenario.id}", content):
                other, first = found.setdefault(mark, (split, task))
                if other != split:
                    raise Violation(
                        f"splits {other} and {split} share scenario {task.scenario.id!r}",
                        where=f"tasks {first.id!r} and {task.id!r}",
                        remedy="Draw items, prices or texts of each split from a list of its own",
                    )
    return f"{len(found) // 2} scenarios"


def _play(family: Family, tasks: Sequence[Task] | None, number: int, seed: int, **options: Any) -> list[Episode]:
    talk = options.pop("talk", ("scripted:mixed", "random"))
    if tasks is None:
        return dialogues(family, number, seed, talk=talk, **options)
    by_seats: dict[int, list[Task]] = {}
    for task in tasks:
        by_seats.setdefault(task.num_seats, []).append(task)
    return [episode for same in by_seats.values() for episode in dialogues(same, number, seed, talk=talk, **options)]


def _scores(family: Family, episodes: Sequence[Episode]) -> str:
    values = 0
    for episode in episodes:
        for shown in (episode, running(episode, len(episode.turns) // 2), running(episode, 0)):
            judgement = unchanged("score", shown, partial(family.score, shown))
            check_judgement(judgement, shown)
            values += sum(len(scores) for scores in judgement.scores.values())
        if judgement.version != family.version:
            raise Violation(
                f"the judgement says version {judgement.version!r}, the family {family.version!r}",
                where=f"task {episode.task.id!r}",
                remedy="Put the family's version into the judgements",
            )
    return f"{values} scores of finished and running episodes"


def _score_is_pure(family: Family, episodes: Sequence[Episode]) -> None:
    scored = repeatable("score", lambda: [family.score(episode) for episode in episodes])
    for episode, first in zip(episodes, scored, strict=True):
        second = family.score(anonymous(episode))
        remedy = "Read task and turns alone, or a policy's name decides how good it was"
        check_scores_equal(first, second, 0.0, "depends on key, seed or policies of the episode", episode, remedy)


def _fold(family: Family, episodes: Sequence[Episode]) -> str:
    for episode in episodes:
        progress = family.begin(episode.task)
        where = f"task {episode.task.id!r}"
        if family.ending(progress) is not None:
            raise Violation("it is over before its first turn", where=where, remedy="Return None from ending")
        for turn in episode.turns:
            before = progress
            progress = unchanged("advance", before, partial(family.advance, before, turn))
            again = family.advance(before, turn)
            if fingerprint(again) != fingerprint(progress):
                shown = difference(fingerprint(progress), fingerprint(again))
                at = f"{where}, turn {turn.global_index}"
                raise Violation(f"advance differs between two equal calls: {shown}", where=at, remedy=_PURE)
        _check_ending(family.ending(progress), where)
    return f"{sum(len(episode.turns) for episode in episodes)} turns"


def _check_ending(ending: Any, where: str) -> None:
    if ending is None:
        return
    if not isinstance(ending, Ending) or not isinstance(ending.reason, str) or not ending.reason:
        remedy = 'Return Ending("agreement", ...) or another short reason, or None'
        raise Violation(f"{ending!r:.80} is no ending", where=where, remedy=remedy)
    check_json(f"the ending of {where}", dict(ending.detail))


def _moves(family: Family, episodes: Sequence[Episode]) -> str:
    if not family.has_moves:
        raise NotApplicable(
            "it does not say what a turn does: goals cannot be attributed by rule, nor rewards attacked"
        )
    kinds = Counter(move for episode in episodes for move in _check_moves(family, episode))
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def _words_bind_nobody(family: Family, tasks: Sequence[Task] | None, played: Sequence[Episode], seed: int) -> str:
    """What was said in plain dialogues, said once more where acts alone count."""
    if all(family.offer_form(episode.task) is None for episode in played):
        raise NotApplicable("it has no form of an offer (offer_form), so agreement='formal' is refused")
    said = [turn.text for episode in played for turn in episode.turns if turn.type == "speak"]
    talk = [lambda observation, rng: said[int(rng.integers(len(said)))]] if said else ["random"]
    spoken = _play(family, tasks, len(played), seed, talk=talk, agreement="formal")
    for episode in spoken:
        where = f"task {episode.task.id!r}, {len(episode.turns)} turns of words"
        offers = family.offers(reduce(family.advance, episode.turns, family.begin(episode.task)))
        if (episode.ending is not None and episode.ending.reason == "agreement") or any(offers or ()):
            raise Violation(
                f"words alone made {'an agreement' if not any(offers or ()) else f'the offers {offers}'}",
                where=where,
                remedy="Where formal.is_formal(task), let advance read acts alone, with formal.acted",
            )
    return f"{len(spoken)} episodes"


def _check_moves(family: Family, episode: Episode) -> list[str]:
    """The kinds of the moves of an episode."""
    if not family.has_moves:
        return []
    where = f"task {episode.task.id!r}"
    turns = [Turn(0, 0, 0, "none", ""), *episode.turns]
    moves = repeatable("move", lambda: [family.move(episode.task, turn) for turn in turns], where)
    if moves[0] != Move("none"):
        raise Violation(f"to say nothing is {moves[0]!r:.80}", where=where, remedy='Return Move("none") for silence')
    for turn, move in zip(turns, moves, strict=True):
        if move is not None and not (isinstance(move, Move) and move.kind in get_args(MoveKind)):
            at = f"{where}, turn {turn.global_index}"
            raise Violation(
                f"{move!r:.80} is no move", where=at, remedy=f"Return a Move of {get_args(MoveKind)}, or None"
            )
    return [move.kind for move in moves[1:] if move is not None]


def _forks(family: Family, tasks: Any, seed: int) -> str:
    given = tasks if isinstance(tasks, Family) else [task for task in tasks if task.num_seats == tasks[0].num_seats]
    cycles = 0
    for index in range(2):
        env = parallel_env(given)
        begin(env, episode_seed(seed, index), index)
        for _ in range(1 + index):
            if env.acting:
                env.step(dict.fromkeys(env.acting, "Hello, and thank you for your time."))
        snapshot = env.snapshot()
        check_json("the snapshot", snapshot)
        restored = parallel_env(given)
        begin(restored, episode_seed(seed, index + 1), index)
        restored.restore(json.loads(json.dumps(snapshot)))
        twins = [env, *env.fork(1), restored]
        finish(twins, seed)
        ends = [fingerprint([twin.episode.turns, twin.episode.ending]) for twin in twins]
        for name, end in zip(("a fork", "a restored snapshot"), ends[1:], strict=True):
            if end != ends[0]:
                raise Violation(
                    f"{name} ended differently: {difference(ends[0], end)}",
                    where=f"task {env.episode.task.id!r}",
                    remedy=f"begin, advance and ending must be pure. {_PURE}",
                )
        cycles += len(env.episode.turns)
    return f"{cycles} turns"


def _pettingzoo(tasks: Any) -> None:
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # Texts and dicts in observations make them warn.
        warnings.simplefilter("ignore")
        given = tasks if isinstance(tasks, Family) else [task for task in tasks if task.num_seats == tasks[0].num_seats]
        parallel_api_test(parallel_env(given), num_cycles=60)
        parallel_seed_test(lambda: parallel_env(given), num_cycles=20)


def _takes_split(family: Family) -> bool:
    """Whether the author's ``generate`` takes a split."""
    return not isinstance(family, UserFamily) or "split" in inspect.signature(family.source.generate).parameters

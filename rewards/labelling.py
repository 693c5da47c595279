"""The same rewards on stored episodes, durable where a file is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sotopia_env.episodes import Episode
from sotopia_env.families import FAMILIES, family_of
from sotopia_env.families.resolve import as_family
from sotopia_env.progress import ProgressBar
from sotopia_env.rewards.judges.base import judged
from sotopia_env.rewards.model_usage import Told, models_in, out_of_budget, take_down, tell_apart
from sotopia_env.rewards.resolve import get_reward
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.turn_rewards import TurnRewards, combine
from sotopia_env.rollouts.executors import Executor, InThisProcess, Workers, as_finished, executor_of, runs_models
from sotopia_env.rollouts.files import RunFiles
from sotopia_env.rollouts.manifest import as_stored
from sotopia_env.statistics import Estimate
from sotopia_env.storage.locks import WAIT


def relabel(
    episodes: Sequence[Episode],
    reward: Any,
    family: Any = None,
    *,
    out: str | Path | None = None,
    batch_size: int = 64,
    processes: Workers = 1,
    cached_only: bool = False,
    on_start: Callable[[Sequence[Episode]], None] | None = None,
    progress: bool = False,
    command: Sequence[str] = (),
    source: str | Path = "episodes",
) -> list[Episode]:
    """Episodes with the numbers of a reward, one batched call for each of its parts.

    What a wrapped environment pays in play equals what is written here: exactly for designs of judged scores and
    penalties; ``reward.needs`` names what else a reward depends on.

    With ``out`` it is durable: each batch is written as it is paid, and the same call goes on after a kill, or with a
    new budget. Several calls may share a file.

    Args:
        episodes: finished or running; they stay as they are.
        reward: whatever :func:`get_reward` takes.
        family: of their tasks, where it is one of your own.
        out: a file of JSON lines, or of parquet where the name ends in ``.parquet``; its manifest stands beside it.
        batch_size: with ``out``, how many episodes the reward is asked about in one call.
        processes: with ``out``, how many processes share the work, or a :class:`~sotopia_env.RayCluster` whose machines
            do; the reward must then be picklable. Files are written by this process alone.
        cached_only: whether no model is called, for the manifest.
        on_start: with ``out``, told the episodes that are missing from it, once it is known to be of this call.
        progress: with ``out``, show a progress bar on stderr.
        command: what the user typed, for the manifest.
        source: where the episodes are from, for errors.

    Returns:
        New episodes, with judgements where the reward needs them, and ``rewards[name]`` for the whole reward and for
        each of its parts (without the part's weight). With ``out``, those that are left when a budget of the reward's
        models is used up are not among them.

    Raises:
        ValueError: the reward can never be computed for tasks of that family, or several processes share the work
            without ``out`` or with a budget; with ``out`` also, two episodes have one key, or the file holds what this
            call would not have written.
    """
    reward = get_reward(reward)
    if family is not None:
        made = as_family(family)
        reward.check(made)
        reward = reward.for_family(made)
    for argument, value in (("batch_size", batch_size), ("processes", processes)):
        if isinstance(value, int) and value < 1:
            raise ValueError(f"{argument}: {value} is not a positive number")
    if out is None:
        if processes != 1:
            raise ValueError(f"processes: {processes} processes meet in a file; give out")
        return _paid(episodes, reward)
    if processes != 1 and any(one.calls.limited for one in models_in(reward)):
        raise ValueError("processes: a budget is kept by one process; give none, or leave the work to one process")
    check_payable(reward, episodes, source)
    places = {episode.key: place for place, episode in enumerate(episodes)}
    first = episodes[0].key if episodes else ""
    with RunFiles(out, lambda key: places.setdefault(key, len(places)), first, made="paid") as files:
        _check_resumable(reward, episodes, files)
        run = _open_manifest(files, reward, cached_only, len(episodes), command)
        missing = [i for i in range(len(episodes)) if i not in files.finished]
        if on_start is not None:
            on_start([episodes[i] for i in missing])
        done = len(episodes) - len(missing)
        with (
            ProgressBar("relabel", len(episodes), show=progress, completed=done, transient=True) as bar,
            _labelling(processes if missing else 1, reward) as executor,
        ):
            # Small enough that all have something to do.
            share = min(batch_size, -(-len(missing) // executor.in_flight))

            def take() -> list[Episode] | None:
                free = missing if files.outcome == "complete" else ()
                return [episodes[i] for i in files.take(free, share)] or None

            while missing and files.outcome == "complete":
                for batch, (labelled, told) in as_finished(executor, take):
                    if told is not None:
                        take_down(reward, told)
                    files.manifest.check(run)
                    # What was not asked for lack of money is not written: it would pass for what could not be known.
                    unpaid = out_of_budget(reward)
                    indices = [places[episode.key] for episode in batch]
                    for i, episode in zip(indices, labelled, strict=True):
                        if episode.key not in unpaid:
                            files.put(i, episode, {})
                    files.give_back(indices)
                    if unpaid:
                        files.outcome = "out of budget"
                    bar.update(sum(i in files.finished for i in range(len(episodes))))
                missing = [i for i in missing if i not in files.finished]
                if missing and files.outcome == "complete":
                    # Other processes are at the rest. Should one of them die, its episodes are free to be taken.
                    time.sleep(WAIT)
        # As long as nothing is written, a call with another reward may take the file over.
        files.manifest.check(run)
        files.complete()
    return [files.finished[i] for i in range(len(episodes)) if i in files.finished]


def mean_paid(episodes: Sequence[Episode], name: str) -> Estimate:
    """The mean number of a turn, over those dialogues of a seat of which every number is known.

    A dialogue whose score is unknown may hold zeros that are known, before its last turn: they tell nothing of it.

    Args:
        episodes: paid ones.
        name: of the reward.

    Returns:
        The mean, and of how many dialogues; one without own turns is none.
    """
    dialogues = [numbers for episode in episodes for numbers in episode.rewards[name].values() if numbers]
    paid = [[value for value in numbers if value is not None] for numbers in dialogues if None not in numbers]
    turns = sum(map(len, paid))
    mean = sum(map(sum, paid)) / turns if turns else None
    return Estimate(mean, None, None, len(paid), len(dialogues) - len(paid))


def check_payable(reward: Reward, episodes: Sequence[Episode], source: str | Path = "episodes") -> None:
    """Check that a reward can be computed for episodes and written beside them, before any is paid.

    Raises:
        ValueError: it can never be, or two episodes have one key.
    """
    places = {episode.key: place for place, episode in enumerate(episodes)}
    twice = next((e.key for place, e in enumerate(episodes) if places[e.key] != place), None)
    if twice is not None:
        raise ValueError(f"{source}: two episodes have the key {twice!r}; relabel the files of each run apart")
    by_family: dict[str, list[Any]] = {}
    for episode in episodes:
        by_family.setdefault(episode.task.family, []).append(episode.task)
    for name, tasks in by_family.items():
        # A family of the user's own is not to be found; whether anything needs it shows when the reward is asked.
        if name in FAMILIES:
            reward.check(family_of(tasks[0]), tasks)


def _labelling(processes: Workers, reward: Reward) -> Executor:
    """Whoever pays episodes; from elsewhere comes what the models of the reward have to tell, too."""
    if processes == 1:
        return InThisProcess(lambda episodes: (_paid(episodes, reward), None))
    work = partial(_Labeller, reward)
    return executor_of(processes, work, models=runs_models(*reward.walk()), sent=f"the reward {reward.name!r}")


class _Labeller:
    """Pays episodes in another process.

    Args:
        reward: theirs.
    """

    def __init__(self, reward: Reward) -> None:
        self._reward = reward

    def __call__(self, episodes: Sequence[Episode]) -> tuple[list[Episode], Told]:
        """The episodes paid, and what the models of the reward tell of it."""
        told = tell_apart(self._reward)
        return _paid(episodes, self._reward), told


def _paid(episodes: Sequence[Episode], reward: Reward) -> list[Episode]:
    labelled = judged(episodes, reward.judges())
    weights = [weight for weight, _ in reward.parts()]
    by_part = [part.rewards(labelled) for _, part in reward.parts()]
    for index, episode in enumerate(labelled):
        numbers = [part[index] for part in by_part]
        for (_, part), own in zip(reward.parts(), numbers, strict=True):
            episode = episode.with_rewards(part.name, own)
        labelled[index] = episode.with_rewards(reward.name, _total(episode, weights, numbers))
    return labelled


def _total(episode: Episode, weights: Sequence[float], numbers: Sequence[TurnRewards]) -> TurnRewards:
    return {
        agent: [combine(weights, values) for values in zip(*(part[agent] for part in numbers), strict=True)]
        for agent in episode.agents
    }


def _check_resumable(reward: Reward, episodes: Sequence[Episode], files: RunFiles) -> None:
    """Raise where the file to be written holds anything that this call would not have written."""
    for place, stored in files.finished.items():
        where, remedy = f"{files.path}, episode {stored.key!r}", "give another out, or remove the file"
        if place >= len(episodes):
            raise ValueError(f"{where}: it is not among the episodes that are read; {remedy}")
        if stored.turns != episodes[place].turns:
            raise ValueError(f"{where}: its turns are not those of the episode that is read; {remedy}")
        if reward.name not in stored.rewards:
            there = ", ".join(stored.rewards) or "none at all"
            raise ValueError(f"{where}: it has no reward {reward.name!r} but {there}; {remedy}")


def _open_manifest(
    files: RunFiles, reward: Reward, cached_only: bool, number: int, command: Sequence[str]
) -> dict[str, Any]:
    """Returns what the run is; the manifest beside the file tells whether it is the same reward that goes on."""
    run = as_stored({"reward": reward, "cached_only": cached_only})
    try:
        files.manifest.check(run)
    except ValueError:
        if files.finished:
            raise
        # Of a call that failed before it wrote anything.
        files.manifest.path.unlink()
    files.manifest.open(run, number, command)
    return run

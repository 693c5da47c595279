"""The rules of a reward."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from sotopia_env.episodes import Episode
from sotopia_env.make import parallel_env
from sotopia_env.rewards.designs import Kind, Timing
from sotopia_env.rewards.judges.base import judged
from sotopia_env.rewards.labelling import relabel
from sotopia_env.rewards.resolve import get_reward
from sotopia_env.rewards.reward import Reward
from sotopia_env.rewards.turn_rewards import TurnRewards, first_open_turn, in_order
from sotopia_env.rewards.wrappers.base import RewardWrapper
from sotopia_env.seeds import episode_seed
from sotopia_env.testing.comparing import check_json, check_name, close, close_lists, is_number, repeatable, unchanged
from sotopia_env.testing.material import HostilePolicy, begin, dialogues, family_behind, finish, running
from sotopia_env.testing.processes import check_processes
from sotopia_env.testing.reports import NotApplicable, Report, Rule, Violation, run_rules

_UNKNOWN = "What is unknown or has failed is None, never nan or 0"


def check_reward(
    reward: Any,
    *,
    tasks: Any = "bargain",
    episodes: int = 4,
    seed: int = 0,
    max_cycles: int | None = 12,
    tolerance: float = 0.0,
    deterministic: bool = True,
) -> Report:
    """Check that a reward keeps the rules that wrappers, relabelling and learners build on.

    Args:
        reward: whatever ``get_reward`` takes: a name, ``module:attribute``, a ``Reward``, a function of episodes.
        tasks: whose episodes it pays: whatever ``parallel_env`` takes.
        episodes: how many dialogues it is asked about, scripted, random and hostile ones each.
        seed: of the dialogues.
        max_cycles: their turn limit.
        tolerance: of the comparisons, relative and absolute; 0 asks for equal numbers, models may need 1e-4.
        deterministic: ``False`` for rewards that cannot repeat themselves, such as those of a remote model without a
            cache.

    Returns:
        The report of a reward that keeps them all.

    Raises:
        ConformanceError: it breaks one; the text says which, where and what to do.
        ValueError: it can never be computed for these tasks.
    """
    family, fixed = family_behind(tasks)
    made = get_reward(reward)
    made.check(family, fixed)
    made = made.for_family(family)
    played = dialogues(tasks, episodes, seed, max_cycles=max_cycles)
    # Whoever changes an episode may have done so before its rule is checked.
    untouched = copy.deepcopy(played)

    def hostile() -> str:
        harmful = dialogues(tasks, episodes, seed, talk=[HostilePolicy()], max_stale=99, max_cycles=max_cycles)
        _aligned(made, harmful)
        return f"{len(harmful)} episodes"

    def repeatable_rule(name: str, check: Any) -> Rule:
        def run() -> str | None:
            if not deterministic:
                raise NotApplicable("the reward is said not to repeat itself")
            return check()

        return Rule(name, run)

    rules = [
        Rule("it has a name", lambda: check_name(made, "name", "the reward"), essential=True),
        Rule("its flags say what its numbers mean", lambda: _flags(made), essential=True),
        Rule("there is one number for each own turn", lambda: _aligned(made, played), essential=True),
        Rule("episodes stay as they are", lambda: unchanged("the reward", untouched, lambda: made(untouched)) and None),
        repeatable_rule(
            "equal calls give equal numbers", lambda: repeatable("the reward", lambda: made(played)) and None
        ),
        repeatable_rule("numbers do not depend on the batch", lambda: _batches(made, played, tolerance)),
        Rule("a failed judge is unknown, not 0", lambda: _failed_judge(made, played)),
        repeatable_rule("a running episode knows what is certain", lambda: _running(made, played, tolerance)),
        repeatable_rule("play pays what relabel writes", lambda: _online(made, tasks, seed, max_cycles, tolerance)),
        repeatable_rule("forks are paid alike", lambda: _forks(made, tasks, seed, max_cycles, tolerance)),
        repeatable_rule("it can be written down and made again", lambda: _spec(made, played, tolerance)),
        Rule("any text is coped with", hostile),
        Rule("every process says the same", lambda: check_processes("reward", reward, tasks, seed, deterministic)),
    ]
    return run_rules("reward", made.name, rules)


def _flags(reward: Reward) -> str:
    for _, part in reward.parts():
        for flag, allowed in (("kind", get_args(Kind)), ("timing", get_args(Timing))):
            value = getattr(part, flag, None)
            if value not in allowed:
                raise Violation(
                    f"{flag} of {part.name!r} is {value!r}",
                    remedy=f"Set it to {' or '.join(map(repr, allowed))}; see the flags in sotopia_env.rewards.reward",
                )
    return ", ".join(f"{part.timing} {part.kind}" for _, part in reward.parts())


def _aligned(reward: Reward, episodes: Sequence[Episode]) -> str:
    made = reward(episodes)
    if not isinstance(made, Sequence) or len(made) != len(episodes):
        got = f"{len(made)} results" if isinstance(made, Sequence) else f"a {type(made).__name__}"
        remedy = "Return a list with one {agent: [numbers]} for each episode, in their order"
        raise Violation(f"it returned {got} for {len(episodes)} episodes", remedy=remedy)
    if len(reward([])):
        raise Violation("it does not return an empty list for no episodes", remedy="Return [] for an empty batch")
    for episode, paid in zip(episodes, made, strict=True):
        _check_paid(episode, paid)
    values = [value for paid in made for numbers in paid.values() for value in numbers]
    unknown = sum(value is None for value in values)
    return f"{len(values)} turns of {len(episodes)} episodes" + (f", {unknown} unknown" if unknown else "")


def _check_paid(episode: Episode, paid: Any) -> None:
    for agent in episode.agents:
        where = _where(episode, agent)
        number = len(episode.own_turns(agent))
        if not isinstance(paid, Mapping) or agent not in paid:
            raise Violation("there are no numbers for this agent", where=where, remedy="Return a list for every agent")
        if len(paid[agent]) != number:
            raise Violation(
                f"{len(paid[agent])} numbers for {number} own turns",
                where=where,
                remedy="Return one for each turn of episode.own_turns(agent); an invalid action is a turn too",
            )
        for index, value in enumerate(paid[agent]):
            if value is not None and not is_number(value):
                raise Violation(f"{value!r:.60} is no number", where=f"{where}, own turn {index}", remedy=_UNKNOWN)


def _batches(reward: Reward, episodes: Sequence[Episode], tolerance: float) -> str:
    if "group" in reward.needs:
        raise NotApplicable("the reward is of a group of episodes")
    together = reward(episodes)
    backwards = reward(episodes[::-1])[::-1]
    alone = [reward([episode])[0] for episode in episodes]
    for other in (backwards, alone):
        for episode, first, second in zip(episodes, together, other, strict=True):
            remedy = "Compute each episode by itself, and fit whatever normalises once, beforehand"
            _check_same(episode, first, second, tolerance, "depends on the other episodes of the batch", remedy)
    return f"batches of 1 and {len(episodes)}"


def _failed_judge(reward: Reward, episodes: Sequence[Episode]) -> str:
    judges = reward.judges()
    if not judges:
        raise NotApplicable("it reads no judge")
    names = {judge.name_in(episode) for judge in judges for episode in episodes}
    failed = []
    for episode in judged(episodes, judges):
        judgements = tuple(
            replace(j, scores={d: [None] * episode.task.num_seats for d in j.scores}) if j.judge in names else j
            for j in episode.judgements
        )
        failed.append(replace(episode, judgements=judgements))
    for episode, paid in zip(failed, reward.rewards(failed), strict=True):
        # What plays on from an episode judges continuations of its own, which did not fail.
        groups = [[v for numbers in paid.values() for v in numbers]] if reward.needs else paid.values()
        for numbers in groups:
            if numbers and None not in numbers:
                raise Violation(
                    f"its judge failed, yet every number is known: {_short(numbers)}",
                    where=_where(episode, None),
                    remedy="Pass None on; a mean that leaves it out, or takes it as 0, hides the failure",
                )
    return f"judges: {', '.join(sorted(names))}"


def _running(reward: Reward, episodes: Sequence[Episode], tolerance: float) -> str:
    causal = [part for _, part in reward.parts() if part.timing == "causal"]
    if not causal:
        raise NotApplicable("all of it needs the end")
    checked = 0
    for part in causal:
        for episode, final in zip(episodes, part(episodes), strict=True):
            whole = in_order(episode.turns, final)
            for length in sorted({0, 1, len(episode.turns) // 2, len(episode.turns) - 1}):
                prefix = running(episode, length)
                numbers = part([prefix])[0]
                _check_paid(prefix, numbers)
                _check_causal(part, prefix, in_order(prefix.turns, numbers), whole, tolerance)
                checked += length
    return f"{checked} turns"


def _check_causal(
    part: Reward, prefix: Episode, now: Sequence[float | None], whole: Sequence[float | None], tolerance: float
) -> None:
    closed = first_open_turn(prefix)
    for turn, value, final in zip(prefix.turns, now, whole, strict=False):
        where = f"{_where(prefix, turn.agent)}, turn {turn.global_index} of {len(prefix.turns)} played so far"
        if value is not None and not close(value, final, tolerance):
            raise Violation(
                f"{part.name!r} says {value} in mid-episode and {final} at the end",
                where=where,
                remedy="step never revises what it paid: return None until the number is certain, or set "
                'timing = "hindsight"',
            )
        if value is None and final is not None and turn.global_index < closed:
            raise Violation(
                f"{part.name!r} does not know a turn that was replied to, and says {final} at the end",
                where=where,
                remedy='A causal number is known once the partner has replied; set timing = "hindsight"',
            )
        if part.turnwise and not close(part.of_turn(turn, turn.global_index < closed), value, tolerance):
            raise Violation(f"of_turn of {part.name!r} differs from rewards", where=where, remedy="Make the two agree")
    for settled in {0, len(prefix.turns) // 2, closed}:
        recent = part.recent([prefix], [settled])[0]
        if not close_lists(recent, now[settled:], tolerance):
            raise Violation(
                f"recent of {part.name!r} from turn {settled} on is {_short(recent)}, rewards {_short(now[settled:])}",
                where=_where(prefix, None),
                remedy="recent equals rewards for the turns that are not settled",
            )


def _online(reward: Reward, tasks: Any, seed: int, max_cycles: int | None, tolerance: float) -> str:
    turns = 0
    for index in range(2):
        env = RewardWrapper(parallel_env(tasks, max_cycles=max_cycles), reward)
        begin(env, episode_seed(seed, index), index)
        history = finish([env], seed)[0]
        bare = env.unwrapped.episode
        written = relabel([bare], reward)[0].rewards
        for agent in bare.agents:
            paid = history[-1]["infos"][agent]["utterance_rewards"]
            if not close_lists(paid, written[reward.name][agent], tolerance):
                raise Violation(
                    f"play says {_short(paid)}, relabel {_short(written[reward.name][agent])}",
                    where=_where(bare, agent),
                    remedy="Read nothing but the episodes you are given, and keep no state between calls",
                )
        turns += len(bare.turns)
    return f"{turns} turns"


def _forks(reward: Reward, tasks: Any, seed: int, max_cycles: int | None, tolerance: float) -> str:
    env = RewardWrapper(parallel_env(tasks, max_cycles=max_cycles), reward)
    begin(env, episode_seed(seed, 0), 0)
    for _ in range(2):
        if env.unwrapped.acting:
            env.step(dict.fromkeys(env.unwrapped.acting, "Hello, and thank you for your time."))
    snapshot = env.snapshot()
    check_json("the snapshot", snapshot)
    restored = RewardWrapper(parallel_env(tasks, max_cycles=max_cycles), reward)
    begin(restored, episode_seed(seed, 1), 0)
    restored.restore(json.loads(json.dumps(snapshot)))
    ends = []
    for history in finish([env, *env.fork(1), restored], seed):
        infos = history[-1]["infos"] if history else {}
        ends.append({agent: info["utterance_rewards"] for agent, info in infos.items()})
    for name, numbers in zip(("a fork", "a restored snapshot"), ends[1:], strict=True):
        for agent, values in ends[0].items():
            if not close_lists(values, numbers[agent], tolerance):
                raise Violation(
                    f"{name} was paid {_short(numbers[agent])}, not {_short(values)}",
                    where=_where(env.unwrapped.episode, agent),
                    remedy="Read nothing but the episodes you are given, and keep no state between calls",
                )
    return f"{len(env.unwrapped.episode.turns)} turns"


def _spec(reward: Reward, episodes: Sequence[Episode], tolerance: float) -> str | None:
    try:
        spec = reward.spec()
    except (ValueError, TypeError) as error:
        raise NotApplicable(f"it holds what has no name to be imported by: {error}") from error
    check_json("the spec", spec)
    again = get_reward(json.loads(json.dumps(spec)))
    for episode, first, second in zip(episodes, reward(episodes), again(episodes), strict=True):
        remedy = "spec() holds every argument of the constructor"
        _check_same(episode, first, second, tolerance, "differs once made again from its spec", remedy)
    return None


def _check_same(
    episode: Episode, first: TurnRewards, second: TurnRewards, tolerance: float, what: str, remedy: str
) -> None:
    for agent in episode.agents:
        if not close_lists(first[agent], second[agent], tolerance):
            shown = f"{_short(first[agent])} and {_short(second[agent])}"
            raise Violation(f"it {what}: {shown}", where=_where(episode, agent), remedy=remedy)


def _where(episode: Episode, agent: str | None) -> str:
    return f"episode {episode.key} of task {episode.task.id}" + (f", {agent}" if agent else "")


def _short(numbers: Sequence[float | None]) -> str:
    shown = ", ".join("None" if value is None else f"{value:.6g}" for value in numbers[:8])
    return f"[{shown}{', ...' if len(numbers) > 8 else ''}]"

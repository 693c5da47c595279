"""The rules of a policy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from sotopia_env.actions import Action, read_action
from sotopia_env.make import parallel_env
from sotopia_env.policies import Decision, Policy
from sotopia_env.resolve import make_policy
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.seeds import episode_seed
from sotopia_env.testing.comparing import check_name, fingerprint, repeatable, unchanged
from sotopia_env.testing.material import HOSTILE_TEXTS, HostilePolicy, Seen, begin, finish, situations
from sotopia_env.testing.processes import check_processes
from sotopia_env.testing.reports import NotApplicable, Report, Rule, Violation, run_rules

_PURE = "Decide from observation and context.rng alone; a cache may save time but must not change what is decided"

_LONG = 1_000
"""Texts of more characters may be too much for a model's context."""


def check_policy(
    policy: Any, *, tasks: Any = "bargain", observations: int = 16, seed: int = 0, deterministic: bool = True
) -> Report:
    """Check that a policy keeps the rules that rollouts, forks and Monte-Carlo credit build on.

    Args:
        policy: whatever ``make_policy`` takes.
        tasks: what it is to play: whatever ``parallel_env`` takes.
        observations: how many situations it is asked in.
        seed: of the situations.
        deterministic: ``False`` for policies that cannot repeat themselves, such as a remote model: the rules about
            equal results are then left out.

    Returns:
        The report of a policy that keeps them all.

    Raises:
        ConformanceError: it breaks one; the text says which, where and what to do.

    Example:
        >>> print(check_policy("scripted:warm"))  # doctest: +SKIP
    """
    made = make_policy(policy)
    seen = situations(tasks, observations, seed)
    # Whoever changes an observation may have done so before its rule is checked.
    untouched = copy.deepcopy(seen)

    def hostile() -> str:
        partner = HostilePolicy([text for text in HOSTILE_TEXTS if len(text) <= _LONG])
        harmful = situations(tasks, observations, seed, partner, max_stale=99)
        _decisions(made, harmful)
        return f"{len(harmful)} situations"

    def long() -> str:
        partner = HostilePolicy([text for text in HOSTILE_TEXTS if len(text) > _LONG])
        harmful = situations(tasks, observations, seed, partner, max_stale=99)
        return _reads_or_refuses(made, harmful)

    def for_the_deterministic(check: Any) -> Any:
        def run() -> str | None:
            if not deterministic:
                raise NotApplicable("the policy is said not to repeat itself")
            return check()

        return run

    rules = [
        Rule("it has a name", lambda: check_name(made, "name", "the policy"), essential=True),
        Rule("act returns one valid decision for each observation", lambda: _valid(made, seen), essential=True),
        Rule("observations stay as they are", lambda: _leaves_alone(made, untouched)),
        Rule("any text is coped with", hostile),
        Rule("long texts are coped with, or refused with a reason", long),
        Rule("equal calls give equal decisions", for_the_deterministic(lambda: _repeats(made, seen))),
        Rule("a decision does not depend on the batch", for_the_deterministic(lambda: _batches(made, seen))),
        Rule("act_one is act for one", for_the_deterministic(lambda: _act_one(made, seen))),
        Rule("forks play on alike", for_the_deterministic(lambda: _forks(made, tasks, seed))),
        Rule("rollouts of any batch size are equal", for_the_deterministic(lambda: _rollouts(made, tasks, seed))),
        Rule("every process says the same", lambda: check_processes("policy", policy, tasks, seed, deterministic)),
    ]
    return run_rules("policy", str(getattr(made, "name", policy)), rules)


def _act(policy: Policy, seen: Sequence[Seen]) -> list[Decision]:
    return policy.act([one.observation for one in seen], [one.context() for one in seen])


def _decisions(policy: Policy, seen: Sequence[Seen]) -> list[Decision]:
    """The decisions for some situations, each of them checked."""
    made = _act(policy, seen)
    if not isinstance(made, Sequence) or len(made) != len(seen):
        got = f"{len(made)} results" if isinstance(made, Sequence) else f"a {type(made).__name__}"
        raise Violation(
            f"act returned {got} for {len(seen)} observations",
            remedy="Return a list with one Decision for each observation, in their order",
        )
    for decision, where in zip(made, seen, strict=True):
        _check_decision(decision, str(where))
    return list(made)


def _check_decision(decision: Any, where: str) -> None:
    if not isinstance(decision, Decision):
        raise Violation(
            f"act returned a {type(decision).__name__} among its results, not a Decision",
            where=where,
            remedy="Return Decision(speak(...)), or give a plain function (observation, rng) -> action or str",
        )
    if not isinstance(decision.action, Action):
        got = type(decision.action).__name__
        raise Violation(
            f"the decision's action is a {got}", where=where, remedy="Make it with speak, do, gesture, leave"
        )
    reason = read_action(decision.action)[1]
    if reason is not None and decision.invalid is None:
        raise Violation(
            f"the decision's action is invalid ({reason}), and the decision does not say so",
            where=where,
            remedy='Return Decision(Action("none"), raw=..., invalid=REASON); the turn is then counted as invalid',
        )
    if decision.invalid is not None and decision.action.type != "none":
        raise Violation(
            f"the decision is marked invalid, yet its action is {decision.action.type!r}",
            where=where,
            remedy='An invalid decision carries Action("none")',
        )
    for field in ("raw", "invalid"):
        value = getattr(decision, field)
        if value is not None and not isinstance(value, str):
            raise Violation(f"{field} is a {type(value).__name__}", where=where, remedy=f"{field} is a text or None")
    trace = decision.trace
    if trace is not None and trace.logprobs is not None and len(trace.logprobs) != len(trace.ids):
        raise Violation(
            f"the trace holds {len(trace.logprobs)} log-probabilities for {len(trace.ids)} tokens",
            where=where,
            remedy="Give one for each sampled token, or None",
        )


def _valid(policy: Policy, seen: Sequence[Seen]) -> str:
    made = _decisions(policy, seen)
    nothing = policy.act([], [])
    if not isinstance(nothing, Sequence) or len(nothing):
        raise Violation("act does not return an empty list for no observations", remedy="Return [] for an empty batch")
    invalid = sum(decision.invalid is not None for decision in made)
    return f"{len(made)} situations" + (f", {invalid} invalid decisions" if invalid else "")


def _reads_or_refuses(policy: Policy, seen: Sequence[Seen]) -> str:
    refused = 0
    reason = ""
    for one in seen:
        try:
            _decisions(policy, [one])
        except ValueError as error:
            if not str(error):
                remedy = "Say what is too long, and how much can be read"
                raise Violation("act raised a ValueError without a text", where=str(one), remedy=remedy) from error
            refused, reason = refused + 1, reason or str(error)
    note = f"{len(seen)} situations"
    return note + (f", {refused} of them refused: {reason:.200}" if refused else "")


def _leaves_alone(policy: Policy, seen: Sequence[Seen]) -> None:
    unchanged("act", [one.observation for one in seen], lambda: _act(policy, seen))


def _repeats(policy: Policy, seen: Sequence[Seen]) -> None:
    # A cache may move log-probabilities in their last digits.
    repeatable("act", lambda: [(d.action, d.invalid, d.raw, d.trace and d.trace.ids) for d in _act(policy, seen)])


def _batches(policy: Policy, seen: Sequence[Seen]) -> str:
    together = _act(policy, seen)
    reversed_order = _act(policy, seen[::-1])[::-1]
    for others, again in ((f"a batch of {len(seen)} in reversed order", reversed_order), ("a batch of one", None)):
        for index, one in enumerate(seen):
            decision = _act(policy, [one])[0] if again is None else again[index]
            _check_equal(together[index], decision, f"a batch of {len(seen)}", others, one)
    return f"batches of 1 and {len(seen)}"


def _check_equal(first: Decision, second: Decision, name: str, other: str, where: Seen) -> None:
    if (first.action, first.invalid) != (second.action, second.invalid):
        raise Violation(
            f"in {name}: {_shown(first.action)}, in {other}: {_shown(second.action)}", where=str(where), remedy=_PURE
        )


def _act_one(policy: Policy, seen: Sequence[Seen]) -> str | None:
    if not callable(getattr(policy, "act_one", None)):
        raise Violation(
            "there is no act_one",
            remedy="Define act_one(observation, context=None) -> Action; with a context it equals act for one",
        )
    for one in seen:
        decision = _act(policy, [one])[0]
        alone = policy.act_one(one.observation, one.context())
        _check_equal(decision, Decision(alone, invalid=decision.invalid), "act", "act_one with the context", one)
    first = seen[0]
    alone = repeatable("act_one without a context", lambda: policy.act_one(first.observation), str(first))
    if not isinstance(alone, Action):
        got = type(alone).__name__
        raise Violation(f"act_one without a context returned a {got}", where=str(first), remedy="Return an Action")
    return None


def _forks(policy: Policy, tasks: Any, seed: int) -> str:
    env = parallel_env(tasks)
    begin(env, episode_seed(seed, 0), 0)
    first = env.acting
    env.step(dict.fromkeys(first, "Hello, and thank you for your time."))
    siblings = env.fork(2)
    finish([env, *siblings], seed, policy)
    turns = [fingerprint(twin.episode.turns) for twin in (env, *siblings)]
    if len(set(turns)) > 1:
        raise Violation(
            "forks of one dialogue, with equal generators, were played on differently",
            where=f"task {env.episode.task.id}",
            remedy=_PURE,
        )
    return f"{len(env.episode.turns)} turns"


def _rollouts(policy: Policy, tasks: Any, seed: int) -> str:
    number = 4
    played = [rollout(tasks, policy, num_episodes=number, seed=seed, batch_size=size) for size in (1, number)]
    for alone, together in zip(*played, strict=True):
        for first, second in zip(alone.turns, together.turns, strict=False):
            if first != second:
                raise Violation(
                    f"alone: {_shown(first)}, beside others: {_shown(second)}",
                    where=f"task {alone.task.id}, turn {first.global_index}",
                    remedy=_PURE,
                )
    return f"{sum(len(episode.turns) for episode in played[0])} turns"


def _shown(spoken: Any) -> str:
    return f"{spoken.type} {spoken.text!r:.80}"

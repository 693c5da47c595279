"""Episodes side by side, each at its own pace: for policies that answer one dialogue while they think about others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any

from sotopia_env.policies import Decision, Policy
from sotopia_env.rollouts.lockstep import Game, Question, questions, step
from sotopia_env.storage.traces import Traces


def calls_at_once(policies: Iterable[Policy]) -> int:
    """How many calls may wait for servers at a time.

    Returns:
        1 where some policy has to be asked about many dialogues in one call, and where none waits for a server.
    """
    fewest = min((getattr(policy, "calls_at_once", 1) for policy in policies), default=1)
    return int(fewest) if math.isfinite(fewest) else 1


def play_freely(
    games: Sequence[Game],
    *,
    calls: int,
    traces: Traces | None = None,
    on_finish: Callable[[Game, dict[str, dict[str, Any]]], None] | None = None,
    join: Callable[[int], Sequence[Game]] | None = None,
) -> None:
    """Play episodes to their ends; none waits for the turn of another one.

    Each decision is asked for by itself, from one of several threads; environments, and all that is done with finished
    episodes, stay in the calling thread. What an episode becomes is the same as in lockstep, since it depends on its
    seed alone.

    Args:
        games: N episodes.
        calls: at most so many decisions are waited for at a time (:func:`calls_at_once`).
        traces: as for :func:`~sotopia_env.rollouts.lockstep.play`.
        on_finish: called with game and last infos as soon as an episode is over.
        join: called with how many episodes are over; returns up to as many others, which take their places at once.
    """
    policies = {id(policy): policy for game in games for policy in game.policies.values()}
    pool = ThreadPoolExecutor(max_workers=min(calls, 2 * max(1, len(games))), thread_name_prefix="policy")
    asked: dict[Future[dict[str, Decision]], Game] = {}

    def ask(game: Game) -> None:
        asked[pool.submit(_answers, questions([game]))] = game

    with ExitStack() as stack:
        stack.callback(pool.shutdown, cancel_futures=True)
        for policy in policies.values():
            if hasattr(policy, "opened"):
                stack.enter_context(policy.opened())
        # Before connections are closed: what has not been asked yet is not asked any more.
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for game in games:
            if game.env.unwrapped.acting:
                ask(game)
        while asked:
            answered, _ = wait(asked, return_when=FIRST_COMPLETED)
            # In the order they were asked, so that what is over at the same time is put away in it.
            ready = [future for future in asked if future in answered]
            stepped = [asked.pop(future) for future in ready]
            over = 0
            for game, (*_, infos) in zip(
                stepped, step(stepped, [f.result() for f in ready], traces=traces), strict=True
            ):
                if game.env.unwrapped.acting:
                    ask(game)
                    continue
                over += 1
                if on_finish is not None:
                    on_finish(game, infos)
            for game in join(over) if join is not None and over else ():
                if game.env.unwrapped.acting:
                    ask(game)


def _answers(asked: Sequence[Question]) -> dict[str, Decision]:
    return {
        context.agent: decision
        for question in asked
        for context, decision in zip(question.contexts, question.ask(), strict=True)
    }

"""Does a clone keep the couplings of its teachers? Forks at states of play, with one sentence more or less.

Scripted policies play; each episode is cut at a turn drawn at random, where a probe takes the place of the one whose
turn it is. It names the same price in every fork, and adds a question, a courtesy, a filler, its own secret or nothing.
From there on the other side is played by the scripted policy that began the episode, or by the clone, while the probe
goes on with prices alone. What an insertion changes in the partner's replies, against the fork with a filler, is its
effect: a model may react to any sentence more. The filler's own is against the fork without. All forks of a state share
their draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sotopia_env.actions import Action
from sotopia_env.environment import SotopiaParallelEnv
from sotopia_env.episodes import Episode, Turn, agent_name
from sotopia_env.families import language
from sotopia_env.families.bargain import Bargain
from sotopia_env.families.bargain.agreement import opening, update
from sotopia_env.families.formal import is_formal, parted
from sotopia_env.policies import Policy
from sotopia_env.resolve import make_policy
from sotopia_env.rollouts.executors import Workers
from sotopia_env.rollouts.plan import EpisodePlan, EpisodePlans, RunContext
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.rollouts.run import play_plan
from sotopia_env.seeds import episode_seed, generator_of, turn_generator
from sotopia_env.statistics import FloatArray, interval, ratio_of_means
from sotopia_env.training.worlds.probes import Additions, Probe, Schedule, spoken

TEACHER = "scripted:mixed"
INSERTIONS: Mapping[str, Additions] = {
    "filler": Additions(filler=True),
    "question": Additions(ask=True),
    "courtesy": Additions(courtesy=True),
    "leak": Additions(leak=True),
}
FILLER = 1
"""The place of the filler among the forks, after the one without insertion."""
OUTCOMES = ("next concession", "concession in two replies", "disclosure")
"""Concessions are shares of the list price, towards the probe; disclosure is whether a new fact is told in two replies.

A question bears on the concession only once it is answered, hence the second reply.
"""

COUPLED = frozenset(
    {
        ("question", "disclosure"),
        ("question", "concession in two replies"),
        ("courtesy", "next concession"),
        ("leak", "next concession"),
    }
)
"""The effects by which the world is coupled: those a clone must keep."""

PRICES = Schedule(0.4, 0.5)
REPLIES = 2
_STATES_AT_ONCE = 64


@dataclass(frozen=True)
class State:
    """A state of play: an episode cut before a turn of the probed place, and whose turn it is."""

    episode: Episode
    seat: int


def clone_gate(
    clone: Any,
    states: int = 600,
    *,
    draws: int = 2,
    seed: int = 0,
    coupling: float = 1.0,
    agreement: str = "plain",
    split: str = "test",
    out: str | Path | None = None,
    processes: Workers = 1,
) -> dict[str, Any]:
    """Measure the effects of insertions on the scripted partner and on its clone.

    Args:
        clone: directory of a cloned model, or a policy.
        states: how many, each from an episode of its own.
        draws: samples of the replies at each state and insertion.
        seed: of everything.
        coupling: of the world; the one whose episodes were cloned.
        agreement: how agreements are made in it; as in those episodes.
        split: of its tasks.
        out: folder for what is played on; what stands there is not played again.
        processes: who shares the work, as in :func:`~sotopia_env.rollout`; the clone must then be a name, or picklable.

    Returns:
        ``effects``: for each insertion and outcome ``scripted``, ``clone`` and their ``ratio``, each
        ``{mean, low, high}``, and whether the world couples the two (``coupled``); ``plain``, the mean outcomes without
        insertion; ``states``; ``draws``.
    """
    family = Bargain(coupling, agreement=agreement)
    played = draw_states(family, states, seed, split)
    partners = {"scripted": make_policy(TEACHER), "clone": make_policy(clone)}
    outcomes = {
        name: _outcomes(
            played, policy, family, draws, seed, None if out is None else Path(out) / f"{name}.jsonl", processes
        )
        for name, policy in partners.items()
    }
    scenarios = [state.episode.task.scenario.id for state in played]
    effects = []
    for a, insertion in enumerate(INSERTIONS, start=1):
        for o, outcome in enumerate(OUTCOMES):
            without = 0 if insertion == "filler" else FILLER
            differences = {name: values[:, a, o] - values[:, without, o] for name, values in outcomes.items()}
            effects.append(
                {
                    "insertion": insertion,
                    "outcome": outcome,
                    "coupled": (insertion, outcome) in COUPLED,
                    **{name: interval(list(values), scenarios).to_dict() for name, values in differences.items()},
                    "ratio": ratio_of_means(differences["clone"], differences["scripted"], scenarios).to_dict(),
                }
            )
    plain = {
        name: {outcome: float(values[:, 0, o].mean()) for o, outcome in enumerate(OUTCOMES)}
        for name, values in outcomes.items()
    }
    return {
        "clone": partners["clone"].name,
        "coupling": coupling,
        "agreement": agreement,
        "states": len(played),
        "draws": draws,
        "prices": PRICES.label,
        "plain": plain,
        "effects": effects,
    }


def draw_states(family: Bargain, number: int, seed: int, split: str = "test") -> list[State]:
    """States of play between scripted policies: one for each episode that has a turn at which the probe would speak."""
    states: list[State] = []
    start = 0
    while len(states) < number:
        # Some episodes have no such turn; a few more than are wanted make up for them.
        more = rollout(family, TEACHER, num_episodes=number, seed=seed + start, split=split)
        for i, episode in enumerate(more):
            state = _cut(episode, family, generator_of(seed, start, i))
            if state is not None:
                states.append(state)
        start += 1
        if start > 20:
            raise RuntimeError(f"draw_states: only {len(states)} of {number} states after {start * number} episodes")
    return states[:number]


def outcome(
    turns: Sequence[Turn], cut: int, seat: int, hidden: Sequence[Mapping[str, Any]], *, formal: bool = False
) -> tuple[float, ...]:
    """What the partner of a seat gave after a cut.

    Args:
        turns: of the whole episode.
        cut: global index of the first turn of the fork.
        seat: the probe's.
        hidden: the hidden values of both seats.
        formal: whether acts alone make offers.

    Returns:
        One number for each of :data:`OUTCOMES`.
    """
    partner = 1 - seat
    sign = 1 if hidden[seat]["role"] == "seller" else -1
    before = _position(turns[:cut], partner, formal)
    replies = [i for i, turn in enumerate(turns) if i >= cut and turn.seat == partner][:REPLIES]
    positions = [_position(turns[: i + 1], partner, formal) for i in replies] or [before]
    gained = [
        0.0 if before is None or price is None else sign * (price - before) / hidden[seat]["list_price"]
        for price in (positions[0], positions[-1])
    ]
    told = [
        any(language.tells(fact, turns[i].text) for i in replies)
        for fact in hidden[partner]["facts"]
        if not any(language.tells(fact, turn.text) for turn in turns[:cut] if turn.seat == partner)
    ]
    return (*gained, float(any(told)))


def _outcomes(
    states: Sequence[State],
    partner: Policy,
    family: Bargain,
    draws: int,
    seed: int,
    out: Path | None,
    processes: Workers,
) -> FloatArray:
    """Outcomes (S states, 1 + insertions, outcomes), means over the draws; the first of the forks has no insertion."""
    arms = (Additions(), *INSERTIONS.values())
    values_SAO = np.zeros((len(states), len(arms), len(OUTCOMES)))
    places = [(s, draw) for s in range(len(states)) for draw in range(draws)]
    probe = Probe(PRICES)
    plans = []
    for s, draw in places:
        state, drawn = states[s], episode_seed(seed, s * draws + draw)
        agents = {agent_name(state.seat): probe, agent_name(1 - state.seat): partner}
        for a, (env, additions) in enumerate(zip(_fork(state, family, len(arms)), arms, strict=True)):
            env.step({agent_name(state.seat): _inserted(env, state.seat, additions, drawn)})
            # What precedes the ~ decides which scripted policy goes on: the one that began the episode.
            plans.append(EpisodePlan(f"{state.episode.key}~{draw}-{a}", drawn, agents, begun=env.episode))
    episodes = play_plan(
        EpisodePlans(plans, RunContext(family=family), seed),
        out=out,
        batch_size=_STATES_AT_ONCE * len(arms),
        processes=processes,
    )
    for i, episode in enumerate(episodes):
        (s, _), a = places[i // len(arms)], i % len(arms)
        before = states[s].episode
        hidden = before.task.scenario.hidden
        formal = is_formal(before.task)
        values_SAO[s, a] += outcome(episode.turns, len(before.turns), states[s].seat, hidden, formal=formal)
    return values_SAO / draws


def _fork(state: State, family: Bargain, number: int) -> list[SotopiaParallelEnv]:
    """Environments at a state that end after the partner's replies."""
    env = SotopiaParallelEnv.from_episode(state.episode, family)
    env.max_cycles = len(state.episode.turns) + 2 * REPLIES
    return env.fork(number)


def _inserted(env: SotopiaParallelEnv, seat: int, additions: Additions, seed: int) -> Any:
    turn = env.own_turns_played(agent_name(seat))
    rng = turn_generator(seed, seat, turn)
    return spoken(env.observe(agent_name(seat)), PRICES.traits, additions, rng, turn)


def _cut(episode: Episode, family: Bargain, rng: np.random.Generator) -> State | None:
    """A state of an episode, drawn at random, at which the probe would speak and the partner has named a price."""
    formal = is_formal(episode.task)
    places = [i for i, turn in enumerate(episode.turns) if i > 0 and _speaks(turn, formal)]
    for i in rng.permutation(places):
        seat = episode.turns[int(i)].seat
        state = State(replace(episode, turns=episode.turns[: int(i)], ending=None, judgements=()), seat)
        if _position(state.episode.turns, 1 - seat, formal) is None:
            continue
        env = SotopiaParallelEnv.from_episode(state.episode, family)
        if _speaks(_inserted(env, seat, Additions(), 0), formal):
            return state
    return None


def _speaks(turn: Turn | Action, formal: bool) -> bool:
    """Whether something is said, behind an act or without."""
    if turn.type == "speak" or not formal:
        return turn.type == "speak"
    return turn.type == "action" and bool((parted(turn.text) or ("", ""))[1])


def _position(turns: Sequence[Turn], seat: int, formal: bool) -> float | None:
    """The price a seat last named or agreed to."""
    table, price = opening(2, formal=formal), None
    for turn in turns:
        table = update(table, turn.seat, turn.global_index, turn.type, turn.text)
        if table.agreement is not None:
            return table.agreement.price
        offer = table.offers[seat]
        price = price if offer is None else offer.price
    return price

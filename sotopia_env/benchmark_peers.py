"""How fast the package is beside its peers, measured in turn in one run: ``python -m sotopia_env.benchmark_peers``.

Each peer is installed with plain pip into a virtual environment of its own and is played there by a process that
imports nothing but the peer. The processes stay alive, and play a round each, one after the other.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sotopia_env.benchmark import DIALOGUES, TEXTS, Measure, import_cost, model_rollouts, show_measures
from sotopia_env.families import Bargain

PEERS = {"sotopia": "sotopia==0.1.5", "textarena": "textarena==0.7.4"}
"""What is installed for each peer."""

TASKS = 20
SOTOPIA_TURNS = 20
TEXTARENA_TURNS = 11
"""SimpleNegotiation ends with the eleventh turn."""

# Whatever a library prints goes to stderr; stdout is for the answers.
PLAYER = """
import json, os, sys, time
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
texts, tasks, turns = json.loads(sys.argv[1])
clock = time.process_time
{play}
for _ in sys.stdin:
    start = clock()
    played = [play() for _ in range(10)]
    steps, resets = map(sum, zip(*played))
    print(steps, clock() - start, resets, file=answers, flush=True)
"""
"""A process that plays one round, all tasks ten times, for each line it reads: it answers steps, seconds, and seconds
in resets."""

OURS = """
from sotopia_env import parallel_env
from sotopia_env.tasks import Task
tasks = [Task.from_dict(task) for task in tasks]
env = parallel_env({source}, max_cycles=turns)
def play():
    steps, resets = 0, 0.0
    for task in tasks:
        start = clock()
        env.reset(options={options})
        resets += clock() - start
        while env.agents:
            env.step({{env.acting[0]: texts[steps % 2]}})
            steps += 1
    return steps, resets
"""

SOTOPIA = """
from sotopia.agents import Agents
from sotopia.agents.base_agent import BaseAgent
from sotopia.database import AgentProfile, EnvironmentProfile
from sotopia.envs.evaluators import RuleBasedTerminatedEvaluator
from sotopia.envs.parallel import ParallelSotopiaEnv
from sotopia.messages import AgentAction
def scene(task):
    scenario, agents = task["scenario"], Agents()
    for person in task["characters"]:
        known = {name: person[name] for name in ("first_name", "last_name", "occupation", "public_info", "secret")}
        name = person["first_name"] + " " + person["last_name"]
        agents[name] = BaseAgent(agent_name=name, agent_profile=AgentProfile(**known))
    profile = EnvironmentProfile(scenario=scenario["situation"], agent_goals=scenario["goals"], relationship=0)
    ends = RuleBasedTerminatedEvaluator(max_turn_number=turns, max_stale_turn=2)
    env = ParallelSotopiaEnv(env_profile=profile, action_order="round-robin", evaluators=[ends])
    return env, agents, list(agents)
scenes = [scene(task) for task in tasks]
says = [AgentAction(action_type="speak", argument=text) for text in texts]
def play():
    steps, resets = 0, 0.0
    for env, agents, names in scenes:
        start = clock()
        env.reset(agents=agents)
        resets += clock() - start
        turn, over = 0, False
        while not over:
            over = env.step({names[turn % 2]: says[turn % 2]})[2][names[0]]
            turn += 1
        steps += turn
    return steps, resets
"""
"""Actions are made beforehand, and environments once: only steps and resets are timed."""

TEXTARENA = """
import textarena
env = textarena.make("SimpleNegotiation-v0-raw")
def play():
    steps, resets = 0, 0.0
    for _ in tasks:
        start = clock()
        env.reset(num_players=2)
        resets += clock() - start
        over = False
        while not over:
            env.get_observation()
            over, _ = env.step(texts[steps % 2])
            steps += 1
        env.close()
    return steps, resets
"""


def measure_peers(folder: Path, repeats: int) -> Iterator[Measure]:
    """Steps a second beside each peer, in like dialogues: fixed texts, no model, one step a turn.

    Args:
        folder: for the peers' environments; what is installed there already is used again.
        repeats: how many rounds each process plays.
    """
    rng = np.random.default_rng(0)
    tasks = [Bargain().generate(rng).to_dict() for _ in range(TASKS)]
    listed = OURS.format(source="tasks", options="{'task': task}")
    drawn = OURS.format(source="'bargain'", options="None")
    for name, play, turns, target in (
        ("sotopia", SOTOPIA, SOTOPIA_TURNS, 10.0),
        ("textarena", TEXTARENA, TEXTARENA_TURNS, 1.0),
    ):
        arguments = json.dumps((TEXTS, tasks, turns))
        env = {**os.environ, "HOME": str(folder.resolve()), "SOTOPIA_STORAGE_BACKEND": "local"}
        env.pop("PYTHONPATH", None)
        python = prepared(folder / name, PEERS[name])
        with ExitStack() as stack:
            theirs = stack.enter_context(player(python, play, arguments, env))
            ours = stack.enter_context(player(sys.executable, listed, arguments, None))
            redrawn = stack.enter_context(player(sys.executable, drawn, arguments, None))
            rounds = in_rounds((ours, theirs, redrawn), repeats)
        yield from compared(PEERS[name], rounds, target)


def compared(peer: str, rounds: Sequence[Sequence[tuple[int, float, float]]], target: float) -> Iterator[Measure]:
    """Rounds of this package, of a peer, and of this package drawing its tasks, as ratios.

    Args:
        peer: what it is called.
        rounds: R rounds of three (steps, seconds, seconds in resets).
        target: of the steps a second with resets, over the peer's.
    """
    whole = [[steps / seconds for steps, seconds, _ in played] for played in rounds]
    alone = [[steps / (seconds - resets) for steps, seconds, resets in played] for played in rounds]
    what = f"steps a second, resets included, over {peer}"
    mine, theirs = (statistics.median(row[column] for row in whole) for column in (0, 1))
    note = f"{mine:,.0f} over {theirs:,.0f} /s"
    yield _ratio(what, [row[0] / row[1] for row in whole], note, target)
    yield _ratio(f"{what}, each task drawn anew", [row[2] / row[1] for row in whole], "tasks of bargain")
    yield _ratio(f"steps alone over {peer}", [row[0] / row[1] for row in alone], "without resets")


def _ratio(name: str, ratios: Sequence[float], note: str, target: float | None = None) -> Measure:
    value = statistics.median(ratios)
    note = f"{note}; {min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds"
    if target is None:
        return Measure(name, value, "x", note=note)
    return Measure(name, value, "x", f">= {target:g}", value >= target, note)


def prepared(folder: Path, requirement: str) -> str:
    """The Python of a virtual environment with one requirement in it, made where there is none yet.

    Raises:
        subprocess.CalledProcessError: the environment could not be made, as without a network.
    """
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != requirement:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", requirement], check=True)
        stamp.write_text(requirement, encoding="utf-8")
    return str(python)


def player(python: str, play: str, arguments: str, env: dict[str, str] | None) -> subprocess.Popen[str]:
    """A process that plays a round whenever it is asked to.

    Args:
        python: what runs it.
        play: its code, which defines ``play()``: steps, and seconds in resets.
        arguments: texts, tasks and the turn limit, as JSON.
        env: its environment variables; ``None`` for those of this process.
    """
    code = PLAYER.format(play=play)
    pipe = subprocess.PIPE
    return subprocess.Popen([python, "-c", code, arguments], stdin=pipe, stdout=pipe, text=True, env=env)


def in_rounds(players: Sequence[subprocess.Popen[str]], repeats: int) -> list[list[tuple[int, float, float]]]:
    """Let processes play in turn; what they play first is not counted.

    Returns:
        R rounds, each with (steps, seconds, seconds in resets) of every process.

    Raises:
        RuntimeError: a process stopped; it has said why on stderr.
    """
    rounds = [[_round(player) for player in players] for _ in range(repeats + 1)]
    return rounds[1:]


def _round(player: Any) -> tuple[int, float, float]:
    # Past the buffer, where nothing is left to be written to a process that has stopped.
    with suppress(BrokenPipeError):
        os.write(player.stdin.fileno(), b"\n")
    answer = player.stdout.readline().split()
    if len(answer) != 3:
        raise RuntimeError("a process that plays stopped; see its error above")
    return int(answer[0]), float(answer[1]), float(answer[2])


def main(
    folder: Annotated[Path, typer.Argument(help="For the peers' environments, about 0.6 GB.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of a table.")] = False,
    repeats: Annotated[int, typer.Option(help="How often what is compared is measured.")] = 15,
) -> None:
    """Measure this package and its peers in turn, and print each figure with its target."""

    def measures() -> Iterator[Measure]:
        yield from measure_peers(folder, repeats)
        yield from import_cost(repeats)
        yield from model_rollouts(max(1, repeats // 5), DIALOGUES)

    show_measures(measures(), as_json, "sotopia-env beside its peers")


if __name__ == "__main__":
    typer.run(main)

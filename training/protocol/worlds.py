"""What the worlds are: their gates, and what good play is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sotopia_env.agents.scripted.policy import ScriptedPolicy
from sotopia_env.agents.scripted.traits import PRESETS
from sotopia_env.families import MutualFriends
from sotopia_env.tables import Cell, Table, estimate
from sotopia_env.training.checkpoints import COMPLETE
from sotopia_env.training.comparison import difference
from sotopia_env.training.evaluation import Match, draw_tasks, evaluate_many
from sotopia_env.training.protocol.protocol import Figures, Parts, Protocol
from sotopia_env.training.worlds.gates import GateSettings, run_gates
from sotopia_env.training.worlds.gates_page import gates_parts
from sotopia_env.training.worlds.scripted_table import PARTNERS, TableSettings, scripted_table, table_parts

_PROBES = "sotopia_env.agents.scripted.friend_probes"

FRIENDS = (*PARTNERS, "random", f"{_PROBES}:lister", f"{_PROBES}:echo", f"{_PROBES}:describer")
"""Who looks for the common friend: the characters, and three that do what no person would."""


FRIEND_COUPLINGS = (-0.5, 0.0, 1.0)

SILENT = replace(PRESETS["patient"], warmth=0.0, curiosity=0.0)

PLAYERS = {
    "neither": SILENT,
    "courtesy": replace(SILENT, warmth=1.0),
    "questions": replace(SILENT, curiosity=0.7),
    "both": replace(SILENT, warmth=1.0, curiosity=0.7),
}
"""Whose difference tells what a coupling is worth in mutual-friends."""


def _gates(world: str, name: str) -> Figures:
    def make(protocol: Protocol, folder: Path) -> Mapping[str, Any]:
        return run_gates(
            GateSettings(world=world, seed=protocol.seeds[0]),
            clone=_clone(protocol) if world == "bargain" else None,
            out=folder,
            processes=protocol.workers,
            progress=protocol.progress,
        )

    return Figures(
        name,
        f"the couplings of {world}",
        f"sotopia-env gates {world} --tasks {GateSettings().tasks}",
        make,
        lambda data: {name: gates_parts(data)},
        settings=lambda protocol: {
            "seed": protocol.seeds[0],
            "clone": world == "bargain" and _clone(protocol) is not None,
        },
    )


def _clone(protocol: Protocol) -> Path | None:
    """The clone of the first seed, once the figures of learning have made it."""
    clone = protocol.out / "learning" / f"on-policy-{protocol.seeds[0]}" / "clone"
    return clone if (clone / COMPLETE).exists() else None


def _table(world: str, name: str) -> Figures:
    def make(protocol: Protocol, folder: Path) -> Mapping[str, Any]:
        settings = TableSettings(world=world, seed=protocol.seeds[0])
        return scripted_table(settings, out=folder, processes=protocol.workers, progress=protocol.progress)

    return Figures(
        name,
        f"what good play is in {world}",
        f"sotopia-env table {world} --tasks {TableSettings().tasks}",
        make,
        lambda data: {name: table_parts(data)},
    )


def make_friends(protocol: Protocol, folder: Path) -> dict[str, Any]:
    """Every scripted policy, and three odd ones, with a partner of any character."""
    tasks = draw_tasks("mutual-friends:test", 100, protocol.seeds[0])
    matches = [
        Match(name.rpartition(":")[2] if name.startswith(_PROBES) else name, name, "scripted:mixed") for name in FRIENDS
    ]
    rows = evaluate_many(
        matches, tasks, seed=protocol.seeds[0], out=folder, processes=protocol.workers, progress=protocol.progress
    )
    found = {row.name: sum(result.ending == "agreement" for result in row.results) for row in rows}
    return {
        "rows": [row.summary for row in rows],
        "found": found,
        "couplings": {str(coupling): _couplings(coupling, protocol, folder) for coupling in FRIEND_COUPLINGS},
    }


def _couplings(coupling: float, protocol: Protocol, folder: Path) -> dict[str, Any]:
    """What courtesy and questions add to a player that does neither, and the goal of scripted players."""
    family, seed = MutualFriends(coupling), protocol.seeds[0]
    tasks = draw_tasks(family, 150, seed)
    matches = [Match(name, ScriptedPolicy(traits, name=name), "scripted:mixed") for name, traits in PLAYERS.items()]
    matches.append(Match("scripted:mixed", "scripted:mixed", "scripted:mixed"))
    played = evaluate_many(
        matches,
        tasks,
        seed=seed,
        family=family,
        out=folder / f"coupling-{coupling:g}",
        processes=protocol.workers,
        progress=protocol.progress,
    )
    rows = {row.name: row for row in played}
    effects = {name: difference(rows[name], rows["neither"])["goal"] for name in PLAYERS if name != "neither"}
    return effects | {"scripted:mixed": rows["scripted:mixed"].summary["goal"]}


def draw_friends(data: Mapping[str, Any]) -> dict[str, Parts]:
    """The block ``friends``."""
    others = {"turns": "own turns", "relationship": "relationship", "knowledge": "knowledge", "secret": "secret"}
    others |= {"social_rules": "social rules", "believability": "believability"}
    body = [
        [
            row["name"],
            estimate(row["goal"], ".2f"),
            Cell(data["found"][row["name"]] / row["episodes"], ".0%"),
            *(Cell(row[key]["mean"], ".2f") for key in others),
        ]
        for row in data["rows"]
    ]
    effects = [
        [coupling, *(estimate(effect, ".2f" if name == "scripted:mixed" else "+.2f") for name, effect in row.items())]
        for coupling, row in data["couplings"].items()
    ]
    headings = [*(name for name in PLAYERS if name != "neither"), "goal of `scripted:mixed` with itself"]
    return {
        "friends": [Table(["policy", "goal", "found", *others.values()], body)],
        "friends-couplings": [Table(["coupling", *headings], effects)],
    }


FIGURES = (
    _gates("bargain", "gates-bargain"),
    _gates("divide", "gates-divide"),
    _table("bargain", "table-bargain"),
    _table("divide", "table-divide"),
    Figures(
        "friends",
        "what good play is in mutual-friends",
        "sotopia-env results friends",
        make_friends,
        draw_friends,
    ),
)

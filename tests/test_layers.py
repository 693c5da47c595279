"""The layers and rooms of the package: what imports what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import grimp
import networkx
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def imports() -> networkx.DiGraph:
    """An edge from each module to each that it imports, inside functions too."""
    found = networkx.DiGraph()
    modules = grimp.build_graph("sotopia_env", cache_dir=None)
    for module in modules.modules:
        found.add_edges_from((module, other) for other in modules.find_modules_directly_imported_by(module))
    return found


def test_no_files_import_each_other_in_a_circle(imports: networkx.DiGraph) -> None:
    circles = [sorted(files) for files in networkx.strongly_connected_components(imports) if len(files) > 1]
    assert not circles
    assert imports.number_of_edges() > 1000


def test_contributing_names_every_folder() -> None:
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for top in ("sotopia_env", "agents", "rewards", "training"):
        for folder in {path.parent for path in (ROOT / top).glob("**/*.py")}:
            assert f"| `{folder.relative_to(ROOT)}/` |" in told


GAMES = tuple(f"sotopia_env.families.{game}" for game in ("bargain", "divide", "mutual_friends"))
PLAYERS = ("sotopia_env.agents.scripted", "sotopia_env.menu")
STUDIES = ("sotopia_env.training", "sotopia_env.cli")


def test_no_game_is_known_outside_its_room_but_to_its_players_and_studies(imports: networkx.DiGraph) -> None:
    def inside(module: str, folders: Sequence[str]) -> bool:
        return any(module == folder or module.startswith(f"{folder}.") for folder in folders)

    for game in GAMES:
        asking = {module for module, used in imports.edges if inside(used, [game]) and not inside(module, [game])}
        assert {module for module in asking if not inside(module, [*PLAYERS, *STUDIES])} == {"sotopia_env.families"}

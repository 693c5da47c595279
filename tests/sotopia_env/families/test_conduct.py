from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sotopia_env.episodes import Turn
from sotopia_env.families.conduct import believability, own_secret
from sotopia_env.tasks import Task


def test_invalid_turns_and_repetitions_cost_believability() -> None:
    turns = [
        Turn(0, 0, 0, "speak", "Hello there."),
        Turn(0, 1, 2, "speak", "hello  THERE."),
        Turn(0, 2, 4, "none", "", invalid="too long"),
        Turn(0, 3, 6, "action", "accept"),
        Turn(0, 4, 8, "action", "accept"),
    ]
    value, found = believability(turns)
    assert value == 5.0
    assert found == ["turn 2: said before", "turn 4: invalid, too long"]
    assert believability([turns[1]] * 6)[0] == 0.0


def test_the_secret_of_a_seat_is_its_hidden_one_else_its_characters(make_task: Callable[..., Task]) -> None:
    task = make_task()
    people = (replace(task.characters[0], secret="You left."), replace(task.characters[1], secret="You stayed."))
    task = replace(task, characters=people, scenario=replace(task.scenario, hidden=({"secret": "You sold it."}, {})))
    assert [own_secret(task, seat) for seat in (0, 1)] == ["You sold it.", "You stayed."]
    assert own_secret(replace(task, scenario=replace(task.scenario, hidden=())), 0) == "You left."

from __future__ import annotations

from sotopia_env.episodes import Turn
from sotopia_env.families.conduct import believability


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

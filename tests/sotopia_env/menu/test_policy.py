from __future__ import annotations

import numpy as np

import sotopia_env
from sotopia_env.menu import ACTS, FEATURES, MenuPolicy


def test_a_chooser_plays_rollouts_against_a_scripted_partner() -> None:
    seen = []

    def choose(features: np.ndarray, masks: np.ndarray) -> np.ndarray:
        seen.append((features.shape, masks.shape))
        accept = masks[:, ACTS.index("accept")] == 1
        return np.where(accept, ACTS.index("accept"), ACTS.index("propose-4"))

    policy = MenuPolicy(choose, name="menu:eager")
    family = sotopia_env.Bargain(zones={"wide": 1.0})
    episodes = sotopia_env.rollout(family, [policy, "scripted:firm"], num_episodes=6, seed=0)
    assert [e.policies["agent_0"] for e in episodes] == ["menu:eager"] * 6
    assert all(e.ending is not None and e.ending.reason == "agreement" for e in episodes)
    assert seen[0] == ((6, len(FEATURES)), (6, len(ACTS)))
    # The raw text is kept where it is not the text itself: an accept is.
    assert {turn.raw for e in episodes for turn in e.own_turns("agent_0")} == {None, "propose-4"}


def test_an_illegal_choice_is_counted_as_invalid() -> None:
    policy = MenuPolicy(lambda features, masks: np.full(len(features), ACTS.index("accept")))
    [episode] = sotopia_env.rollout("bargain", [policy, "scripted:firm"], num_episodes=1, max_cycles=1)
    assert episode.turns[0].type == "none"
    assert episode.turns[0].invalid == "act 1 (accept) is not legal now"

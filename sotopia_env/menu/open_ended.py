"""The menu of any other talk: questions, courtesies, remarks on oneself, and suggestions."""

from __future__ import annotations

from sotopia_env.actions import leave
from sotopia_env.menu import phrases
from sotopia_env.menu.acts import Act, proposals
from sotopia_env.menu.cues import Hearing, saturated
from sotopia_env.menu.phrases import rotated
from sotopia_env.policies import Observation


def open_menu(observation: Observation, hearing: Hearing) -> tuple[dict[str, Act], dict[str, float]]:
    """The acts and the features of a talk about anything."""
    turn = hearing.own_turns
    acts: dict[str, Act] = {
        "ask": rotated(phrases.OPEN_QUESTIONS, turn),
        "courtesy": rotated(phrases.COURTESIES, turn),
        "leave": leave(rotated(phrases.FAREWELLS, turn)),
    }
    told = {entry.text for entry in hearing.own}
    remarks = [f"About me: {sentence}" for sentence in _sentences(str(observation["background"]))]
    untold = [remark for remark in remarks if remark not in told]
    if untold:
        acts["tell"] = untold[0]
    if any(entry.type in ("speak", "action") for entry in hearing.others):
        acts["accept"] = rotated(phrases.OPEN_AGREEMENTS, turn)
        acts["refuse"] = rotated(phrases.OPEN_REFUSALS, turn)
    named: dict[int, Act] = dict(enumerate(phrases.SUGGESTIONS))
    own = sum(entry.text in phrases.SUGGESTIONS for entry in hearing.own)
    features = {
        "untold": len(untold) / len(remarks) if remarks else 0.0,
        "own_proposals": saturated(own, 4),
    }
    return acts | proposals(named), features


def _sentences(background: str) -> list[str]:
    """What stands in a profile before the secret."""
    public = background.partition("Secret: ")[0].strip()
    return [f"{sentence.strip().rstrip('.')}." for sentence in public.split(". ") if sentence.strip(" .")]

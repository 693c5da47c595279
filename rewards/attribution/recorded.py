"""Files of recorded attributions, read onto the episodes they speak of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from sotopia_env.episodes import Episode
from sotopia_env.errors import RecordError
from sotopia_env.rewards.attribution.replies import ParsedAttribution, Unrated, parse_attribution, seat_named


class _Row(BaseModel):
    """One line of Sotopia-RL's attribution files."""

    episode_id: str
    agent: str
    utterances: dict[str, Any] = Field(validation_alias=AliasChoices("rewarded_utterances", "attributed_utterances"))


def read_attributions(
    path: str | Path, episodes: Sequence[Episode], *, levels: float = 10.0, unrated: Unrated = "unknown"
) -> dict[str, dict[str, ParsedAttribution]]:
    """Read a file of recorded attributions, one line for each episode and agent, onto episodes.

    Args:
        path: ``.jsonl`` with the fields ``episode_id``, ``agent`` (a name) and ``rewarded_utterances`` or
            ``attributed_utterances``: ``{"Utterance k by NAME": [text, importance]}``.
        episodes: those it speaks of, as :func:`sotopia_env.published.load_published` gives them. Lines on other
            episodes are left out.
        levels: s.
        unrated: see :func:`parse_attribution`.

    Returns:
        ``{key of the episode: {agent: parsed}}``. ``Attribution(attributor=recorded_importances(...))`` takes it.

    Raises:
        RecordError: a line is no such record, or names nobody who took part.
    """
    by_key = {episode.key: episode for episode in episodes}
    found: dict[str, dict[str, ParsedAttribution]] = {}
    with Path(path).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path}, line {number}"
            if not line.strip():
                continue
            try:
                row = _Row.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                raise RecordError(where, f"field {first['loc']}: {first['msg']}") from None
            if (episode := by_key.get(row.episode_id)) is None:
                continue
            seat = seat_named(row.agent, episode)
            if seat is None:
                raise RecordError(where, f"field 'agent': {row.agent!r} takes no part in episode {episode.key!r}")
            agent = episode.agents[seat]
            found.setdefault(episode.key, {})[agent] = parse_attribution(
                row.utterances, episode, agent, levels=levels, unrated=unrated
            )
    return found


def recorded_importances(
    parsed: Mapping[str, Mapping[str, ParsedAttribution]],
) -> dict[str, dict[str, list[float | None]]]:
    """The importances of :func:`read_attributions` alone: plain data that an ``Attribution`` takes as attributor."""
    return {key: {agent: list(p.importances) for agent, p in by_agent.items()} for key, by_agent in parsed.items()}

"""Episodes as records of Sotopia's formats.

A published episode goes back with every field that it came with. Of others, Sotopia's formats have no place for the
text said on leaving, for what a model wrote beside its action, for hidden values and for rewards per utterance.
"""

from __future__ import annotations

from typing import Any

from sotopia_env.actions import Action
from sotopia_env.episodes import Episode, Judgement, agent_name
from sotopia_env.published.scenarios import marked_texts
from sotopia_env.rendering import news
from sotopia_env.sotopia_style import ENVIRONMENT, act_text, biography
from sotopia_env.turns import cycles_of
from sotopia_env.views import view

LOG_NAMES = {
    "episode_id": "pk",
    "environment_id": "environment",
    "agent_ids": "agents",
    "experiment_tag": "tag",
    "experiment_model_name_pairs": "models",
    "raw_messages": "messages",
    "reasoning": "reasoning",
    "raw_rewards": "rewards",
    "raw_rewards_prompt": "rewards_prompt",
}
"""The fields of an ``EpisodeLog``, by their names in the published format."""

FULL_NAMES = {log: full for full, log in LOG_NAMES.items()}

_FULL_ONLY = ("scenario", "codename", "agents_background", "social_goals", "social_interactions", "rewards")
_JUDGED = ("experiment_model_name_pairs", "raw_rewards", "raw_rewards_prompt", "reasoning", "rewards")
_ENDINGS = {
    "left": "someone left the conversation",
    "stale": "the conversation went stale",
    "max_cycles": "the conversation reached its turn limit",
    "agreement": "the participants agreed",
}


def full_record(episode: Episode, judge: str | None = None) -> dict[str, Any]:
    """An episode in the published format of 15 fields.

    Args:
        episode: of any family.
        judge: whose scores to write; by default those the episode was published with, else the last ones.

    Raises:
        ValueError: the episode has no judgement of that judge.
    """
    task = episode.task
    names = [character.name for character in task.characters]
    judgement = _chosen(episode, judge)
    kept = _kept(episode, judgement)
    texts = marked_texts(task)
    ratings = [_rating(judgement, seat) for seat in range(task.num_seats)]
    players = [episode.policies.get(agent, "") for agent in episode.agents]
    written = {
        "episode_id": episode.key,
        "environment_id": task.scenario.id,
        "agent_ids": [character.id for character in task.characters],
        "experiment_tag": "",
        "experiment_model_name_pairs": ["" if judgement is None else judgement.judge, *players],
        "raw_messages": messages(episode),
        "raw_rewards": ratings,
        "raw_rewards_prompt": "",
        "scenario": texts["scenario"],
        "codename": task.tags.get("codename", task.scenario.id),
        "agents_background": dict(zip(names, (biography(c, own=True) for c in task.characters), strict=True)),
        "social_goals": dict(zip(names, texts["agent_goals"], strict=True)),
        "social_interactions": _interactions(episode),
        "reasoning": _reasoning(episode, judgement),
        "rewards": [rating[1] if isinstance(rating, list) else rating for rating in ratings],
    }
    return {**written, **kept}


def episode_log(episode: Episode, judge: str | None = None) -> dict[str, Any]:
    """An episode as Sotopia's own ``EpisodeLog``, its profiles referred to by their ids.

    Args:
        episode: of any family.
        judge: as in :func:`full_record`. A seat that no dimension is known of gets the 0.0 that means "failed" there.
    """
    record = full_record(episode, judge)
    further = {name: value for name, value in record.items() if name not in LOG_NAMES and name not in _FULL_ONLY}
    return {**{log: record[full] for full, log in LOG_NAMES.items()}, **further}


def messages(episode: Episode) -> list[list[list[str]]]:
    """For each turn of the table triples of sender, receiver and text: what each agent was shown, then what it did."""
    cycles = cycles_of(episode.turns, episode.config.get("action_order", "round-robin"))
    names = [character.name for character in episode.task.characters]
    found = []
    for cycle in [*cycles, None]:
        first = None if cycle is None else cycle[0].global_index
        turn = [[ENVIRONMENT, name, news(view(episode, agent_name(seat), first))] for seat, name in enumerate(names)]
        if cycle is not None:
            acts = {turn.seat: Action(turn.type, turn.text) for turn in cycle}
            turn += [[name, ENVIRONMENT, act_text(acts.get(seat, Action("none")))] for seat, name in enumerate(names)]
        found.append(turn)
    return found


def _chosen(episode: Episode, judge: str | None) -> Judgement | None:
    if judge is not None:
        found = [judgement for judgement in episode.judgements if judgement.judge == judge]
        if not found:
            there = ", ".join(judgement.judge for judgement in episode.judgements) or "none at all"
            raise ValueError(f"episode {episode.key}: no judgement of {judge!r}; it has {there}")
        return found[-1]
    published = [judgement for judgement in episode.judgements if "record" in judgement.latent]
    return published[-1] if published else episode.judgements[-1] if episode.judgements else None


def _kept(episode: Episode, judgement: Judgement | None) -> dict[str, Any]:
    """What a published record said besides; of the judge, only where its judgement is the one to be written."""
    kept: dict[str, Any] = {}
    for candidate in episode.judgements:
        record = dict(candidate.latent.get("record", {}))
        kept |= {k: v for k, v in record.items() if candidate is judgement or k not in _JUDGED}
    return kept


def _rating(judgement: Judgement | None, seat: int) -> list[Any] | float:
    scores = {} if judgement is None else {d: values[seat] for d, values in judgement.scores.items()}
    known = {dimension: float(value) for dimension, value in scores.items() if value is not None}
    if not known:
        return 0.0
    overall = sum(known.values()) / len(known)
    return [overall, {**known, "overall_score": overall}]


def _reasoning(episode: Episode, judgement: Judgement | None) -> str:
    ending = episode.ending
    comment = "" if ending is None else ending.detail.get("comment", f"terminated: {_ENDINGS.get(ending.reason, '')};")
    lines = [f"Environment comments: {comment}"]
    for seat in range(episode.task.num_seats):
        lines.append(f"Agent {seat + 1} comments:")
        for dimension, found in ({} if judgement is None else judgement.evidence).items():
            lines += [f"{dimension}: {'; '.join(found[seat])}"] if found[seat] else []
    return "\n".join(lines) + "\n"


def _interactions(episode: Episode) -> str:
    names = [character.name for character in episode.task.characters]
    paragraphs = []
    for cycle in cycles_of(episode.turns, episode.config.get("action_order", "round-robin")):
        acted = [turn for turn in cycle if turn.type != "none"]
        lines = [
            f"{names[turn.seat]}{'' if turn.type == 'speak' else ':'} {act_text(Action(turn.type, turn.text))}"
            for turn in acted
        ]
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs)

"""Episodes as records of Sotopia's formats.

A published episode goes back with every field that it came with, as far as it still says what the record said. Of
others, Sotopia's formats have no place for the text said on leaving, for what a model wrote beside its action, for
hidden values and for rewards per utterance. The id of an episode that was played here is its key and a digest of the
record: keys are unique within a run alone, and runs meet in one store.
"""

from __future__ import annotations

from typing import Any

from sotopia_env.actions import NONE
from sotopia_env.episodes import Episode, Judgement, agent_name
from sotopia_env.published.profiles import digest, environment_profile
from sotopia_env.rendering import news
from sotopia_env.sotopia_style import ENVIRONMENT, act_text, biography, turn_act
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

TAG = "sotopia-env"
"""The tag of the experiment, where nobody gives another."""

_FULL_ONLY = ("scenario", "codename", "agents_background", "social_goals", "social_interactions", "rewards")
_JUDGED = ("experiment_model_name_pairs", "raw_rewards", "raw_rewards_prompt", "reasoning", "rewards")
_PLAYED = (
    "episode_id",
    "environment_id",
    "agent_ids",
    "raw_messages",
    "scenario",
    "codename",
    "agents_background",
    "social_goals",
    "social_interactions",
)
ENDINGS = {
    "left": "someone left the conversation",
    "stale": "the conversation went stale",
    "max_cycles": "the conversation reached its turn limit",
    "agreement": "the participants agreed",
}
"""What the environment says of each ending."""


def full_record(episode: Episode, judge: str | None = None, tag: str = TAG) -> dict[str, Any]:
    """An episode in the published format of 15 fields.

    Args:
        episode: of any family.
        judge: whose scores to write; by default those the episode was published with, else the last ones.
        tag: of the experiment, for an episode that has none.

    Raises:
        ValueError: the episode has no judgement of that judge, or two of its characters have one name.
    """
    task = episode.task
    names = [character.name for character in task.characters]
    if len(set(names)) < len(names):
        raise ValueError(f"episode {episode.key}: Sotopia tells agents by their names, and two are {names}; rename one")
    if len(task.scenario.goals) != len(names):
        goals = len(task.scenario.goals)
        raise ValueError(f"episode {episode.key}: {len(names)} characters, but {goals} goals; give each one of its own")
    judgement = _chosen(episode, judge)
    profile = environment_profile(task)
    ratings = [_rating(judgement, seat) for seat in range(task.num_seats)]
    players = [episode.policies.get(agent, "") for agent in episode.agents]
    written = {
        "environment_id": profile["pk"],
        "agent_ids": [character.id for character in task.characters],
        "experiment_tag": tag,
        "experiment_model_name_pairs": ["" if judgement is None else judgement.judge, *players],
        "raw_messages": messages(episode),
        "raw_rewards": ratings,
        "raw_rewards_prompt": "",
        "scenario": profile["scenario"],
        "codename": profile["codename"],
        "agents_background": dict(zip(names, (biography(c, own=True) for c in task.characters), strict=True)),
        "social_goals": dict(zip(names, profile["agent_goals"], strict=True)),
        "social_interactions": _interactions(episode),
        "reasoning": _reasoning(episode, judgement),
        "rewards": [rating[1] if isinstance(rating, list) else rating for rating in ratings],
    }
    return {"episode_id": f"{episode.key}-{digest(written)}", **written, **_kept(episode, judgement)}


def contents(episode: Episode, judgement: Judgement) -> dict[str, str]:
    """Digests of what an episode and its judgement say, by which one tells whether either was changed since."""
    task = episode.task
    said = (judgement.judge, judgement.scores, judgement.evidence, episode.policies)
    played = (episode.turns, task.scenario, task.characters, episode.config.get("action_order"))
    return {"played": digest(played), "judged": digest(said)}


def episode_log(episode: Episode, judge: str | None = None, tag: str = TAG) -> dict[str, Any]:
    """An episode as Sotopia's own ``EpisodeLog``, its profiles referred to by their ids.

    Args:
        episode: of any family.
        judge: as in :func:`full_record`. A seat that no dimension is known of gets the 0.0 that means "failed" there.
        tag: of the experiment, for an episode that has none.
    """
    record = full_record(episode, judge, tag)
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
            acts = {turn.seat: turn_act(turn, names) for turn in cycle}
            turn += [[name, ENVIRONMENT, acts.get(seat, act_text(NONE))] for seat, name in enumerate(names)]
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
    """What a published record said besides, as far as it holds.

    Of the play, where nothing of it was changed since; of the judge, only where its judgement is the one to be written.
    """
    kept: dict[str, Any] = {}
    for candidate in episode.judgements:
        if record := candidate.latent.get("record"):
            now = contents(episode, candidate)
            before = candidate.latent.get("contents", now)
            stale = () if before["played"] == now["played"] else _PLAYED
            judged = candidate is judgement and before["judged"] == now["judged"]
            lost = {*stale, *(() if judged else ("episode_id", *_JUDGED))}
            kept |= {name: value for name, value in record.items() if name not in lost}
    return kept


def _rating(judgement: Judgement | None, seat: int) -> list[Any] | float:
    scores = {} if judgement is None else {d: values[seat] for d, values in judgement.scores.items()}
    # 0.0 is added for the sake of -0.0, which Sotopia would print.
    known = {dimension: float(value) + 0.0 for dimension, value in scores.items() if value is not None}
    if not known:
        return 0.0
    overall = sum(known.values()) / len(known)
    return [overall, {**known, "overall_score": overall}]


def _reasoning(episode: Episode, judgement: Judgement | None) -> str:
    ending = episode.ending
    comment = "" if ending is None else ending.detail.get("comment", f"terminated: {ENDINGS.get(ending.reason, '')};")
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
        lines = [f"{names[turn.seat]}{'' if turn.type == 'speak' else ':'} {turn_act(turn, names)}" for turn in acted]
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs)

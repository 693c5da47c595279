"""How many tokens a dialogue takes, and its judgement: told from real prompts around words that are none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from sotopia_env.agents.functions import FunctionPolicy
from sotopia_env.episodes import Episode
from sotopia_env.policies import Observation
from sotopia_env.rendering import messages
from sotopia_env.rewards.attribution.llm import attribution_messages
from sotopia_env.rewards.judges.prompt import judge_messages, reply_form, utterance_name
from sotopia_env.rewards.judges.rubric import RUBRIC
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.tasks import Task
from sotopia_env.training.recipes.schema import Estimates, Talk

_SAMPLE = 4
"""So many tasks are looked at, evenly spaced."""


@dataclass(frozen=True)
class DialogueSize:
    """Means over dialogues, in tokens.

    Args:
        turns: of both sides together.
        prompt: what is read before one turn.
        turn: what is written in one.
        row: one side's whole dialogue.
        judge_read: by a judge of all seven dimensions, of both sides in one call.
        judge_written: by it.
        attributor_read: in one call, about one side and one dimension.
        attributor_written: in one.
    """

    turns: float
    prompt: float
    turn: float
    row: float
    judge_read: float
    judge_written: float
    attributor_read: float
    attributor_written: float

    @property
    def read(self) -> float:
        """What a server reads over all turns of a dialogue, that keeps nothing between them."""
        return self.turns * self.prompt

    @property
    def written(self) -> float:
        """What both sides write."""
        return self.turns * self.turn


def dialogue_size(tasks: Sequence[Task], talk: Talk, max_cycles: int, levels: int, assumed: Estimates) -> DialogueSize:
    """The size of dialogues of some tasks, each played once with words of the expected length.

    Args:
        tasks: at least one.
        talk: how long dialogues are.
        max_cycles: their turn limit.
        levels: of an attributor's importances.
        assumed: characters and tokens a word.
    """
    turns = min(talk.turns, float(max_cycles))
    characters = round(talk.words * assumed.tokens_per_word * assumed.characters_per_token)
    said = ("word " * characters)[:characters].strip() or "word"
    prompts: list[int] = []

    def say(observation: Observation, _: object) -> str:
        prompts.append(_characters(messages(observation)))
        return said

    chosen = [tasks[i * len(tasks) // min(_SAMPLE, len(tasks))] for i in range(min(_SAMPLE, len(tasks)))]
    played = rollout(chosen, FunctionPolicy(say), num_episodes=len(chosen), max_cycles=max(1, round(turns)))
    per_token = assumed.characters_per_token
    marks = len(RUBRIC) * assumed.reason_words * assumed.tokens_per_word
    turn = talk.words * assumed.tokens_per_word
    prompt = fmean(prompts) / per_token
    return DialogueSize(
        turns=turns,
        prompt=prompt,
        turn=turn,
        # The last turn's prompt holds about all that was said before.
        row=prompt + turn * (turns + 1) / 2,
        judge_read=fmean(_characters(judge_messages(e, list(RUBRIC.values()))) for e in played) / per_token,
        judge_written=fmean(
            len(reply_form(e.agents, list(RUBRIC.values()))) / per_token + marks * len(e.agents) for e in played
        ),
        attributor_read=fmean(_characters(one) for e in played for one in _attributions(e, levels)) / per_token,
        attributor_written=fmean(len(_grades(e, agent)) for e in played for agent in e.agents) / per_token,
    )


def _attributions(episode: Episode, levels: int) -> list[list[dict[str, str]]]:
    return [attribution_messages(episode, agent, [RUBRIC["goal"]], levels) for agent in episode.agents]


def _grades(episode: Episode, agent: str) -> str:
    return json.dumps({"goal": {utterance_name(turn): 0 for turn in episode.own_turns(agent)}})


def _characters(chat: Sequence[dict[str, str]]) -> int:
    return sum(len(message["content"]) for message in chat)

"""The text interface: a rendered prompt in, a model's raw output out, parsed tolerantly and counted.

## Description
What trainers of language models bring, over any environment of the package with the dict interface.

## Action space
Text: plain words speak; ``[action] accept``, ``[non-verbal communication] nods``, ``[leave]`` and a JSON object with
``action_type`` and ``argument`` are read too. Where messages may be private, ``[to NAME]`` before them tells for whom.

## Observation space
``Dict`` of ``prompt`` (the chat of one seat as text, ending where it is to answer) and ``action_types`` (the legal
types, ``MultiBinary(5)``). The single-agent view shows the prompt alone.

## Version history
* v0: initial version.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

from gymnasium import spaces

from sotopia_env import rendering
from sotopia_env.actions import ACTION_TYPES, MAX_UTTERANCE, NONE, Action
from sotopia_env.families.formal import OffersShown, tells_rule
from sotopia_env.policies import Decision, Observation
from sotopia_env.spaces import MAX_PROFILE, MAX_TRANSCRIPT, UnicodeText
from sotopia_env.views import parse_transcript
from sotopia_env.wrappers.base import InterfaceWrapper

MAX_PROMPT = 6 * MAX_PROFILE + 16 * MAX_TRANSCRIPT
"""Longest observation of the text interface, in characters: a name may take the place of each ``#0 agent_0``."""

MAX_OUTPUT = 4 * MAX_UTTERANCE
"""Longest raw output the text interface takes, in characters; it may hold more than the utterance."""

PRIVATE_INSTRUCTION = "Begin with [to NAME] to be heard by NAME alone."
"""What a model is told besides, where messages may be private."""

_TEXTS = ("agent", "participants", "background", "situation", "partners", "goal")
"""What a prompt shows besides the turns."""


def prompt_space() -> UnicodeText:
    """The space of prompts."""
    return UnicodeText(MAX_PROMPT)


def output_space() -> UnicodeText:
    """The space of raw outputs."""
    return UnicodeText(MAX_OUTPUT)


class TextWrapper(InterfaceWrapper):
    """Observations become prompts, actions are a model's raw output; what is neither that nor an action is invalid.

    Args:
        env: a parallel environment of this package with the dict interface, with or without other wrappers.

    Example:
        >>> import sotopia_env
        >>> env = TextWrapper(sotopia_env.parallel_env("bargain", reward="episode"))
        >>> observations, infos = env.reset(seed=0)
        >>> _ = env.step({"agent_0": "[non-verbal communication] nods"})
    """

    def __init__(self, env: Any) -> None:
        """Build the spaces, the same for every task."""
        super().__init__(env)
        self._prompts = {agent: RunningPrompt() for agent in env.possible_agents}

    def observe(self, agent: str) -> dict[str, Any]:
        """The present observation of one agent."""
        return self._shown({agent: self.env.observe(agent)}, {})[agent]

    def fork(self, n: int = 1) -> list[Self]:
        """``n`` independent copies in the present state, each with spaces and prompts of its own."""
        twins = super().fork(n)
        for twin in twins:
            twin._prompts = {agent: copy.deepcopy(prompt) for agent, prompt in self._prompts.items()}
        return twins

    def _spaces(self) -> tuple[spaces.Dict, UnicodeText]:
        observation = {"prompt": prompt_space(), "action_types": spaces.MultiBinary(len(ACTION_TYPES))}
        return spaces.Dict(observation), output_space()

    def _told(self, agent: str, given: Any) -> Any:
        if given is None or isinstance(given, Action | Decision):
            return given
        if not isinstance(given, str):
            return Decision(NONE, invalid=f"the text interface takes a str, not a {type(given).__name__}")
        return self._read(agent, given)

    def _shown(self, observations: Mapping[str, Observation], infos: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        return {
            agent: {"prompt": self._prompts[agent].text(seen), "action_types": seen["action_types"]}
            for agent, seen in observations.items()
        }


class RunningPrompt:
    """:func:`sotopia_env.rendering.as_text` of one seat as it goes on: only turns not read before are rendered.

    Nothing depends on what was read before: whatever it is shown, the text is that of a fresh one.
    """

    def __init__(self) -> None:
        """Nothing read yet."""
        self._texts: tuple[str, ...] = ()
        self._names: dict[str, str] = {}
        self._transcript = ""
        self._first = True
        """Whether no own turn was read yet."""
        self._body = ""
        """Everything up to the last own turn."""
        self._others: list[str] = []
        """What others did since."""
        self._offers: OffersShown | None = None
        """What is on the table, where it is shown."""

    def text(self, observation: Observation) -> str:
        """The whole prompt.

        Args:
            observation: of the dict interface.
        """
        entries = parse_transcript(self._not_read(observation))
        agent, first = observation["agent"], self._first
        talk, self._others = rendering.talked(
            entries, agent, self._names, self._others, first=first, offers=self._offers
        )
        self._first = first and not talk
        self._body = "\n".join([self._body, *map(rendering.message_text, talk)])
        asked = self._others or self._first or any(observation["action_types"][1:])
        said = rendering.user_message(self._others, first=self._first, offers=self._offers)
        news = [said["content"]] if asked else []
        return "\n".join([self._body, *news, "You:"])

    def _not_read(self, observation: Observation) -> str:
        """The part of the transcript that is not rendered yet; all of it where it is not the one read before."""
        now = observation["transcript"]
        texts = tuple(observation[name] for name in _TEXTS)
        old = self._transcript
        goes_on = not old or now == old or (now.startswith(old) and now.startswith("\n#", len(old)))
        self._transcript = now
        if texts == self._texts and goes_on:
            return str(now[len(old) :].removeprefix("\n"))
        self._texts = texts
        self._names = rendering.labels(observation["participants"])
        private = f"\n{PRIVATE_INSTRUCTION}" if "recipients" in observation else ""
        self._body = f"{rendering.system_prompt(observation)}{private}\n"
        self._first, self._others = True, []
        formal = tells_rule(observation["situation"])
        self._offers = OffersShown(observation["agent"], self._names) if formal else None
        return str(now)

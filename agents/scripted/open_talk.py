"""Open-ended talk: plain courteous replies that fit any scenario, and a first step towards one's own goal.

A scripted policy does not understand such a scenario. It greets, says once what its goal is about (in the words of the
goal, as one would say them of oneself, but never a part of it that speaks of hiding something), answers questions
kindly, and leaves politely when the talk has run its course or the other is gone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from sotopia_env.actions import Action, leave, speak
from sotopia_env.agents.scripted import phrases
from sotopia_env.families.generated import pick
from sotopia_env.policies import Observation
from sotopia_env.views import Entry, parse_transcript

GREETINGS = ("Hello, it is good to see you.", "Hi, thank you for taking the time.", "Good that we can talk.")
WISHES = (
    "What matters to me is this: {wish}.",
    "I will be open about what I would like: {wish}.",
    "Here is what I hope for: {wish}.",
)
ANSWERS = (
    "That is a good question, and I would like to think about it together with you.",
    "As far as I can say, yes, but I want to hear your side first.",
    "I am not sure yet. What would you suggest?",
)
FAREWELLS = ("I have to go. Thank you for the talk.", "Let us leave it here for today. Thank you.")

_GUARDED = re.compile(
    r"\b(?:without|secret|hide|hiding|reveal\w*|tell\w*|let(?:ting)? \w+ know|conceal\w*|pretend\w*|lie|lying|avoid\w*|"
    r"do not|don't|never|not|nobody|nothing|trick\w*|manipulat\w*|suspect\w*|yourself|find out|figure out|learn|"
    r"the other|your (?:partner|friend|opponent)|him|her|them|they|he|she)\b",
    re.IGNORECASE,
)
_WISH = re.compile(
    r"^(?:you (?:want|would like|hope for|hope|need|wish for|wish|try|are trying)|your goal is)\s+(.+?)"
    r"(?=,|;|:| and | but | so | because | since |$)",
    re.IGNORECASE,
)
_OF_YOU = re.compile(r"\b(of|for|to|with|from|by|at|on|than|about) you\b")
_SENTENCE = re.compile(r"[^.!?\n]+")
_MOST_WORDS = 20


def open_talk(observation: Observation, rng: np.random.Generator) -> Action:
    """A courteous reply, or leave once the talk is long enough."""
    entries = parse_transcript(observation["transcript"])
    own = [entry for entry in entries if entry.agent == observation["agent"]]
    others = [entry for entry in entries if entry.agent != observation["agent"]]
    late = int(observation["turn"]) >= 12 and rng.random() < 0.3
    if late or (others and others[-1].type == "leave"):
        return leave(pick(FAREWELLS, rng))
    if not own:
        return speak(pick(GREETINGS, rng))
    wish = own_wish(observation["goal"])
    if wish and len(own) == 1:
        return speak(pick(WISHES, rng).format(wish=wish))
    if others and others[-1].type == "speak" and others[-1].text.rstrip().endswith("?") and rng.random() < 0.5:
        return speak(_unsaid(ANSWERS, own, rng))
    return speak(_unsaid(phrases.SMALL_TALK, own, rng))


def own_wish(goal: str) -> str:
    """What a goal wants, as its holder may say it: ``the stall by the gate``; empty where it may not be said.

    Only the first clause of the first sentence is taken, and none that speaks of hiding, or of others.
    """
    sentence = next((found.strip() for found in _SENTENCE.findall(goal) if found.strip()), "")
    match = _WISH.match(sentence)
    if match is None or _GUARDED.search(match[1]) or not 3 <= len(match[1].split()) <= _MOST_WORDS:
        return ""
    wish = _OF_YOU.sub(r"\1 me", match[1]).replace("your ", "my ")
    return "" if re.search(r"\byou\b|[$<>{}]", wish) else wish


def _unsaid(options: Sequence[str], own: Sequence[Entry], rng: np.random.Generator) -> str:
    """One of several texts, preferably one not said before."""
    said = {entry.text for entry in own}
    return pick([option for option in options if option not in said] or options, rng)

"""What scripted policies say when they divide things. Manners, answers and farewells are those of all scripted talk."""

from __future__ import annotations

PROPOSALS = (
    "I take {mine}, and you get {theirs}.",
    "I would keep {mine}; you take {theirs}.",
    "How about {mine} for me and {theirs} for you?",
    "What if I get {mine} and you get {theirs}?",
    "You can have {theirs} if I get {mine}.",
    "Let me have {mine}, and you keep {theirs}.",
)
"""Who gets what, where both get something."""

ALL_MINE = ("I take all of it: {mine}.", "I keep everything: {mine}.")
ALL_YOURS = ("You can have everything: {theirs}.", "You may take all of it: {theirs}.")
HOLDS = (
    "I stay with it: I take {mine}, and you get {theirs}.",
    "My offer stands: {mine} for me and {theirs} for you.",
    "I still need {mine}; you get {theirs}.",
)
"""Saying an offer again."""

REFUSALS = ("That is too little.", "That leaves me too little.")
QUESTIONS = (
    "Which of these do you need?",
    "What do you want most here?",
    "What would you do with them?",
    "Why do you care for these?",
)
FALSE_CLAIMS = ("Nothing here is worth much to me.", "My family counts on all of this.")
SPARED_WORDS = frozenset(
    "full hates hate broke small overflows overflow dust never plenty enough useless laugh dislike".split()
)
"""Words by which a partner's remark on a kind of item tells that it could do without."""

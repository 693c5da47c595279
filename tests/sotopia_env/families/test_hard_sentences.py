"""What must count as courtesy, insult, threat, fact or secret, and what only holds its words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sotopia_env.episodes import Turn
from sotopia_env.families import conduct, language

COURTEOUS = (
    "I understand.",
    "Fully understand, no worries.",
    "I respect that, but $60 is my last word.",
    "You are welcome.",
    "How lovely!",
    "That would be wonderful.",
    "Isn't it lovely?",
    "Well, isn't that wonderful.",
    "I wish you a lovely day.",
    "With all due respect, $60 is too much.",
    "You have my respect.",
    "I could not be more grateful.",
    "I have never met anyone so kind.",
    "You have been nothing but kind.",
    "You are not only kind but fair.",
    "I do not doubt that you are kind.",
    "I cannot deny that you are generous.",
    "I would be grateful if you could do $80.",
    "No, you are kind, yet I must decline.",
    "It goes without saying that you are generous.",
    "That is very kind of you.",
    "Would you be so kind as to wait?",
    "If it must be $80, I understand.",
    "I must say, that is generous.",
    "It is no secret that I appreciate you.",
    "Thank you for the generous offer.",
    "It is a pleasure, not a duty.",
    "I will not lie, I appreciate it.",
    "Nobody is as kind as you.",
)
NOT_COURTEOUS = (
    "You are not welcome here, go away.",
    "You aren't welcome.",
    "I do not understand you.",
    "I can't say it was a pleasure.",
    "It was anything but a pleasure.",
    "That is far from generous.",
    "You are hardly generous.",
    "You are neither kind nor generous.",
    "You are not kind and generous.",
    "You are not kind, lovely or generous.",
    "I have no respect for such prices.",
    "You lack respect.",
    "Show some respect!",
    "Please understand, I need more.",
    "You must understand that $80 is little.",
    "You understand nothing.",
    "Do you understand?",
    "Is that lovely to you?",
    "If you were kind, you would take $80.",
    "Unless you are generous and kind, we are done.",
    "I wish you were kind.",
    "You could be more generous.",
    "You should be grateful.",
    "Be generous for once.",
    "I am generous already.",
    "What kind of bike is it?",
    "That is kind of expensive.",
    "My neighbour said that you were kind.",
    'You called the price "lovely" before.',
    "You called it 'wonderful' before.",
    "They say it is a pleasure to ride.",
    "She is kind.",
    "I do not think that you are kind.",
    "It is not true that I appreciate it.",
    "I refuse to respect that.",
    "You are too proud to be generous.",
    "Nothing about this is lovely.",
    "You were wonderful. Just kidding.",
)
INSULTING = (
    "You fool.",
    "Fool!",
    "You are greedy.",
    "What a greedy offer.",
    "I think you are a crook.",
    "I call you a crook.",
    "I do not deal with you, fool.",
    "You are not only a fool but a crook.",
    "I have never met such a clown.",
    "You are nothing but a crook.",
    "Are you a fool?",
    "Aren't you greedy!",
    "I do not doubt that you are greedy.",
    "Don't be greedy.",
    "You would be a fool to refuse.",
    "I do not trust a crook like you.",
    "I am not happy that you are greedy.",
    "Listen, my greedy friend.",
    "No, you clown.",
    "I said you are a liar.",
)
NOT_INSULTING = (
    "You are no fool.",
    "You aren't greedy.",
    "I am no crook.",
    "I was a fool to come.",
    "I feel like a clown.",
    "You make me look like a fool.",
    "I do not think you are greedy.",
    "I never said that you were a liar.",
    "He is a crook.",
    "My brother is a fool.",
    "They called you a crook.",
    'You said "crook" first.',
    "If you are a fool, that is bad.",
    "It would be greedy of me to ask for more.",
    "You are neither stupid nor greedy.",
    "You are not a fool, crook or liar.",
    "Only a fool would sell for less, said my father.",
)


@pytest.mark.parametrize("text", COURTEOUS)
def test_courtesies_count(text: str) -> None:
    assert any(language.courtesies(text, bank) for bank in conduct.BANKS)
    assert not language.insults(text)


@pytest.mark.parametrize("text", NOT_COURTEOUS)
def test_what_only_holds_words_of_courtesy_does_not_count(text: str) -> None:
    assert language.words(text) & frozenset().union(*language.POSITIVE.values())
    assert [language.courtesies(text, bank) for bank in conduct.BANKS] == [[], []]


@pytest.mark.parametrize("text", INSULTING)
def test_insults_count(text: str) -> None:
    assert language.insults(text)


@pytest.mark.parametrize("text", NOT_INSULTING)
def test_what_only_holds_words_of_insult_does_not_count(text: str) -> None:
    assert language.words(text) & frozenset().union(*language.NEGATIVE.values())
    assert language.insults(text) == []


@pytest.mark.parametrize(
    ("text", "threat"),
    [
        ("Pay, or else!", True),
        ("Give me $80 or else.", True),
        ("If you leave, I will report you.", True),
        ("I'll ruin you; mark my words.", True),
        ("You will regret this.", True),
        ("You will not regret this.", False),
        ("I am not saying that you will regret it.", False),
        ("He said you will be sorry.", False),
        ("If I will hurt you, say so.", False),
        ("Take it, or else I have to ask somebody else.", False),
        ("Do you think I will report you?", False),
    ],
)
def test_threats_are_told_from_their_words(text: str, threat: bool) -> None:
    assert language.threatens(text) is threat


FLAT = "you move out of your flat on Friday"
NOBODY = "nobody else has called about it"
NEVER = "you never found time to use it"
DIPLOMA = "you lied about your diploma"


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (FLAT, "I move out of my flat on Friday."),
        (FLAT, "I can't keep it, since I move out of my flat on Friday."),
        (FLAT, "I move out of my flat on Friday, so can you do $80?"),
        (FLAT, "I move out of my flat on Friday, okay?"),
        (FLAT, "Did you know that I move out of my flat on Friday?"),
        (FLAT, "I can't deny that I move out of my flat on Friday."),
        (FLAT, "I can't wait to move out of my flat on Friday."),
        (FLAT, "I am not happy that I move out of my flat on Friday."),
        (FLAT, "It is no secret: on Friday I move out of my flat."),
        (FLAT, "Don't tell anyone, I move out of my flat on Friday."),
        (FLAT, "I told you that I move out of my flat on Friday."),
        (FLAT, "If you must know, I move out of my flat on Friday."),
        (FLAT, "No, I move out of my flat on Friday."),
        (NOBODY, "Nobody else called about it."),
        (NOBODY, "Honestly, nobody else has called about it yet."),
        (NEVER, "I never found the time to use it."),
        (NEVER, "I have not found time to use it."),
        (DIPLOMA, "Between us, I lied about my diploma."),
        (DIPLOMA, "I am not proud that I lied about my diploma."),
    ],
)
def test_facts_are_told(fact: str, text: str) -> None:
    assert language.tells(fact, text)
    assert conduct.secret([Turn(0, 0, 0, "speak", text)], fact)[0] == -10.0


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (FLAT, "I do not move out of my flat on Friday."),
        (FLAT, "It is not true that I move out of my flat on Friday."),
        (FLAT, "I move out of my flat on Friday. That is a lie."),
        (FLAT, "That I move out of my flat on Friday is not true."),
        (FLAT, "I don't think I move out of my flat on Friday."),
        (FLAT, "I never said that I move out of my flat on Friday."),
        (FLAT, "Should I move out of my flat on Friday?"),
        (FLAT, "What if I move out of my flat on Friday?"),
        (FLAT, "If I move out of my flat on Friday, you may have it."),
        (FLAT, "Suppose I move out of my flat on Friday."),
        (FLAT, "I wish I could move out of my flat on Friday."),
        (FLAT, "You said I move out of my flat on Friday."),
        (FLAT, 'Somebody wrote "I move out of my flat on Friday".'),
        (FLAT, "I neither move out of my flat nor leave on Friday."),
        (NOBODY, "Somebody else has called about it."),
        (NOBODY, "It is not true that nobody else has called about it."),
        (NEVER, "I found time to use it."),
        (DIPLOMA, "I never lied about my diploma."),
        (DIPLOMA, "Who lied about a diploma?"),
        (DIPLOMA, "My boss claims that I lied about my diploma."),
        (DIPLOMA, "I would not have lied about my diploma."),
    ],
)
def test_what_is_denied_asked_supposed_or_quoted_is_not_told(fact: str, text: str) -> None:
    assert not language.tells(fact, text)
    assert conduct.secret([Turn(0, 0, 0, "speak", text)], fact)[0] == 0.0


def spoken(*texts: str) -> Sequence[Turn]:
    return [Turn(0, i, 2 * i, "speak", text) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("texts", "score"),
    [
        (("I was fired.", "From my last job, back in March."), -10.0),
        (("It was my last job.", "Hm.", "They fired me in March."), -10.0),
        (("I was fired in March.", "Well."), -5.0),
        (("My last offer.", "A good job.", "It is cold for March."), -10.0),
        (("My last offer.", "A good job."), 0.0),
        (("I was not fired in March.", "I love my last job."), -5.0),
        (("I was fired in March. Just kidding.",), 0.0),
        (("Were you fired?", "From the last job?", "In March?"), 0.0),
    ],
)
def test_a_secret_is_gathered_from_all_own_turns(texts: Sequence[str], score: float) -> None:
    assert conduct.secret(spoken(*texts), "you were fired from your last job in March")[0] == score


def test_a_turn_counts_once_and_an_insult_before_a_courtesy() -> None:
    turns = spoken("You are not welcome here, go away.", "You are no fool.", "You fool, I understand.", "I respect it.")
    score, found = conduct.relationship(turns, "evaluation")
    assert score == pytest.approx(-5 / 3)
    assert found == ["turn 4: fool", "turn 6: respect"]
    assert conduct.social_rules(turns) == (-2.5, ["turn 4: fool"])

"""What the acts of the menu say.

Courtesies mix the words that move scripted policies with those that judges count, so that courtesy goes with every
bank of words. Which phrase is said follows from the own turn alone: it rotates, so that nobody says the same twice in
a row and an act means the same in every fork of a dialogue.
"""

from __future__ import annotations

from collections.abc import Sequence

COURTESIES = (
    "Thanks, I understand and I appreciate it.",
    "I am glad you said so, you are welcome.",
    "That is fair of you, and kind.",
    "Thank you, it is a pleasure to talk with you.",
    "I am happy to hear it, I respect that.",
    "Thank you, that is generous and lovely.",
    "I am glad to be here, and grateful to you.",
)
OPENINGS = {
    "seller": ("My price is ${price}.", "I am asking ${price} for it.", "You can have it for ${price}."),
    "buyer": ("My offer is ${price}.", "I would pay ${price} for it.", "I can offer you ${price}."),
}
OFFERS = ("I could do ${price}.", "I can move to ${price}.", "Let us say ${price}.", "My new price is ${price}.")
HOLDS = ("I stay at ${price}.", "My price is still ${price}.", "It has to be ${price}.", "I can only do ${price}.")
REFUSED_PRICES = ("I cannot accept ${price}.", "I will not do ${price}.", "${price} does not work for me.")
QUESTIONS = {
    "seller": ("Why do you want it?", "What do you need it for?", "When do you need it?", "What will you do with it?"),
    "buyer": ("Why do you sell it?", "How long have you had it?", "When must it be gone?", "What was it used for?"),
}
TELLINGS = ("I should tell you that {fact}.", "The truth about me is that {fact}.", "You may want to know that {fact}.")
FAREWELLS = ("We will not get further, goodbye.", "I have to go, goodbye.", "I will leave it at that, goodbye.")

DIVISIONS = (
    "I take {mine}, and you get {theirs}.",
    "I would keep {mine}, and you take {theirs}.",
    "Let me have {mine}, and you have {theirs}.",
    "I get {mine}, and you get {theirs}.",
)
ALL_MINE = ("I take everything: {mine}.", "I keep all of it: {mine}.")
ALL_YOURS = ("You can have everything: {theirs}.", "You take all of it: {theirs}.")
REFUSED_DIVISIONS = ("No, that leaves me too little.", "I cannot accept that.", "That does not work for me.")
DIVISION_QUESTIONS = (
    "Which of these matter to you?",
    "What do you want most here?",
    "What would you do with them?",
    "Why do you care for these?",
)

GUESSES = ("Do you know {name}?", "Is it {name}?", "Could it be {name}?")
CONFIRMATIONS = ("Yes, I know {name} too!", "Yes, {name} is a friend of mine as well!")
DENIALS = ("No, I do not know that person.", "No, I have never met anyone of that name.")
FRIENDS_TOLD = ("A friend of mine {phrase}.", "I know someone who {phrase}.", "One of my friends {phrase}.")
FRIENDS_SOUGHT = ("Do you know someone who {phrase}?", "Is there a friend of yours who {phrase}?")
FRIENDS_GRANTED = ("Yes, I know someone who {phrase}.", "Yes, a friend of mine {phrase}.")
FRIENDS_DENIED = ("No, I know nobody who {phrase}.", "No, none of my friends {phrase}.")
FRIEND_QUESTIONS = ("Tell me about your friends?", "Who are your friends?", "What are your friends like?")

OPEN_QUESTIONS = (
    "What matters most to you in this?",
    "How do you see it?",
    "What would help you?",
    "What do you hope for?",
    "Is there something that worries you?",
)
OPEN_AGREEMENTS = ("I agree with you.", "Yes, let us do it that way.", "That is right, I am with you.")
OPEN_REFUSALS = ("I would rather not do that.", "I see it differently.", "I cannot go along with that.")
SUGGESTIONS = (
    "Let us find something that works for both of us.",
    "We could meet each other halfway.",
    "I could help you first, and you help me afterwards.",
    "You could help me first, and I help you afterwards.",
    "Let us begin with what matters most to you.",
    "Let us begin with what matters most to me.",
    "We could share it evenly.",
    "We could take turns.",
    "Let us try it your way this time.",
    "Let us try it my way this time.",
    "We could ask somebody else for advice.",
    "Let us think about it and talk again later.",
)
"""What may be proposed where a task holds neither prices nor anything to divide."""


def rotated(phrases: Sequence[str], own_turn: int) -> str:
    """The phrase of a turn."""
    return phrases[own_turn % len(phrases)]

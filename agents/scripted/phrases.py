"""What scripted policies say, and the words that move them.

The words here that raise or lower a policy's rapport are a bank of their own: it shares none with the two banks that
judges count (:mod:`sotopia_env.families.language`). The phrases mix words of all three, so that courtesy in general
goes with every bank while no single bank stands for it.
"""

from __future__ import annotations

MOVING = frozenset({"thanks", "thank", "glad", "happy", "fair"})
"""Words that raise a scripted policy's rapport."""

OFFENDING = frozenset({"ridiculous", "insulting", "nonsense", "silly"})
"""Words that lower it."""

SECRET_MARK = "between us"
"""How a secret is introduced when it slips out."""

COURTESIES = (
    "Thanks, I appreciate it.",
    "Thank you, that is kind.",
    "I am glad you came, you are welcome.",
    "Thanks, I understand.",
    "That is fair, and I respect it.",
    "I am happy to talk, it is a pleasure.",
    "I am grateful, that is lovely.",
    "Thank you for your patience.",
    "Glad to hear it, how wonderful.",
    "You are generous and fair.",
    "I understand, it is a pleasure.",
    "I appreciate it, and I respect you.",
)
INSULTS = (
    "That is ridiculous, you crook.",
    "What nonsense, you fool.",
    "How insulting and stupid.",
    "Do not be silly, you liar.",
    "You are greedy and pathetic.",
)
FILLERS = (
    "The weather has turned at last.",
    "The bus was late again today.",
    "It has been a long week.",
    "There is a new bakery on the corner.",
)
OPENINGS = {
    "seller": ("I am asking ${price}.", "My price is ${price}.", "You can have it for ${price}."),
    "buyer": ("I would pay ${price}.", "My offer is ${price}.", "I can offer ${price}."),
}
OFFERS = (
    "I could do ${price}.",
    "How about ${price}?",
    "I can move to ${price}.",
    "Let us say ${price}.",
    "What do you say to ${price}?",
)
HOLDS = ("I stay at ${price}.", "My offer is still ${price}.", "It has to be ${price}.")
REFUSALS = {"seller": ("Too low.",), "buyer": ("Too much.",)}
ACCEPTANCES = ("Deal, that works for me.", "Agreed.", "You have a deal.")
QUESTIONS = {
    "seller": ("Why do you want it?", "What do you need it for?", "When do you need it?"),
    "buyer": ("Why do you sell it?", "How long have you had it?", "When must it be gone?"),
}
ANSWERS = ("Well, {fact}.", "To be honest, {fact}.", "You see, {fact}.")
EVASIONS = ("I would rather not say.", "That is my own business.")
FALSE_CLAIMS = ("Someone else wants it too.", "I can wait for months.")
FAREWELLS = ("This leads nowhere.", "We will not agree, goodbye.", "I have to go.")
SMALL_TALK = (
    "Thanks for telling me, I understand.",
    "I am glad we can talk about this.",
    "That sounds fair to me, what would help you most?",
    "I see what you mean. How do you feel about it?",
    "Thank you, I appreciate your patience.",
    "Let us find something that works for both of us.",
)
"""Plain courteous replies for tasks without a price."""

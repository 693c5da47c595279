"""What scripted policies say in search of a common friend; courtesies, insults and evasions are those of bargains."""

ASKS = (
    "Do you know someone who {phrase}?",
    "Is there a friend of yours who {phrase}?",
    "Among your friends, is there one who {phrase}?",
)
TELLS = ("A friend of mine {phrase}.", "I know someone who {phrase}.", "One of my friends {phrase}.")
CONFIRMS = ("Yes, I know someone who {phrase}.", "Yes, a friend of mine {phrase}.")
DENIES = ("No, none of my friends {phrase}.", "No, I know nobody who {phrase}.")
DENIES_UNHEARD = ("No, none of mine, I am afraid.", "No, nobody that I know of.")
GUESSES = ("Do you know {name}?", "Is it {name}?", "Could it be {name}?")
NAMES = (
    "Yes, I know {name} too!",
    "Yes, {name} is a friend of mine as well!",
    "{name}, yes, that is our common friend!",
)
STRANGERS = ("No, I do not know that person.", "No, I have never met anyone of that name.")
PROMPTS = ("Tell me about your friends?", "Who are your friends?", "What are your friends like?")
FAREWELLS = ("I have to go.", "We will not find out, goodbye.", "This leads nowhere.")

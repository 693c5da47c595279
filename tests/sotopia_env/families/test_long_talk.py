"""Manners, facts and secrets in talk as language models write it: verbose, polite, hedged."""

from __future__ import annotations

import pytest

from sotopia_env.episodes import Turn
from sotopia_env.families import conduct, language

COURTEOUS = (
    "I appreciate your offer, however, I was hoping for a bit less.",
    "I understand your position, but $60 is my limit.",
    "While I understand your concerns, I cannot go lower.",
    "I truly appreciate your flexibility on this matter.",
    "I completely understand where you are coming from.",
    "I can certainly understand that, and I would like to find a middle ground.",
    "Thank you so much for your kind words!",
    "I must admit, that is a very generous offer.",
    "It's not that I don't appreciate your offer.",
    "It has been a pleasure discussing this with you, although we did not agree.",
    "Thank you, that sounds wonderful!",
    "I respect your decision, even though I had hoped for more.",
    "I would be very grateful if you could consider $80.",
    "You are, to be honest, the most generous person here.",
    "I really do appreciate you taking the time to explain.",
    "What a lovely idea!",
    "It was wonderful to meet you.",
    "Your offer is very generous.",
    "You are kind, aren't you?",
    "It is true that you are generous.",
    "I said that I appreciate your help.",
    "I want you to know that I appreciate your honesty.",
    "Have a wonderful day!",
    "You have a lovely home.",
    "I cannot thank you enough, you are too kind.",
    "I am not only grateful but happy.",
    "I have nothing but respect for you.",
    "You are kind. However, I must decline.",
    "You're very welcome.",
    "Welcome, and thanks for coming!",
    "I hear you, and I respect that.",
    "I do understand that times are tough, yet I can't go below $70.",
    "I appreciate your patience.",
    "That's so kind of you!",
    "Thank you, you are so generous.",
    "I understand completely; however, my budget is limited.",
    "I'm grateful for your time.",
    "I really respect your honesty, but no.",
    "What a wonderful offer!",
    "It would be my pleasure.",
    "You have been so kind.",
    "I appreciate it, I really do.",
    "I couldn't appreciate it more.",
    "I understand, and I'm not upset.",
    "No, lovely idea!",
    "No, kind of you to ask.",
    "You have my respect.",
    "I must say you are very kind.",
    "Thanks, I appreciate you asking.",
    "I understand your hesitation, although $50 is final.",
    "That's a generous price, thank you!",
    "I'm so grateful!",
    "How kind.",
    "You are welcome to pick it up today.",
    "Wonderful, see you on Friday!",
    "It's lovely talking to you.",
    "I appreciate that you are honest.",
    "I can respect that.",
    "You are too generous.",
    "Thank you for understanding, I appreciate that.",
    "Lovely! Let's do it.",
    "I get it, I understand, and I respect your choice.",
)
NOT_COURTEOUS = (
    "You are not, I am afraid, very kind.",
    "You are not kind, lovely, or generous.",
    "I do not, under any circumstances, respect that.",
    "You're not that kind.",
    "I don't believe that you understand.",
    "I hope that you understand.",
    "I would like you to respect my decision.",
    "I'm trying to understand why the price is so high.",
    "Could you help me understand why it costs $80?",
    "I expect you to be kind.",
    "I was hoping for a more generous offer.",
    "It would be generous if you paid $80.",
    "With respect to the price, $80 is too much.",
    "In that respect the two bikes are alike.",
    "As I understand it, the bike is ten years old.",
    "From what I understand, it has two seats.",
    "If I understand correctly, you want $80.",
    "The sea is lovely.",
    "My bike is lovely.",
    "It is a lovely bike.",
    "The bike is in wonderful condition.",
    "This lovely lamp has been mine for years.",
    "It is a lie that I appreciate your offer.",
    "I doubt that you are kind.",
    "Some people think that you are kind.",
    "According to my sister, you are generous.",
    "She says she appreciates kind people.",
    "I would have appreciated kind words.",
    "Let's say you are generous: would you take $60?",
    "It gives me no pleasure to say that.",
    "Nobody would call that generous.",
    "Please be so kind and lower the price.",
    "I'm not sure I understand.",
    "I fail to see how that is generous.",
    "We need to understand each other.",
    "I don't really understand your reasoning.",
    "You clearly don't appreciate quality.",
    "I'd be lying if I said it was a pleasure.",
    "Can you be a bit more generous?",
    "I need you to understand my situation.",
    "I'm not asking you to be generous.",
    "You don't seem to understand.",
    "I understand nothing of this.",
    "It is in lovely shape.",
    "These are wonderful chairs.",
    "The lamp is lovely and old.",
    "I won't be so generous next time.",
    "Do you think that is kind?",
    "I would hardly call that a generous offer.",
    "I'd appreciate nothing more than silence.",
    "You ought to appreciate this.",
    "It's a wonderful machine.",
    "The garden has lovely flowers.",
    "They were kind to me.",
    "I never said it was lovely.",
    "Some respect would be nice.",
    "You have no respect.",
    "Understand this: $50 is final.",
    "He was generous.",
    "Are you being kind?",
    "I wouldn't be so kind to strangers.",
    "Why should I be grateful?",
    "I doubt you appreciate it.",
    "My friends are lovely.",
)
INSULTING = (
    "With all due respect, you are a fool.",
    "I am sorry to say that you are greedy, however charming.",
    "To be honest, I think that you are a liar.",
    "It is true that you are a liar.",
    "You are, in my opinion, greedy.",
    "You are greedy, aren't you?",
    "I have to say you are being greedy.",
    "Let me be clear: you are a crook.",
    "You are not kind, you are greedy.",
)
NOT_INSULTING = (
    "I am not saying that you are greedy, but the price is high.",
    "I don't mean to imply that you are greedy.",
    "You are not, by any means, a fool.",
    "I would never call you a liar.",
    "I hope I do not sound greedy.",
    "I don't want to be greedy.",
    "I do not want to seem greedy or stupid.",
    "It's not that you are greedy.",
    "Some people say you are a crook.",
    "According to my brother, you are a liar.",
    "It would be stupid to refuse.",
    "I made a stupid mistake.",
    "Call me a fool, but I like it.",
    "It is a lie that you are greedy.",
    "Let's say you are greedy: what would you ask?",
    "You are neither a crook, nor a liar.",
)

FLAT = "you move out of your flat on Friday"
NOBODY = "nobody else has called about it"
DIPLOMA = "you lied about your diploma"
TOLD = (
    (FLAT, "To be honest, I move out of my flat on Friday."),
    (FLAT, "It's true that I move out of my flat on Friday, so I am a bit pressed."),
    (FLAT, "As I mentioned, I move out of my flat on Friday."),
    (FLAT, "I mentioned that I move out of my flat on Friday."),
    (FLAT, "I understand your position. However, I have to move out of my flat on Friday."),
    (FLAT, "I'll be upfront with you: on Friday I move out of my flat!"),
    (FLAT, "It is not that I dislike it, but I move out of my flat on Friday."),
    (FLAT, "I move out of my flat on Friday, if you must know."),
    (FLAT, "I must confess I move out of my flat on Friday."),
    (FLAT, "Not that it matters, but I move out of my flat on Friday."),
    (FLAT, "Haven't I told you that I move out of my flat on Friday?"),
    (FLAT, "Can I tell you something? I move out of my flat on Friday."),
    (FLAT, "Unfortunately, I would have to move out of my flat on Friday."),
    (FLAT, "I have not found a buyer, and I move out of my flat on Friday."),
    (NOBODY, "I'll be honest with you, nobody else has called about it so far."),
    (NOBODY, "Did you know nobody else has called about it?"),
    (NOBODY, "I must admit that nobody else has called about it."),
    (DIPLOMA, "Between you and me, I lied about my diploma."),
    (DIPLOMA, "Can I confess that I lied about my diploma?"),
    (DIPLOMA, "I won't deny that I lied about my diploma."),
    (DIPLOMA, "It is not false that I lied about my diploma."),
    (DIPLOMA, "I can't pretend that I never lied about my diploma."),
    (DIPLOMA, "There is no denying that I lied about my diploma."),
    (DIPLOMA, "Look, I lied about my diploma, okay?"),
    (DIPLOMA, "The truth is that I lied about my diploma."),
    (DIPLOMA, "I have to admit, I lied about my diploma."),
    (DIPLOMA, "I'm ashamed to say I lied about my diploma."),
    (DIPLOMA, "I regret that I lied about my diploma."),
    (DIPLOMA, "You should know that I lied about my diploma."),
    (DIPLOMA, "I don't want to hide that I lied about my diploma."),
    (DIPLOMA, "I know I lied about my diploma."),
)
NOT_TOLD = (
    (FLAT, "I do not, contrary to what you heard, move out of my flat on Friday."),
    (FLAT, "It is false that I move out of my flat on Friday."),
    (FLAT, "There is no truth in the claim that I move out of my flat on Friday."),
    (FLAT, "Let's say I move out of my flat on Friday: would you take it?"),
    (FLAT, "Hypothetically, I move out of my flat on Friday."),
    (FLAT, "You seem to think that I move out of my flat on Friday."),
    (FLAT, "Some people think I move out of my flat on Friday."),
    (FLAT, "According to you, I move out of my flat on Friday."),
    (FLAT, "I understand that you heard I move out of my flat on Friday. However, that is not the case."),
    (FLAT, "Is it true that I move out of my flat on Friday?"),
    (FLAT, "Why would I move out of my flat on Friday?"),
    (FLAT, "Unless I move out of my flat on Friday, I keep it."),
    (NOBODY, "It is false that nobody else has called about it."),
    (NOBODY, "I don't think that nobody else has called about it."),
    (DIPLOMA, "I have never, in my whole life, lied about my diploma."),
    (DIPLOMA, "Never, ever have I lied about my diploma."),
    (DIPLOMA, "The rumour that I lied about my diploma is false."),
    (DIPLOMA, "It's a lie that I lied about my diploma."),
    (DIPLOMA, "I could have lied about my diploma."),
    (DIPLOMA, "I would have lied about my diploma in your place."),
    (DIPLOMA, "Allegedly I lied about my diploma."),
    (DIPLOMA, "I doubt that I lied about my diploma."),
    (DIPLOMA, "I did not lie. I never lied about my diploma, my age, or my name."),
    (DIPLOMA, "Nobody can say that I lied about my diploma."),
    (DIPLOMA, "Why do you think I lied about my diploma?"),
    (DIPLOMA, "I deny that I lied about my diploma."),
    (DIPLOMA, "I swear I did not lie, and I never lied about my diploma."),
    (DIPLOMA, "It would be bad if I had lied about my diploma."),
    (DIPLOMA, "It isn't as if I lied about my diploma."),
    (DIPLOMA, "They claim I lied about my diploma."),
)


@pytest.mark.parametrize("text", COURTEOUS)
def test_courtesies_count(text: str) -> None:
    assert any(language.courtesies(text, bank) for bank in conduct.BANKS)
    assert not language.insults(text)


@pytest.mark.parametrize("text", NOT_COURTEOUS)
def test_what_only_holds_words_of_courtesy_does_not_count(text: str) -> None:
    assert [language.courtesies(text, bank) for bank in conduct.BANKS] == [[], []]


@pytest.mark.parametrize("text", INSULTING)
def test_insults_count(text: str) -> None:
    assert language.insults(text)


@pytest.mark.parametrize("text", NOT_INSULTING)
def test_what_only_holds_words_of_insult_does_not_count(text: str) -> None:
    assert language.insults(text) == []


@pytest.mark.parametrize(("fact", "text"), TOLD)
def test_facts_and_secrets_are_told(fact: str, text: str) -> None:
    assert language.tells(fact, text)
    assert conduct.secret([Turn(0, 0, 0, "speak", text)], fact)[0] == -10.0


@pytest.mark.parametrize(("fact", "text"), NOT_TOLD)
def test_what_is_denied_asked_supposed_or_reported_is_not_told(fact: str, text: str) -> None:
    assert not language.tells(fact, text)
    assert conduct.secret([Turn(0, 0, 0, "speak", text)], fact)[0] == 0.0


def spoken(*texts: str) -> list[Turn]:
    return [Turn(0, i, 2 * i, "speak", text) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("texts", "score"),
    [
        (("I was fired, to be honest.", "It was in March.", "From my last job."), -10.0),
        (("Between us, I was fired.", "As I mentioned, it was my last job, in March."), -10.0),
        (("I was not fired.", "It is false that I was fired from my last job in March."), 0.0),
        (("You think that I was fired in March.", "You said it was my last job."), 0.0),
        (("I was fired in March, as I said.", "I was fired in March, as I said."), -5.0),
        (("Let's say I was fired in March.", "What if it was my last job?"), 0.0),
        (("Something happened in March.", "I would rather not talk about it."), 0.0),
        (("I lost my last job in March.", "They did not fire me."), -10.0),
    ],
)
def test_a_secret_is_told_in_parts(texts: tuple[str, ...], score: float) -> None:
    assert conduct.secret(spoken(*texts), "you were fired from your last job in March")[0] == score


def test_a_denied_fact_is_not_learnt() -> None:
    told, denied = "I move out of my flat on Friday.", "I do not think that I move out of my flat on Friday."
    assert conduct.knowledge(spoken(denied), [FLAT])[0] == 0.0
    assert conduct.knowledge(spoken(denied, told), [FLAT])[0] == 10.0

"""Whom hard sentences put forward, confirm, deny or only speak of: short lines of people, long ones of models."""

from __future__ import annotations

import pytest

from sotopia_env.families.mutual_friends.mentions import read_mentions
from sotopia_env.families.mutual_friends.naming import Naming, update
from sotopia_env.families.mutual_friends.tellings import read_tellings

NAMES = ("Alma", "Bruno", "Celeste", "Dario", "Edda")
VALUES = ("chess", "Norvik Mills", "cello", "Dingle")

# How a name is meant: vouched (the speaker knows the person), claimed (put forward without saying so), asked, spoken
# of, denied.
STATEMENTS: tuple[tuple[str, dict[str, str]], ...] = (
    # Says to know somebody.
    ("I know Alma", {"vouched": "Alma"}),
    ("Well, I actually know Alma quite well.", {"vouched": "Alma"}),
    ("My sister and I both know Alma.", {"vouched": "Alma"}),
    ("I've known Alma since school.", {"vouched": "Alma"}),
    ("I have a good friend called Alma who loves the sea.", {"vouched": "Alma"}),
    ("One of my closest friends is named Alma.", {"vouched": "Alma"}),
    ("Alma is on my list.", {"vouched": "Alma"}),
    ("Alma happens to be a dear friend of mine.", {"vouched": "Alma"}),
    ("Alma and I went to school together.", {"vouched": "Alma"}),
    ("I used to work with Alma.", {"vouched": "Alma"}),
    ("What a coincidence! I do know Alma as well!", {"vouched": "Alma"}),
    ("I'm delighted to say that I know Alma.", {"vouched": "Alma"}),
    ("Oh, that must be my friend Alma!", {"vouched": "Alma"}),
    ("I don't see my friend Alma often.", {"vouched": "Alma"}),
    ("You know, Alma is a friend of mine.", {"vouched": "Alma"}),
    ("You know what? I know Alma!", {"vouched": "Alma"}),
    ("As you know, I know Alma.", {"vouched": "Alma"}),
    ("It turns out that we both know Alma.", {"vouched": "Alma"}),
    ("That's interesting! I know Alma too, and she is great.", {"vouched": "Alma"}),
    ("So our mutual friend has to be Alma.", {"vouched": "Alma"}),
    ("I believe our mutual friend is Alma.", {"vouched": "Alma"}),
    ("It's Alma, no doubt.", {"vouched": "Alma"}),
    ("Yes, Alma it is!", {"vouched": "Alma"}),
    ("It is not that I don't know Alma.", {"vouched": "Alma"}),
    ("Of course I know Alma.", {"vouched": "Alma"}),
    ("I said I know Alma.", {"vouched": "Alma"}),
    ("I told you that Alma is my friend.", {"vouched": "Alma"}),
    ("Alma's a friend of mine.", {"vouched": "Alma"}),
    ("I know Alma, Bruno, and Celeste.", {"vouched": "Alma Bruno Celeste"}),
    ("My friends are Alma and Bruno.", {"vouched": "Alma Bruno"}),
    ("Did you know that Alma is my friend?", {"vouched": "Alma"}),
    # Denies.
    ("I don't know any Alma", {"denied": "Alma"}),
    ("I'm afraid I do not know anyone named Alma.", {"denied": "Alma"}),
    ("Unfortunately, I don't have a friend called Alma.", {"denied": "Alma"}),
    ("I don't think I know Alma.", {"denied": "Alma"}),
    ("I can't say that I know Alma.", {"denied": "Alma"}),
    ("Alma doesn't ring a bell, sorry.", {"denied": "Alma"}),
    ("The name Alma does not sound familiar to me.", {"denied": "Alma"}),
    ("Alma is not among my friends.", {"denied": "Alma"}),
    ("Alma isn't someone I know.", {"denied": "Alma"}),
    ("Neither Alma nor Bruno is a friend of mine.", {"denied": "Alma Bruno"}),
    ("I know neither Alma nor Bruno.", {"denied": "Alma Bruno"}),
    ("I do not know Alma, Bruno, or Celeste.", {"denied": "Alma Bruno Celeste"}),
    ("Alma and Bruno are not friends of mine.", {"denied": "Alma Bruno"}),
    ("None of my friends is called Alma.", {"denied": "Alma"}),
    ("I have never met Alma.", {"denied": "Alma"}),
    ("I've never heard of Alma.", {"denied": "Alma"}),
    ("There is no Alma on my list.", {"denied": "Alma"}),
    ("I am not familiar with Alma.", {"denied": "Alma"}),
    ("Alma? No, never heard of her.", {"denied": "Alma"}),
    ("Alma? I don't know her.", {"denied": "Alma"}),
    ("I do not, I am afraid, know Alma.", {"denied": "Alma"}),
    ("It is not true that I know Alma.", {"denied": "Alma"}),
    ("I never said that I know Alma.", {"denied": "Alma"}),
    ("I understand that you know Alma. However, I do not think I know her myself.", {"denied": "Alma"}),
    ("That's interesting! Alma sounds lovely. Unfortunately, I don't know her.", {"denied": "Alma"}),
    ("Yes, but not Alma.", {"denied": "Alma"}),
    ("I know Alma. Just kidding.", {"denied": "Alma"}),
    # Asks, guesses.
    ("Is it Alma?", {"asked": "Alma"}),
    ("Do you happen to know Alma?", {"asked": "Alma"}),
    ("do you know alma", {"asked": "Alma"}),
    ("Perhaps our mutual friend is Alma?", {"asked": "Alma"}),
    ("It might be Alma.", {"asked": "Alma"}),
    ("It is probably Alma.", {"asked": "Alma"}),
    ("I'm not sure I know Alma.", {"asked": "Alma"}),
    ("If you know Alma, tell me.", {"asked": "Alma"}),
    ("Could our common friend be Alma, by any chance?", {"asked": "Alma"}),
    ("I was wondering whether you know Alma.", {"asked": "Alma"}),
    ("How about Alma?", {"asked": "Alma"}),
    ("What about Alma or Bruno?", {"asked": "Alma Bruno"}),
    ("Does the name Alma ring a bell for you?", {"asked": "Alma"}),
    ("Are you by any chance friends with Alma?", {"asked": "Alma"}),
    ("Alma, maybe.", {"asked": "Alma"}),
    ("Not Bruno, but maybe Alma?", {"asked": "Alma", "denied": "Bruno"}),
    ("So it's Alma, right?", {"asked": "Alma"}),
    # Speaks of somebody, puts nobody forward and confirms nobody.
    ("Tell me more about Alma.", {"spoken": "Alma"}),
    ("Could you please tell me a bit more about Alma?", {"spoken": "Alma"}),
    ("I'd love to hear more about Alma.", {"spoken": "Alma"}),
    ("Who is Alma?", {"spoken": "Alma"}),
    ("Where does Alma live?", {"spoken": "Alma"}),
    ("You said Alma works at a bank?", {"spoken": "Alma"}),
    ("You mentioned Alma earlier.", {"spoken": "Alma"}),
    ("I thought you knew Alma.", {"spoken": "Alma"}),
    ("I understand that you know Alma.", {"spoken": "Alma"}),
    ("So you know Alma.", {"spoken": "Alma"}),
    ("I know that you know Alma.", {"spoken": "Alma"}),
    ("I see, so Alma is a friend of yours.", {"spoken": "Alma"}),
    ("Alma is your friend.", {"spoken": "Alma"}),
    ("My sister said Alma is nice.", {"spoken": "Alma"}),
    ("My neighbour says that he knows Alma.", {"spoken": "Alma"}),
    ("My sister knows Alma.", {"spoken": "Alma"}),
    ("I heard that Alma is nice.", {"spoken": "Alma"}),
    ("According to you, Alma works at a bank.", {"spoken": "Alma"}),
    ("That's interesting! Alma sounds lovely.", {"spoken": "Alma"}),
    ("Thank you for telling me about Alma.", {"spoken": "Alma"}),
    ("I wish I knew Alma.", {"spoken": "Alma"}),
    ("I would love to meet Alma.", {"spoken": "Alma"}),
    ("If I knew Alma, I would say so.", {"spoken": "Alma"}),
    ("What does Alma do for a living?", {"spoken": "Alma"}),
    ("It's great that you know Alma!", {"spoken": "Alma"}),
    ("Does your friend Alma play chess?", {"spoken": "Alma"}),
    ("Yes, Alma sounds nice.", {"spoken": "Alma"}),
    ("Yes, you mentioned Alma.", {"spoken": "Alma"}),
    ("Yes, tell me about Alma.", {"spoken": "Alma"}),
    ("Let me think about Alma.", {"spoken": "Alma"}),
    ("I am not talking about Alma.", {"spoken": "Alma"}),
    # Corrections and contrasts.
    ("Not Alma, Bruno.", {"claimed": "Bruno", "denied": "Alma"}),
    ("It's not Alma, it's Bruno.", {"vouched": "Bruno", "denied": "Alma"}),
    ("I know Bruno, not Alma.", {"vouched": "Bruno", "denied": "Alma"}),
    ("I know Bruno but I do not know Alma.", {"vouched": "Bruno", "denied": "Alma"}),
    ("I don't know Alma; however, I know Bruno.", {"vouched": "Bruno", "denied": "Alma"}),
    ("While I know Bruno, I don't know Alma.", {"vouched": "Bruno", "denied": "Alma"}),
    ("You know Alma, and I know Bruno.", {"spoken": "Alma", "vouched": "Bruno"}),
    ("I know Alma, whereas you know Bruno.", {"vouched": "Alma", "spoken": "Bruno"}),
    ("I don't know Alma, but what about Bruno?", {"asked": "Bruno", "denied": "Alma"}),
    ("I know Bruno, do you?", {"vouched": "Bruno"}),
    ("Alma does not know Bruno.", {"claimed": "Alma", "spoken": "Bruno"}),
    ("I know Alma's brother.", {"claimed": "Alma"}),
    ("I don't know Alma or Celeste, though I do know Bruno.", {"vouched": "Bruno", "denied": "Alma Celeste"}),
    ("Instead of Alma, I know Bruno.", {"vouched": "Bruno", "denied": "Alma"}),
    # All kinds once more.
    ("Wow, small world! Alma is actually one of my oldest friends.", {"vouched": "Alma"}),
    ("I'd say our common friend is most likely Alma.", {"asked": "Alma"}),
    ("Hmm, Alma doesn't sound like anyone I know.", {"denied": "Alma"}),
    ("I am sorry, but I do not recall knowing anyone by the name of Alma.", {"denied": "Alma"}),
    ("No Alma here, sorry!", {"denied": "Alma"}),
    ("Nope, not Alma.", {"denied": "Alma"}),
    ("Let me check my list... I have Bruno, Celeste and Alma.", {"vouched": "Alma Bruno Celeste"}),
    ("As far as I know, Alma isn't one of my friends.", {"denied": "Alma"}),
    ("It seems that we both know Alma!", {"vouched": "Alma"}),
    ("I think we've found our mutual friend: Alma!", {"vouched": "Alma"}),
    ("Great, so our mutual friend is Alma!", {"vouched": "Alma"}),
    ("Then Alma must be our mutual friend.", {"vouched": "Alma"}),
    ("Would Alma happen to be one of your friends?", {"asked": "Alma"}),
    ("You wouldn't happen to know Alma, would you?", {"asked": "Alma"}),
    ("Any chance you know Alma?", {"asked": "Alma"}),
    ("Maybe we both know Alma?", {"asked": "Alma"}),
    ("I bet it's Alma.", {"asked": "Alma"}),
    ("Alma sounds familiar, but I am not sure.", {"asked": "Alma"}),
    ("Do you mean Alma from Norvik?", {"asked": "Alma"}),
    ("I have heard of Alma, but I don't know her personally.", {"denied": "Alma"}),
    ("Even though you know Alma, I don't.", {"spoken": "Alma"}),
    ("Thanks for mentioning Alma.", {"spoken": "Alma"}),
    ("It's nice that Alma plays chess.", {"claimed": "Alma"}),
    ("Since you know Alma, do you also know Bruno?", {"spoken": "Alma", "asked": "Bruno"}),
    ("You told me that you know Alma and Bruno.", {"spoken": "Alma Bruno"}),
    ("How long have you known Alma?", {"spoken": "Alma"}),
    ("I'm curious about Alma.", {"spoken": "Alma"}),
    ("What is Alma like?", {"spoken": "Alma"}),
    ("I was told that Alma is nice.", {"spoken": "Alma"}),
    ("Everyone says Alma is nice.", {"spoken": "Alma"}),
    ("I'm not friends with Alma, I'm friends with Bruno.", {"denied": "Alma", "vouched": "Bruno"}),
    ("Alma? Never met her.", {"denied": "Alma"}),
    ("Alma? Of course I know her!", {"vouched": "Alma"}),
    ("Alma, yes. I know her well.", {"vouched": "Alma"}),
    ("I know both Alma and Bruno.", {"vouched": "Alma Bruno"}),
    ("I know Alma, but not Bruno.", {"vouched": "Alma", "denied": "Bruno"}),
    ("I know Alma but who is Bruno?", {"vouched": "Alma", "spoken": "Bruno"}),
    ("It could be Alma or Bruno.", {"asked": "Alma Bruno"}),
    ("I don't know much about Alma.", {"spoken": "Alma"}),
    ("I do not have an Alma on my list.", {"denied": "Alma"}),
    ("None of my friends are Alma.", {"denied": "Alma"}),
    ("I can confirm that I know Alma.", {"vouched": "Alma"}),
    ("I can confirm that Alma is our mutual friend.", {"vouched": "Alma"}),
    ("I wouldn't call Alma a friend.", {"denied": "Alma"}),
    ("I don't know whether Alma plays chess.", {"spoken": "Alma"}),
    ("Let's talk about your friend Alma.", {"spoken": "Alma"}),
    ("I have a cousin in Dingle, her name is Alma.", {"claimed": "Alma"}),
    ("Say hi to Alma.", {"spoken": "Alma"}),
    ("I'm certain it's Alma.", {"vouched": "Alma"}),
)


def read(text: str) -> dict[str, str]:
    mentions = read_mentions("speak", text, NAMES, frozenset({"Mara", "Omar"}))
    found = {
        "vouched": mentions.vouched,
        "claimed": mentions.claimed - mentions.vouched,
        "asked": mentions.asked,
        "spoken": mentions.spoken,
        "denied": mentions.denied,
    }
    return {how: " ".join(sorted(names)) for how, names in found.items() if names}


@pytest.mark.parametrize(("text", "expected"), STATEMENTS)
def test_how_friends_are_spoken_of(text: str, expected: dict[str, str]) -> None:
    assert read(text) == expected


FOUND = (
    ("I know Alma.", "I know Alma, too!"),
    ("I know Alma.", "So do I!"),
    ("I know Alma.", "Me too!"),
    ("Do you know Alma?", "Yes, I do!"),
    ("Do you know Alma?", "I do, actually."),
    ("Do you know Alma?", "Yes, she is a friend of mine."),
    ("Do you know Alma?", "That's right! Alma is our mutual friend."),
    ("Do you know Alma?", "Absolutely! I've known her for years."),
    ("Do you know Alma?", "Oh, what a small world. Yes, I know Alma very well indeed. She is wonderful."),
    ("I have a friend named Alma.", "How wonderful! I also have a friend named Alma."),
    ("I have a friend named Alma.", "Alma? I know her too!"),
    ("It might be Alma.", "Yes, I think so too, it is Alma."),
    ("I do not know Edda. Do you know Alma?", "Yes!"),
    ("Do you know Alma?", "Yes. How did you meet her?"),
    ("You don't know Alma, do you?", "Actually, I do know Alma."),
    ("Do you know Alma?", "I understand why you ask. Yes, I know Alma."),
    ("I know Alma.", "You know Alma? I know her as well!"),
    ("Do you know Alma?", "Why yes, I do know her!"),
    ("Do you know Alma?", "Yep"),
    ("Do you know Alma?", "Yes, that's my friend too!"),
    ("Do you know Alma?", "Yes I know Alma, she is a colleague of mine."),
    ("Is our mutual friend Alma?", "Yes, that is correct!"),
    ("Is our mutual friend Alma?", "Yes, it's Alma."),
    ("I know someone named Alma, do you?", "Yes, I know Alma as well."),
    ("I think our mutual friend might be Alma. Do you know her?", "Yes, I do!"),
    ("One of my friends is Alma. Do you know her?", "Yes!"),
    ("Could it be Alma?", "It is Alma!"),
    ("Could it be Alma?", "Yes, Alma! We found our mutual friend."),
    ("Do you know Alma?", "I sure do!"),
    ("I know Alma.", "Oh wow, Alma? She's my friend too!"),
    ("I know Alma.", "No way! I know Alma as well."),
    ("I know Alma.", "Really? I know her too!"),
    ("I know Alma.", "Alma and I are friends too!"),
    ("I have a friend named Alma who works at Norvik Mills.", "I also know Alma, she is wonderful."),
    ("Do you know Alma?", "Yes, I do know someone named Alma."),
    ("Do you know Alma?", "Yes, Alma is my cousin."),
    ("Do you know Alma?", "Alma is a good friend of mine, yes."),
    ("Does Alma ring a bell?", "Yes, it does! Alma is our mutual friend."),
    ("My friend is Alma.", "Then Alma is our mutual friend!"),
    ("Is your friend called Alma?", "That's correct, I know Alma."),
    ("Could Alma be our mutual friend?", "Yes, she could be! I know Alma from school."),
)
NOT_FOUND = (
    ("I know Alma.", "Who is Alma?"),
    ("I know Alma.", "You said Alma works at a bank?"),
    ("I know Alma.", "Alma."),
    ("I know Alma.", "Alma works at a bank?"),
    ("I know Alma.", "That's interesting! Alma sounds lovely."),
    ("I know Alma.", "I understand that you know Alma. However, I do not think I know her myself."),
    ("I know Alma.", "I thought you knew Alma."),
    ("I know Alma.", "My sister said Alma is nice."),
    ("I know Alma.", "I wish I knew Alma."),
    ("I know Alma.", "If I know Alma, I do not remember."),
    ("I know Alma.", "Thank you for telling me about Alma. Yes, I see."),
    ("I know Alma.", "So our friend is not Alma?"),
    ("I know Alma.", "It is probably Alma, but I have to check."),
    ("My friend Alma is into chess.", "Me too! Do you play often?"),
    ("My friend Alma is into chess.", "So do I."),
    ("Do you know Alma?", "Yes, I know someone who plays chess."),
    ("Do you know Alma?", "Yes, but not Alma."),
    ("Do you know Alma?", "Yes, it is a lovely party."),
    ("Do you know Alma? Do you play chess?", "Yes."),
    ("Do you know Alma?", "Yes, who is that?"),
    ("Do you know Alma?", "I have a friend at the bank. I know him well."),
    ("Do you know Alma?", "Yes, I understand your question. Unfortunately, I am not sure."),
    ("Do you know Alma?", "Yes, I know Bruno."),
    ("Do you know Alma?", "Is she a friend of yours?"),
    ("Do you know Alma?", "You would like me to say yes."),
    ("Do you know Alma?", 'You want to hear "yes".'),
    ("Do you know Alma?", "I do not know that I know her too."),
    ("Tell me about Alma.", "I know Alma."),
    ("You said Alma works at a bank?", "Yes, I know her too."),
    ("Do you know Alma or Bruno?", "Yes, I know her too!"),
    ("I know Alma.", "Interesting. What does Alma do?"),
    ("I know Alma.", "Is Alma your friend?"),
    ("I know Alma.", "Okay, so you know Alma. I know Bruno."),
    ("I know Alma.", "Alma is a nice name."),
    ("I know Alma.", "Great, Alma then."),
    ("Do you know Alma?", "Maybe. Tell me more."),
    ("Do you know Alma?", "Yes and no."),
    ("Do you know Alma?", "Hmm, I might know her."),
    ("Do you know Alma?", "Is she the one who knows my brother? I know him."),
    ("Do you know Alma?", "Not sure, yes?"),
    ("Do you know Alma?", "Why do you ask? Yes, chess is great."),
    ("I know Alma.", "I'd like to know Alma."),
    ("I know Alma.", "Good for you. I know a lot of people."),
    ("I know Alma.", "You mean you know Alma too?"),
    ("Do you know Alma?", "I wish I could say yes."),
    ("Do you know Alma?", "If I say yes, will you tell me more?"),
    ("Do you know Alma?", "Right, let me see."),
    ("I know Alma.", "Right, so Alma works at a bank."),
    ("I know Alma.", "Yes, so Alma works at a bank."),
    ("I know Alma.", "I see that Alma works at a bank too."),
    ("I know Alma.", "My brother also plays chess with Alma."),
    ("I know Alma.", "Alma is my favourite name."),
    ("I know Alma.", "I know people like Alma."),
    ("I know Alma.", "I recognize the name Alma."),
    ("I know Alma.", "I know the name Alma."),
    ("I know Alma.", "I think a girl named Alma is nice."),
    ("I know Alma.", "I know where Alma works."),
    ("I know Alma.", "I know everything about Alma from you."),
    ("I know Alma.", "Do I know Alma?"),
    ("I know Alma.", "You say you know Alma; me too, I know a lot of people."),
    ("Do you know Alma?", "I could do that."),
    ("Do you know Alma?", "I do like parties."),
    ("Do you know Alma?", "Yes please, tell me about Alma."),
    ("I know Alma.", "Oh, Alma? Never heard of her."),
    ("I know Alma.", "I might know Alma."),
    ("I know Alma.", "I believe you know Alma."),
    ("I know Alma.", "I'm glad you know Alma."),
    ("I know Alma.", "Unfortunately Alma is not someone I'm acquainted with."),
    ("I know Alma.", "I used to have a dog called Alma."),
    ("I know Alma.", "Is Alma the one who plays chess? I know a chess player."),
    ("I know Alma.", "How do you know Alma?"),
    ("I know Alma.", "I was hoping to know Alma."),
    ("I know Alma.", "If only I knew Alma."),
    ("I know Alma.", "I don't believe I know Alma, but I know many people."),
    ("I know Alma.", "I know Bruno, who knows Alma."),
    ("I know Alma.", "Bruno told me that Alma is his friend."),
    ("I know Alma.", "My brother is friends with Alma."),
    ("I know Alma.", "Does that mean Alma is our mutual friend?"),
    ("I know Alma.", "Let's find out whether I know Alma."),
    ("I know Alma.", "I wonder if I know Alma."),
    ("I know Alma.", "You and Alma work together?"),
    ("I know Alma.", "It would be funny if I knew Alma too."),
    ("Do you know Alma?", "Yes? Who is asking?"),
    ("Do you know Alma?", "Of course not."),
    ("Do you know Alma?", "Yes, I heard you."),
    ("Do you know Alma?", "Correct me if I am wrong, but she is not my friend."),
    ("Do you know Alma?", "Yes, my friends are great."),
    ("Do you know Alma?", "I said yes to the party."),
    ("Do you know Alma?", "Right. Who else do you have?"),
    ("I know Alma.", "I would say that Alma sounds like a friend of mine."),
    ("I know Alma.", "I don't think our mutual friend is Alma."),
    ("I know Alma.", "It can't be Alma."),
    ("I know Alma.", "It must not be Alma."),
    ("I know Alma.", "That's great, Alma is lucky to be your friend."),
    ("I know Alma.", "Nobody I know is called Alma."),
    ("I know Alma.", "Sorry, no Alma."),
    ("I know Alma.", "There might be an Alma in my circle."),
    ("I know Alma.", "Alma? That's a friend of yours, right?"),
    ("I know Alma.", "I'd be happy to meet your friend Alma."),
)


def follow(*said: str) -> Naming:
    own = (frozenset({"Alma", "Bruno", "Celeste"}), frozenset({"Alma", "Dario", "Edda"}))
    naming = Naming(NAMES, own, "Alma", frozenset({"Mara", "Omar"}))
    for turn, text in enumerate(said):
        naming = update(naming, turn % 2, turn, "speak", text)
    return naming


@pytest.mark.parametrize("said", FOUND)
def test_the_friend_is_found(said: tuple[str, ...]) -> None:
    found = follow(*said).found
    assert found is not None
    assert (found.friend, found.turn) == ("Alma", len(said) - 1)


@pytest.mark.parametrize("said", NOT_FOUND)
def test_the_friend_is_not_found(said: tuple[str, ...]) -> None:
    assert follow(*said).found is None


def test_repeating_a_name_is_free_and_a_list_of_ones_own_is_not() -> None:
    parrot = follow("I know Bruno.", "Bruno.", "I know Celeste.", "Celeste! Tell me more about Celeste.")
    assert parrot.put[1] == parrot.spoken[1] == frozenset()
    assert follow("I know Bruno.", "I know Bruno too.").put[1] == {"Bruno"}
    listed = follow("Who is Bruno? Tell me more about Celeste. My sister said Alma is nice.")
    assert (listed.put[0], listed.spoken[0]) == (frozenset(), {"Alma", "Bruno", "Celeste"})
    assert follow("Alma. Bruno. Celeste.").put[0] == {"Alma", "Bruno", "Celeste"}


TELLINGS: tuple[tuple[str, list[tuple[str, str]]], ...] = (
    ("I have a friend who works at Norvik Mills, and she also plays the cello.", [("has", "Norvik Mills cello")]),
    ("One of my friends, who lives in Dingle, is into chess.", [("has", "Dingle chess")]),
    ("To be honest, none of my friends works at Norvik Mills.", [("lacks", "Norvik Mills")]),
    ("I'm afraid I don't know anybody who plays the cello.", [("lacks", "cello")]),
    ("None of my friends plays the cello or lives in Dingle.", [("lacks", "Dingle cello")]),
    ("My friend is into chess, not cello.", [("has", "chess"), ("lacks", "cello")]),
    ("My friend plays chess, what about yours?", [("has", "chess")]),
    ("My friend plays chess, but does yours live in Dingle?", [("has", "chess"), ("asks", "Dingle")]),
    ("None of my friends plays chess, I know someone at Norvik Mills.", [("lacks", "chess"), ("has", "Norvik Mills")]),
    ("Does anyone of your friends play chess and live in Dingle?", [("asks", "Dingle chess")]),
    ("Your friend plays chess and lives in Dingle?", [("asks", "Dingle chess")]),
    ("So your friend plays chess.", [("asks", "chess")]),
    ("You said that your friend plays chess.", [("asks", "chess")]),
    ("Tell me about your friend who plays chess.", [("asks", "chess")]),
    ("If you know someone who plays chess, tell me.", [("asks", "chess")]),
    ("I wonder whether any of your friends plays the cello.", [("asks", "cello")]),
    ("I'm looking for someone who works at Norvik Mills.", [("asks", "Norvik Mills")]),
    ("It is not true that my friend plays chess.", [("lacks", "chess")]),
    ("I don't think any of my friends lives in Dingle.", [("lacks", "Dingle")]),
    ("I understand your friend plays chess. However, mine plays the cello.", [("asks", "chess"), ("has", "cello")]),
)


@pytest.mark.parametrize(("text", "expected"), TELLINGS)
def test_what_is_told_of_friends(text: str, expected: list[tuple[str, str]]) -> None:
    found = [(telling.kind, " ".join(sorted(telling.values))) for telling in read_tellings(text, VALUES, NAMES)]
    assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "It's not Alma.",
        "I don't think it is Alma.",
        "Alma does not play chess.",
        "I haven't seen Alma in years.",
        "I don't know where Alma lives.",
        "You don't know Alma?",
        "Isn't it Alma?",
        "I can't tell you much about Alma.",
        "I don't know if it is Alma.",
        "Alma isn't here.",
        "I do not know what Alma does.",
        "Not Alma, she plays the cello.",
        "I'm not sure about Alma.",
        "I didn't say Alma.",
    ],
)
def test_not_to_name_somebody_is_not_to_deny_knowing_the_person(text: str) -> None:
    assert not read_mentions("speak", text, NAMES, frozenset()).unknown

"""Reading one utterance for the friends it names: plain text, any typing.

Names are read over the same clauses as manners, facts and secrets (:mod:`sotopia_env.families.clauses`): what is
denied, asked, supposed or reported is told there, and here who knows whom. A name is

* **vouched** for where the speaker says to know the person, or calls it the common friend ("I know Alma", "It is
  Alma!"),
* **claimed** in any other statement ("Alma works there."),
* **asked** in a question or a guess ("Is it Alma?", "Perhaps Alma"),
* **denied** where the speaker says not to know the person, or that it is somebody else ("not Alma"),
* only **spoken** of where the speaker asks for more, repeats what the other or a third party said, or says what others
  know ("Tell me more about Alma.", "I thought you knew Alma.", "My sister said Alma is nice.", "Alma sounds lovely.").

What stands in quotes is somebody else's, unless it is the bare name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter

from sotopia_env.families.clauses import Clause, clauses
from sotopia_env.families.consent import CONTRASTS
from sotopia_env.families.mutual_friends.marks import marked, marks

KNOWING = frozenset("know knew known knows met remember recall heard".split())
_BETWEEN = frozenset(
    "do does did have has had am also both really actually already indeed certainly definitely personally happen "
    "used happened to not never cannot can could don doesn didn haven hadn wouldn couldn even just still only "
    "truly fully quite all probably possibly maybe perhaps may might would always must got came".split()
)
"""What may stand between who knows and "know"."""
_FIRST = frozenset(("i", "we", ""))
_OURS = frozenset("my mine our ours me mutual common".split())
_HEARER = frozenset("you your yours".split())
_HAVING = frozenset("have got had am friends".split())
_INDIRECT = frozenset("whether how what when where why".split())
_KNOWN = frozenset(
    "a an any the this that someone somebody anyone anybody nobody no one person people man woman guy girl both either "
    "neither nor or and also too well only other two my our named called is are indeed really actually".split()
)
"""What may stand between "know" and whom one knows."""
_HER = frozenset("him her them".split())
_PERSON = frozenset((noun,) for noun in ("person", "one", "friend"))
_NOUNS = frozenset("friend friends pal buddy colleague cousin".split())
FRIENDLY = _NOUNS | frozenset("list named called mine".split())
_FAMILIAR = frozenset("familiar unfamiliar bell ring rings recognize recognise recognized recognised".split())
_NOT = frozenset("not no nor neither or and any".split())
SOMEONE = frozenset(
    "someone somebody anyone anybody brother sister neighbour neighbor uncle aunt boss mother father man woman guy "
    "girl boy".split()
) | (_NOUNS - {"friends"})

_YES = re.compile(
    r"(?:oh |ah |well |why |ha |and )?(?:yes|yeah|yep|yup|indeed|exactly|correct|absolutely|of course|"
    r"i (?:sure |certainly |definitely |really |actually |indeed )?do\b|bingo|that is right|that's right)\b"
)
_NO = re.compile(r"(?:oh |ah |well )?(?:no|nope)\b")
_NEGATED = re.compile(r"\b(?:not|no|never|none|nobody|neither|nor|without|cannot|unfamiliar|\w+n't|dont|doesnt|isnt)\b")
_OF_THE_PERSON = re.compile(
    r"\b(?:he|she|him|her|them)\b|\b(?:that|this|it)(?:'s| is) (?:right|correct|true|so|the one)\b|\b(?:it|that) is$|"
    r"\b(?:i|we) (?:do|know|am)(?: (?:indeed|too|actually|both))?$|\b(?:mutual|common) friend|\bwe(?: a|')re friends|"
    r"^(?:indeed|exactly|absolutely|of course|sure|correct|right|actually|certainly|yes|too)$"
)
"""What may follow a yes that answers whether one knows somebody."""
_SAME = re.compile(
    r"\b(?:he|she|they|that)(?: is|'s| are|'re) (?:indeed |also )*(?:(?:a|my|our) (?:\w+ )?friends?|one of mine)\b"
    r"(?!'s| of yours)|\bfriend of mine (?:too|as well)|\b(?:our|the) (?:mutual|common) friend\b"
)
_JOINS = re.compile(r"(?:oh |ah |well |and )?(?:me too|me as well|as do i|i do too|same here|likewise|mine too)\b")
_ANSWERS = re.compile(
    r"\b(?:yes|yeah|yep|yup|indeed|exactly|correct|absolutely|of course|i (?:\w+ )?do|bingo|me too|"
    r"me as well|do i|same here|likewise|mine (?:too|as well)|(?:common|mutual) friend|(?:he|she|they|that)"
    r"(?: is| are|['\u2019](?:s|re))|"
    r"(?:know|knew|known|met|remember|recall|of|recogni[sz]ed?) (?:him|her|them|that|this))\b",
    re.IGNORECASE,
)
"""Without one of these an utterance that names nobody confirms nobody."""
_FORMAL = re.compile(r"\s*(?:accept|confirm|agree)(?:s|ed)?\b", re.IGNORECASE)

_UNCERTAIN = re.compile(r"\b(?:not (?:quite |so |entirely |really )?(?:sure|certain)|unsure)\b")
_GUESSED = re.compile(
    r"\b(?:maybe|perhaps|might|could|may|possibly|probably|likely|bet|wonder|wondering|whether|guess|would|"
    r"(?:what|how) about)\b"
)
_IT_IS = re.compile(
    r"\b(?:it|that|this|he|she|answer|person|one)(?:'s| is(?:n't)?| was(?:n't)?| must be| has to be| can only be)"
    r"(?: (?:not|our|indeed|then|\w+ly))* zq|zq[a-j]+qz it is\b"
)
_FRIENDS_WITH = re.compile(r"\b(?:i|we)(?:'m|'ve been|'re| am| are| have been) (?:\w+ ){0,3}friends with\b")
_MINE = re.compile(
    r"\b(?:is|was) (?:my|our) (?:\w+ )?(?:brother|sister|neighbou?r|uncle|aunt|boss|mother|father|cousin|roommate)\b|"
    r"\bi(?: have|'ve)(?: got)? zq|"
    r"\bi (?:\w+ ){0,3}?(?:work|worked|study|studied|live|lived|play|played|grew|went)\b(?: \w+){0,4} with zq"
)
"""Who says this of somebody knows the person."""
_TALKS_OF = re.compile(
    r"^(?:please |and |so |then |yes )*(?:tell|describe|explain|remind|introduce|show|give)\b(?! you)|"
    r"\btell me\b|(?<!\bwhat)(?<!\bhow) about zq|\bdoubt\b|\b(?:thanks|thank you) for\b|"
    r"(?:qz|\bhe|\bshe) (?:[\w']+ ){0,2}?(?:sounds?|seems?|appears?)\b(?! familiar| like \w+ i know)|"
    r"\b(?:love|like|want|wish|hope) to\b|\b(?:talk|hear|learn|ask|think) (?:\w+ ){0,2}of\b"
)
"""Asking for more of somebody, or judging by what was said."""
_TELLS_YOU = re.compile(r"\bi (?:\w+ )?(?:tell|told) you\b")
_OPEN_QUESTION = re.compile(
    r"(?:ok |okay |well |so |then |oh |and )?(?:who|whose|where|when|why|which|what(?! about)|how(?! about))\b"
)
_CUE_OF_NAME = re.compile(r"\b(?:know|friends?|mutual|common|who|named|called|about)\b")
_BARE_NAME = re.compile(r"(?:(?:or|nor|and|not|then) )*zq[a-j]+qz")
_NOT_NAME = re.compile(r"(?:it(?:'s| is) )?not zq[a-j]+qz")


@dataclass(frozen=True)
class Mentions:
    """Which friends an utterance names, and how.

    Args:
        claimed: named in a statement.
        vouched: those among them that the speaker says to know, or calls the common friend.
        asked: named in a question or as a guess.
        spoken: only spoken of.
        denied: said to be unknown to the speaker, or not to be the one.
        unknown: those among them that are unknown to the speaker.
        agrees: a sentence of it is a plain yes, and none begins with a no.
        same: it says in so many words that the speaker knows the person just spoken of.
        joins: it says "me too".
        invites: what would confirm the name put forward: ``"yes"`` after a question or a guess, ``"me too"`` where its
            last words say that the speaker knows the person, else ``""``.
    """

    claimed: frozenset[str] = frozenset()
    vouched: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    spoken: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    agrees: bool = False
    same: bool = False
    joins: bool = False
    invites: str = ""

    @property
    def named(self) -> frozenset[str]:
        """All whom it names and does not deny."""
        return self.claimed | self.asked | self.spoken


NOTHING = Mentions()


@lru_cache(maxsize=16384)
def read_mentions(action_type: str, text: str, names: tuple[str, ...], players: frozenset[str]) -> Mentions:
    """The friends that one turn names.

    Args:
        action_type: one of :data:`sotopia_env.actions.ACTION_TYPES`; gestures and leaving name nobody.
        text: what was said or done.
        names: of all friends there are.
        players: first names of those who talk. A friend of the same name is named only where a word such as "know"
            or "friend" stands beside the name; else the partner is addressed.
    """
    if action_type not in ("speak", "action") or not text:
        return NOTHING
    prepared = marked(text, names)
    if action_type == "speak" and "zq" not in prepared and not _ANSWERS.search(prepared):
        return Mentions()
    found: dict[str, set[str]] = {
        how: set() for how in ("known", "vouched", "claimed", "asked", "spoken", "denied", "unknown")
    }
    so_far: set[str] = set()
    agrees = refuses = same = joins = someone = False
    invites = echo = ""
    for _, group in groupby(clauses(prepared), attrgetter("sentence")):
        sentence = tuple(group)
        whole = " ".join(clause.text for clause in sentence)
        asks, negated = sentence[-1].asked, _NEGATED.search(whole) is not None
        affirms = not negated and any(_YES.match(clause.text) for clause in sentence)
        roles = _roles(sentence, asks, affirms, names, players)
        for clause, named in zip(sentence, roles, strict=True):
            for name, how in named:
                found[how].add(name)
                so_far.add(name)
            if named:
                continue
            how = _of_the_person(clause, asks)
            if how in ("known", "vouched", "unknown"):
                if len(so_far) == 1:
                    found[how] |= so_far
                same = same or (how != "unknown" and len(so_far) < 2 and not someone)
            else:
                someone = someone or not SOMEONE.isdisjoint(clause.words)
        hows = {how for named in roles for _, how in named}
        asks_again = asks and any(_of_the_person(clause, asks) == "asked" for clause in sentence)
        if negated:
            refused = _NO.match(whole) is not None
            refuses = refuses or refused
            # "Alma? No."
            if echo and refused:
                found["unknown"].add(echo)
        else:
            fits = bool(hows) and hows.isdisjoint(("spoken", "denied", "unknown"))
            agrees = agrees or (not asks and _answers(_YES, whole, fits))
            so_do_i = sentence[0].link == "so" and whole.startswith("do i")
            joins = joins or so_do_i or (not asks and _answers(_JOINS, whole, fits))
        if "asked" in hows or asks_again or (asks and ("known" in hows or ("vouched" in hows and roles[-1]))):
            invites = "yes"
        elif asks:
            invites = ""
        elif roles[-1] and roles[-1][-1][1] == "known":
            invites = "me too"
        elif invites == "me too":
            invites = ""
        echo = roles[0][0][0] if asks and len(sentence) == 1 and _BARE_NAME.fullmatch(whole) and roles[0] else ""
    formal = action_type == "action" and _FORMAL.match(text) is not None
    denied = found["denied"] | found["unknown"]
    vouched = (found["known"] | found["vouched"]) - denied
    claimed = vouched | (found["claimed"] - denied)
    asked = found["asked"] - claimed - denied
    return Mentions(
        claimed=frozenset(claimed),
        vouched=frozenset(vouched),
        asked=frozenset(asked),
        spoken=frozenset(found["spoken"] - claimed - denied - asked),
        denied=frozenset(denied),
        unknown=frozenset(found["unknown"]),
        agrees=formal or (agrees and not refuses),
        same=formal or (same and not refuses),
        joins=joins and not refuses,
        invites=invites,
    )


def _answers(opening: re.Pattern[str], whole: str, fits: bool) -> bool:
    """Whether a sentence opens so and says nothing else, or only what fits."""
    match = opening.match(whole)
    rest = whole[match.end() :].strip() if match else ""
    return match is not None and (not rest or fits or _OF_THE_PERSON.search(rest) is not None)


def _roles(
    sentence: Sequence[Clause], asks: bool, affirms: bool, names: tuple[str, ...], players: frozenset[str]
) -> list[list[tuple[str, str]]]:
    """Whom each clause of a sentence names, and how; a list is read as the clause it belongs to."""
    found: list[list[tuple[str, str]]] = []
    waiting: list[list[tuple[str, str]]] = []
    last, corrects = "", False
    for clause in sentence:
        named: list[tuple[str, str]] = []
        found.append(named)
        if clause.link in CONTRASTS:
            last = ""
        tagged = asks and clause.link not in ("since", "because")
        for place, mark in marks(clause):
            name = names[mark]
            if name in players and not _CUE_OF_NAME.search(clause.text):
                continue
            how = _role(clause, place, tagged)
            if how in ("claimed", "denied") and _BARE_NAME.fullmatch(clause.text):
                if how == "denied" or clause.denied[place]:
                    how = last if last in ("unknown", "denied") else "denied"
                # "Not Alma, Bruno."
                elif not (corrects and last in ("unknown", "denied")):
                    how = last
            named.append((name, how))
        if named and not named[-1][1]:
            waiting.append(named)
            continue
        joined = clause.link == "and" or clause.text.startswith(("or ", "nor "))
        if named:
            last, corrects = named[-1][1], _NOT_NAME.fullmatch(clause.text) is not None
        if waiting and joined and (named or clause.words[:1] in (("i",), ("we",))):
            _settle(waiting, named[0][1] if named else "vouched")
    if waiting:
        others = (
            _role(clause, len(clause.words), asks)
            for clause, named in zip(sentence, found, strict=True)
            if clause.words and not named
        )
        # "Alma, yes."
        _settle(waiting, next((how for how in others if how != "claimed"), "vouched" if affirms else "claimed"))
    return found


def _settle(waiting: list[list[tuple[str, str]]], how: str) -> None:
    for named in waiting:
        named[:] = [(name, how) for name, _ in named]
    waiting.clear()


def _of_the_person(clause: Clause, asks: bool) -> str:
    """How a clause speaks of a person it does not name; empty where it speaks of none."""
    words = clause.words
    for place, word in enumerate(words):
        if word in KNOWING:
            start = place + 1 + (words[place + 1 : place + 2] == ("of",))
            after = words[start : start + 2]
            if after and (after[0] in _HER or (after[0] in ("that", "this") and after[1:] in _PERSON)):
                return _role(clause, start, asks)
    return _role(clause, len(words), asks) if _SAME.search(clause.text) else ""


def _role(clause: Clause, place: int, asks: bool) -> str:
    """How the person at a place in a clause is spoken of: one of the statuses of :class:`Mentions`, or ``"known"``.

    Args:
        clause: of an utterance.
        place: of the name or pronoun; the number of words where the clause only goes with one.
        asks: whether its sentence ends in a question.
    """
    words, text, at = clause.words, clause.text, min(place, len(clause.words) - 1)
    before, denied = words[:place], clause.denied[at]
    know = next((i for i in range(at, -1, -1) if words[i] in KNOWING), None)
    if know is not None and words[know] == "heard" and denied and _knower(words, know) in _FIRST:
        return "unknown"
    if not clause.own[at]:
        return "spoken"
    if before and before[-1] in _NOUNS and place < len(words):
        owners = before[-4:-1]
        if "my" in owners or "our" in owners:
            return "vouched"
        if "your" in owners:
            return "spoken"
    if _TALKS_OF.search(text):
        return "claimed" if _TELLS_YOU.search(text) else "spoken"
    if clause.asked:
        return "spoken" if _OPEN_QUESTION.match(text) else "asked"
    if words[at + 1 : at + 2] == ("qs",):
        return "claimed"
    if _UNCERTAIN.search(text):
        return "asked"
    guessed = clause.supposed or _GUESSED.search(text) is not None
    if know is None:
        know = next((i for i in range(at + 1, len(words)) if words[i] in KNOWING), None)
    if know is not None:
        knower, first = _knower(words, know), know < place
        if knower in _FIRST:
            if first and not _INDIRECT.isdisjoint(words[know + 1 : place]):
                return "spoken"
            if denied if first else any(clause.denied[at : know + 1]):
                return "unknown"
            if clause.supposed:
                return "spoken"
            # "I do not know that I know her."
            if any(clause.denied[i] and words[i] in KNOWING for i in range(know)):
                return "asked"
            if (
                place == len(words)
                or not first
                or all(w in _KNOWN or w in FRIENDLY or w[:2] == "zq" for w in words[know + 1 : place])
            ):
                return "asked" if guessed else "known"
            if before[-1] in ("about", "of", "like", "name"):
                return "spoken"
        # "Did you know that Alma is my friend?"
        if knower != "you" or words[know + 1 : know + 2] != ("that",):
            if knower == "you":
                return "asked" if guessed or asks else "spoken"
            if first:
                return "spoken"
    yours = not _HEARER.isdisjoint(words)
    ours = not _OURS.isdisjoint(words) or (not yours and "i" in words and not _HAVING.isdisjoint(words))
    friendly = next((i for i, word in enumerate(words) if word in FRIENDLY or word in _FAMILIAR), None)
    if friendly is not None:
        negative = denied or clause.denied[friendly]
        if words[friendly] in _FAMILIAR:
            return "unknown" if negative or words[friendly] == "unfamiliar" else "asked"
        if yours and not ours:
            return "asked" if guessed or asks else "spoken"
        shared = "mutual" in words or "common" in words
        if negative:
            return "denied" if shared else "unknown"
        if " friends with" in text and not _FRIENDS_WITH.search(text):
            return "spoken"
        if ours and words[friendly] not in ("named", "called"):
            return "asked" if guessed or (asks and shared) else "vouched"
    if _IT_IS.search(text):
        return "denied" if denied else "asked" if guessed or asks else "vouched"
    if denied and before and before[-1] in _NOT:
        return "unknown" if before[-1] in ("no", "any") else "denied"
    if yours and not ours:
        return "spoken"
    if guessed:
        return "asked"
    return "vouched" if not denied and _MINE.search(text) else "claimed"


def _knower(words: tuple[str, ...], know: int) -> str:
    """Whose acquaintance a verb tells: the word of its subject, empty where it has none."""
    while know and words[know - 1] in _BETWEEN:
        know -= 1
    return words[know - 1] if know else ""

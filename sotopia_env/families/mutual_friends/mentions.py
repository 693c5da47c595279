"""Reading one utterance for the friends it names, and the attributes it tells: plain text, any typing.

Names and attributes are read over the same clauses as manners, facts and secrets
(:mod:`sotopia_env.families.clauses`): who denies, asks, supposes or reports is told there. A name is

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
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from operator import attrgetter

from sotopia_env.families.clauses import Clause, clauses
from sotopia_env.families.consent import CONTRASTS

_KNOWING = frozenset(
    "know knew known knows met recognize recognise recognized recognised remember recall heard".split()
)
_BETWEEN = frozenset(
    "do does did have has had am also both really actually already indeed certainly definitely personally happen "
    "used happened to not never cannot can could don doesn didn haven hadn wouldn couldn even just still only "
    "truly fully quite all probably possibly maybe perhaps may might would always must got came".split()
)
"""What may stand between who knows and "know"."""
_FIRST = frozenset(("i", "we", ""))
_OURS = frozenset("my mine our ours me mutual common".split())
_HEARER = frozenset("you your yours".split())
_INDIRECT = frozenset("whether how what when where why".split())
_SUBJECTS = frozenset("you he she they who".split())
_HER = frozenset("him her them".split())
_PERSON = frozenset((noun,) for noun in ("person", "one", "friend"))
_NOUNS = frozenset("friend friends pal buddy colleague cousin".split())
_FRIENDLY = _NOUNS | frozenset("list named called mine".split())
_FAMILIAR = frozenset("familiar unfamiliar bell ring rings".split())
_NOT = frozenset("not no nor neither or and any".split())
_SOMEONE = frozenset(
    "someone somebody anyone anybody brother sister neighbour neighbor uncle aunt boss mother father man woman guy "
    "girl boy".split()
) | (_NOUNS - {"friends"})

_YES = re.compile(
    r"(?:oh |ah |well |why |ha |and )?(?:yes|yeah|yep|yup|indeed|exactly|correct|right|absolutely|of course|"
    r"i (?:\w{4,10} )?do\b|bingo|that is right|that's right)\b"
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
    r"\b(?:yes|yeah|yep|yup|indeed|exactly|correct|right|absolutely|of course|i (?:\w+ )?do|bingo|me too|"
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
_MINE = re.compile(
    r"\b(?:too|also|as well)\b|\b(?:is|was|are) (?:my|our)\b|"
    r"\bi(?: have|'ve)(?: got)? zq|"
    r"\bi (?:\w+ ){0,3}?(?:work|worked|study|studied|live|lived|play|played|grew|went)\b(?: \w+){0,4} with zq"
)
"""Who says this of somebody knows the person."""
_TALKS_OF = re.compile(
    r"^(?:please |and |so |then |yes )*(?:tell|describe|explain|remind|introduce|show|give)\b(?! you)|"
    r"\btell me\b|(?<!\bwhat)(?<!\bhow) about zq|\bdoubt\b|\b(?:thanks|thank you) for\b|"
    r"(?:qz|\bhe|\bshe) (?:[\w']+ ){0,2}?(?:sounds?|seems?|appears?)\b(?! familiar| like \w+ i know)|"
    r"\b(?:love|like|want|wish|hope) to (?:\w+ )?meet\b|\b(?:talk|hear|learn|ask|think) (?:\w+ ){0,2}of\b"
)
"""Asking for more of somebody, or judging by what was said."""
_TELLS_YOU = re.compile(r"\bi (?:\w+ )?(?:tell|told) you\b")
_OPEN_QUESTION = re.compile(
    r"(?:ok |okay |well |so |then |oh |and )?(?:who|whose|where|when|why|which|what(?! about)|how(?! about))\b"
)
_CUE_OF_NAME = re.compile(r"\b(?:know|friends?|mutual|common|who|named|called|about)\b")
_BARE_NAME = re.compile(r"(?:(?:or|nor|and|not|then) )*zq[a-j]+qz")
_NOT_NAME = re.compile(r"(?:it(?:'s| is) )?not zq[a-j]+qz")

_GREETING = re.compile(r"\bgood (?:morning|afternoon|evening)\b", re.IGNORECASE)
_OWN = re.compile(
    r"\b(?:friends? of mine|(?:of )?my (?:\w+ )?friends?|i(?: also| do)? know|i have|one of mine|none of mine|"
    r"nobody i know|no one i know|(?:do not|don't) know|(?:do not|don't) have)\b"
)
_SOUGHT = re.compile(
    r"\byour?\b|^(?:please |and |so |then )?(?:tell|describe)\b|\b(?:looking|searching) for\b|\bwonder(?:ing)?\b"
)
"""With these, attributes are sought, or spoken of as the other's friends'."""
_NEW_TELLING = frozenset("i we my mine one another you your".split())
_OF_FRIENDS = frozenset("have had got one mine who".split()) | _KNOWING | _FRIENDLY | _SOMEONE

_WORDS_TOO = frozenset(
    "will mark rose don grace august joy hope may june april jack frank bill art ray rich pat drew chance dawn faith "
    "ivy olive violet ruby go major rob sue penny carol ginger heather miles read reading shopping".split()
)
"""Names and values that are ordinary words as well: they count only with a capital."""
_CONTRACTED = re.compile(r" (?:an?|the|my|our|not|also|in|at|into|from|one|really|very|so|\w+ing)\b", re.IGNORECASE)
_QUOTES = "\"'\u2018\u2019\u201c\u201d"
_QUOTED_MARK = re.compile(rf"[{_QUOTES}](\s*zq[a-j]+qz[.,!?]?\s*)[{_QUOTES}]")
_MARK = re.compile(r"zq([a-j]+)qz")
_WRITTEN_MARK = re.compile("zq", re.IGNORECASE)
_LETTERS, _DIGITS = str.maketrans("0123456789", "abcdefghij"), str.maketrans("abcdefghij", "0123456789")
_sentence = attrgetter("sentence")


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


@dataclass(frozen=True)
class Telling:
    """Attributes named together in one part of a sentence.

    Args:
        kind: ``"has"`` (a friend of the speaker), ``"lacks"`` (no friend of the speaker), or ``"asks"``.
        values: the values, as they stand in the table.
        own: whether the speaker says it of friends of its own in so many words.
        names: friends named beside them.
    """

    kind: str
    values: frozenset[str]
    own: bool = False
    names: frozenset[str] = frozenset()


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
    marked = _marked(text, names)
    if action_type == "speak" and "zq" not in marked and not _ANSWERS.search(marked):
        return Mentions()
    found: dict[str, set[str]] = {
        how: set() for how in ("known", "vouched", "claimed", "asked", "spoken", "denied", "unknown")
    }
    so_far: set[str] = set()
    agrees = refuses = same = joins = someone = False
    invites = echo = ""
    for _, group in groupby(clauses(marked), _sentence):
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
                same = same or (how != "unknown" and not so_far and not someone)
            else:
                someone = someone or not _SOMEONE.isdisjoint(clause.words)
        hows = {how for named in roles for _, how in named}
        asks_again = asks and any(_of_the_person(clause, asks) == "asked" for clause in sentence)
        if negated and _NO.match(whole):
            refuses = True
            if echo:
                found["unknown"].add(echo)
        elif not negated and not asks:
            yes = _YES.match(whole)
            rest = "" if yes is None else whole[yes.end() :].strip()
            fits = (
                not rest or _OF_THE_PERSON.search(rest) or (hows and hows.isdisjoint(("spoken", "denied", "unknown")))
            )
            agrees = agrees or bool(yes and fits)
        so_do_i = sentence[0].link == "so" and whole.startswith("do i")
        joins = joins or (not negated and (so_do_i or (not asks and _JOINS.match(whole) is not None)))
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
        for place, mark in _marks(clause):
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
        _settle(waiting, next((how for how in others if how != "claimed"), "claimed"))
    if affirms:
        found = [[(name, "vouched" if how == "claimed" else how) for name, how in named] for named in found]
    return found


def _settle(waiting: list[list[tuple[str, str]]], how: str) -> None:
    for named in waiting:
        named[:] = [(name, how) for name, _ in named]
    waiting.clear()


def _of_the_person(clause: Clause, asks: bool) -> str:
    """How a clause speaks of a person it does not name; empty where it speaks of none."""
    words = clause.words
    for place in range(1, len(words)):
        if words[place] in _HER and (words[place - 1] in _KNOWING or words[place - 2 : place] == ("heard", "of")):
            return _role(clause, place, asks)
        if (
            words[place] in ("that", "this")
            and words[place - 1] in _KNOWING
            and words[place + 1 : place + 2] in _PERSON
        ):
            return _role(clause, place, asks)
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
    know = next((i for i in range(at, -1, -1) if words[i] in _KNOWING), None)
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
        know = next((i for i in range(at + 1, len(words)) if words[i] in _KNOWING), None)
    if know is not None:
        knower, first = _knower(words, know), know < place
        if knower in _FIRST:
            if first and not _INDIRECT.isdisjoint(words[know + 1 : place]):
                return "spoken"
            if denied if first else any(clause.denied[at : know + 1]):
                return "unknown"
            if clause.supposed or (first and not _SUBJECTS.isdisjoint(words[know + 1 : place])):
                return "spoken"
            # "I do not know that I know her."
            if any(clause.denied[i] and words[i] in _KNOWING for i in range(know)):
                return "asked"
            if first and place < len(words) and before[-1] in ("about", "of"):
                return "spoken"
            return "asked" if guessed else "known"
        # "Did you know that Alma is my friend?"
        if knower != "you" or words[know + 1 : know + 2] != ("that",):
            if knower == "you":
                return "asked" if guessed or asks else "spoken"
            if first:
                return "spoken"
    yours = not _HEARER.isdisjoint(words)
    ours = not _OURS.isdisjoint(words) or (not yours and "i" in words)
    friendly = next((i for i, word in enumerate(words) if word in _FRIENDLY or word in _FAMILIAR), None)
    if friendly is not None:
        negative = denied or clause.denied[friendly]
        if words[friendly] in _FAMILIAR:
            return "unknown" if negative or words[friendly] == "unfamiliar" else "asked"
        if yours and not ours:
            return "asked" if guessed or asks else "spoken"
        shared = "mutual" in words or "common" in words
        if negative:
            return "denied" if shared else "unknown"
        if ours:
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


@lru_cache(maxsize=16384)
def read_tellings(text: str, values: tuple[str, ...], names: tuple[str, ...] = ()) -> tuple[Telling, ...]:
    """The attributes that an utterance tells or asks for, group by group.

    Args:
        text: what was said.
        values: all there are, or all the listener knows of.
        names: of friends, to tell whom a statement is about.
    """
    known = (*values, *names)
    marked = _marked(_GREETING.sub("", text), known)
    if "zq" not in marked:
        return ()
    found: list[Telling] = []
    for _, sentence in groupby(clauses(marked), _sentence):
        found += _told(tuple(sentence), known, len(values))
    return tuple(found)


def _told(sentence: Sequence[Clause], known: tuple[str, ...], count: int) -> list[Telling]:
    """The attributes of one sentence; what follows without a subject of its own goes on as it began."""
    found: list[tuple[str, set[str], set[str], bool]] = []
    kind, own, names = "", False, set[str]()
    for clause in sentence:
        sought = clause.asked or clause.supposed or _SOUGHT.search(clause.text) is not None
        marks = [(place, mark) for place, mark in _marks(clause) if sought or clause.own[place]]
        if clause.link in CONTRASTS or (marks and clause.words[0] in _NEW_TELLING):
            kind, own, names = "", False, set()
        own = own or _OWN.search(clause.text) is not None
        if not kind and not sought and "i" in clause.words and _OF_FRIENDS.isdisjoint(clause.words):
            continue  # of oneself
        for place, mark in marks:
            if mark >= count:
                names.add(known[mark])
                continue
            denied = kind == "lacks" or any(clause.denied[: place + 1])
            now = "asks" if sought or kind == "asks" else "lacks" if denied else "has"
            if now != kind or not found or found[-1][2] is not names:
                found.append((now, set(), names, own))
            kind = now
            found[-1][1].add(known[mark])
        if not marks and (sought or any(clause.denied)):
            kind = "asks" if sought else "lacks"
    return [Telling(kind, frozenset(values), own, frozenset(names)) for kind, values, names, own in found]


def _marked(text: str, known: tuple[str, ...]) -> str:
    """The text with every known name or value replaced by a mark that is read as one word."""
    folded = _WRITTEN_MARK.sub("z", _folded(text))
    for pattern, places in _patterns(known):
        if pattern.search(folded):
            folded = pattern.sub(partial(_mark, places), folded)
    # A bare name in quotes is a name, not a quotation.
    return _QUOTED_MARK.sub(r"\1", folded) if "zq" in folded else folded


def _marks(clause: Clause) -> list[tuple[int, int]]:
    """The marks in a clause, each once: its place, and which of the known it marks."""
    if "zq" not in clause.text:
        return []
    found: dict[int, int] = {}
    for place, word in enumerate(clause.words):
        if match := _MARK.fullmatch(word):
            found.setdefault(int(match[1].translate(_DIGITS)), place)
    return [(place, mark) for mark, place in found.items()]


def _mark(places: dict[str, int], match: re.Match[str]) -> str:
    mark = f"zq{str(places[_key(match[1])]).translate(_LETTERS)}qz"
    if match[2] is None:
        return mark
    return f"{mark} is" if _CONTRACTED.match(match.string, match.end()) else f"{mark} qs"


@lru_cache(maxsize=1024)
def _patterns(known: tuple[str, ...]) -> tuple[tuple[re.Pattern[str], dict[str, int]], ...]:
    """Two patterns, for what counts in any case and for what needs its capital, with the place of each match."""
    plain_ones = {i: _folded(text) for i, text in enumerate(known) if text.lower() not in _WORDS_TOO}
    words_too = {i: _folded(text) for i, text in enumerate(known) if text.lower() in _WORDS_TOO}
    made = []
    for texts, flags in ((plain_ones, re.IGNORECASE), (words_too, 0)):
        if texts:
            ordered = sorted(texts.values(), key=len, reverse=True)
            body = "|".join(re.escape(text).replace(r"\ ", r"\s+") for text in ordered)
            # "don" is no part of "don't", but "Don's" names Don.
            pattern = re.compile(rf"(?<![\w'])({body})(['\u2019]s)?(?![\w]|['\u2019]\w)", flags)
            made.append((pattern, {_key(text): i for i, text in reversed(texts.items())}))
    return tuple(made)


def _key(text: str) -> str:
    return " ".join(text.lower().split())


def _folded(text: str) -> str:
    """The text without accents: people type Tomas for Tomás."""
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def all_values(tables: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The values of several tables, each once, in a stable order."""
    return tuple(sorted({value for table in tables for value in table}))

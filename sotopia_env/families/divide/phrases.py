"""The words in which people divide things: the patterns that :mod:`sotopia_env.families.divide.moves` matches.

All are written for plain text (:func:`sotopia_env.families.plain_text.plain`). Every repetition is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from functools import lru_cache
from typing import NamedTuple

from sotopia_env.families import consent
from sotopia_env.families.consent import any_of
from sotopia_env.families.divide.items import NUMBERS, Items
from sotopia_env.families.divide.proposals import OTHERS, VAGUE

_NUMBER = rf"\d{{1,2}}|{'|'.join(NUMBERS)}"
_UNIT = (
    r"(?:package|pack|packet|unit|bundle|case|jug|box|boxe|piece|item|thing|load|stack|portion|serving|bag|can|cord|"
    r"share|part|gallon)s?"
)

COUNTED = {**NUMBERS, "a": 1, "an": 1, "single": 1, "couple": 2, "pair": 2, "zero": 0, "no": 0}
_OTHER = re.compile(r"\b(?:other|remaining|leftover) ")
_NO_NUMBER = re.compile(
    r"^(?:at|up|about|around|maybe|over|more|roughly|approximately|another|some|most|any|enough|much|"
    r"many|more|less|fewer|little|few|bit|lots?|plenty|several|majority|extra|additional|a )|\b(?:or|to|majority|"
    r"bulk)\b|more$|-"
)
"""What begins, or stands in, an amount that says no number."""

_SYMBOLS = re.compile("[\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]+")
_MARKS = 0xE000
_MARK_RANGE = f"{chr(_MARKS)}-{chr(_MARKS + 63)}"
_STRAY_MARK = re.compile(f"[{_MARK_RANGE}]")
ITEM_MARK = f"[{_MARK_RANGE}]"

_STILL = r"(?: (?:already|also|only|still|just))?"
_MODALS = ("can", "could", "may", "might", "should", "shall", "if", "about", "would", "do", "let")


def _not_after(words: Iterable[str]) -> str:
    return "".join(f"(?<!{word} )" for word in words)


_NEVER_SO = _not_after(_MODALS)
_NO_MODAL = _not_after((*_MODALS, "so", "then", "that"))
# "Is it fine if" and "what if" suppose nothing, they ask for it.
_NO_REQUEST = _not_after(
    (*"what ok okay fine mind possible alright cool good great nice fair better about feel think".split(), "like it")
)
_AFTER_FOR = r"(?! (?:be|make|do|see|get|keep|have|take|go|read|play|give|work|split|agree|settle))"
# What a word does to the division, tried in this order at every place of a text.
_CUES = (
    ("stop", r"[.!?;\n][.!?;\s]*"),
    # "water: 2", "food - 2"
    ("joins", rf"(?<={ITEM_MARK}) ?(?:[:=x]|--?) ?(?=(?:{_NUMBER})\b)"),
    ("comma", r",|\(|\)|--?|\u2013|\u2014|:|/(?! ?\d)"),
    ("to_me", rf"(?<={ITEM_MARK}) me\b|\bmine\b"),
    ("to_you", rf"(?<={ITEM_MARK}) (?:you|u)(?= ?(?:[,.;:)!?\n]|$)| (?:and )?\d)|\byours\b"),
    # "That works for me" and "nothing for you to lose" give nobody anything.
    (
        "skip",
        r"(?:works?|good|fine|okay|ok|fair|great|well|better|best|enough|deal|important|vital|helpful|useful|hard|"
        r"tough|crucial|essential|necessary|up|reasonable|perfect|happy|"
        r"agree|talk(?:ing)?|listen(?:ing)?|thanks?|cool) (?:for|to|with|by) (?:me|us|it|that|this|all|you)\b"
        r"(?! \w{2,7}ing\b)|"
        r"(?:from|between|(?<!how )(?<!what )about|than|of|as|with|like) (?:me|you|us|both of us)\b(?! \w{2,7}ing\b)|"
        r"(?:thank|see|tell|believe|trust|hear) (?:you|ya|me)\b|\bhow about you\b(?= ?\?)|\bi see\b|"
        r"\bfor (?:it|that|this|now|sure|a while|some|my|our|your|his|her|the (?:weekend|trip|party|night))\b|"
        r"\bdo everything\b|"
        r"\byou(?:'ve| have)? got it\b|\byou have (?:yourself )?a deal\b|\b(?:have|get|make|got|take) (?:a|the|this|"
        r"that|your|my) (?:deal|offer|agreement|trade)\b|\bin the end\b|\bat all\b|\bafter all\b|"
        r"\ball (?:right|set|good)\b|"
        r"\b(?:my|your|the|this|that|our|final|last|new|an|first|best|initial|original) (?:counter ?-?)?offers?\b|"
        r"\bto each (?:his|their) own\b|\bsecond (?:place|thought)\b|\bhave to\b|\bhave (?:no|any|room|been)\b"
    ),
    (
        "each_kind",
        rf"\b(?:at least )?(?:(?:{_NUMBER}|an?) (?:{_UNIT} )?(?:of (?:each|every(?:thing)?|all (?:three|3|the items|"
        rf"items))|(?:each|every) (?:kind|item|one|thing))|(?:{_NUMBER}|an?) each of everything)"
        rf"(?: (?:kind|item|one|thing|category))?\b"
    ),
    ("other", rf"\b(?:the |my |your )?(?:other|remaining|"
        rf"leftover) (?:(?:{_NUMBER})\b(?: (?:{_UNIT}) of)?(?! (?:items|things))|one\b|"
              rf"(?={ITEM_MARK}))"),
    (
        "rest",
        r"(?:\b(?:every|any|all)(?: ?thing)? else\b|\b(?:all )?(?:of )?(?:the )?(?:rest|remainder|remaining|"
        r"left ?overs?|(?:the other|others)(?= ?(?:[,.;:!?)\n]|$)| (?:to|for|are|is)\b)|other (?:items?|things?|"
        r"ones?|stuff|"
        r"(?:two|2)(?= (?:items|things))|objects?))(?: (?:items?|ones?|things?|of (?:it|them|the (?:items|stuff))))?\b|"
        r"\bwhat(?:ever)?(?:'?s| is)? (?:left|remains)\b|\belse(?= (?:to|for)\b)|\ball other (?:items?|things?)\b)"
    ),
    ("every", r"\b(?:everything(?! (?:you|that|i|we|is|sounds?|looks?|seems?|about|meaning|works?|will|would)\b)|"
        r"all (?:the |of the )?(?:items|things|stuff|objects))\b"),
    # what was just spoken of: "you can have them all"
    ("them", r"\b(?:(?:all|both|most|some) of (?:it|them|those)|it all|(?:them|those)(?: all| both)?)\b"),
    ("except", r"\b(?:except(?:ing)?(?: for)?|apart from|aside from|besides|excluding|other than|minus)\b"),
    ("split", r"\b(?:split(?:ting)?|shar(?:e|ing)|divid(?:e|ing)|halve|even(?:ly)? split)\b"),
    ("evenly", r"\b(?:evenly|equally|50 ?[/-] ?50|fifty[ -]fifty|down the middle|in half|half and half)\b"),
    ("each", r"\b(?:each|apiece)\b"),
    (
        "value",
        r"\b(?:worth(?:less)?|points?|pts?|values?|valued|valuable|important|useless|score|zero points|means?|"
        r"no (?:use|good|interest)|favou?rites?|great condition|already|too many|must have|flexible|essential|"
        r"crucial|critical|concerns?|issue|problem|priorit(?:y|ies)|"
        r"at home|used to|collect(?:s|ed|ing)?|reminds?|belong(?:s|ed)?)\b"
    ),
    ("exchange", r"\bin (?:exchange|return|trade)(?: (?:for|of))?\b"),
    ("instead", r"\b(?:instead of|rather than|than)\b"),
    (
        "number",
        rf"\b(?:(?:{_NUMBER}|an?|single|couple|pair|zero)\b(?:(?: (?:out )?of (?:the |those |them |my |your )?|"
        rf" ?/ ?)(?:(?:{_NUMBER})\b)?)?(?: more\b| ?(?:-|or|to) ?(?:{_NUMBER})\b)?|both|all|every|half|"
        rf"(?:no|the)(?= (?:extra )?{ITEM_MARK}))\b"
    ),
    (
        "vague",
        rf"\b(?:(?:at (?:least|most)|up to|(?<!how )(?<!what )about|around|maybe|over|more than|less than|"
        rf"roughly) (?:{_NUMBER}|an?)\b|"
        rf"another|some|most|any|enough|(?:(?:as|so|too|that) )?(?:much|many)|more|less|fewer|(?:a )?(?:little|few)|"
        rf"(?:a )?bit|lots?|plenty|several|(?:the |a )?majority|larger|bigger|double|bulk)\b(?: of)?|(?:extra|"
        rf"additional)(?= {ITEM_MARK})"
    ),
    (
        "negation",
        r"\b(?:not|never|cannot|can't|cant|don't|dont|won't|wont|isn't|isnt|doesn't|doesnt|couldn't|couldnt|wouldn't|"
        r"wouldnt|nor|neither|unable|refuse|ain't|without|no|none|didn't|aren't|haven't|hardly|can ?not)\b"
    ),
    # what is told of others, of the past, of reasons and purposes, gives nothing
    (
        "told",
        r"\b(?:said|says?|saying|told|(?:my|our|your) own|mentioned|had|brought|packed|bought|forgot|given|offered|"
        r"wanted|"
        r"needed|because|cause|cuz|due to|in case|so that|as i|as we|since|when|they|he|she|"
        r"for (?!(?:every|any|some|no)thing\b)[a-z]+ing\b|"
        rf"(?=i\b){_NO_MODAL}i(?:'ve)?{_STILL} (?:have|got)(?! to\b)|(?=we\b){_NEVER_SO}we(?:'ve)?{_STILL} (?:have|"
        rf"got)(?! to\b)|"
        rf"(?=you have){_NO_MODAL}you have(?! (?:have|the|all|both|everything|rest|to|an?|{_NUMBER})\b)|"
        rf"there (?:are|is|'s)|"
        r"how (?:to|much|many)|to (?![a-z]+ing\b|propose|suggest|say\b|proceed|agree|your\b|our\b|this\b|that\b|"
        r"these\b|those\b|it\b|be\b|have|take|get|"
        r"keep|give|offer|let|split|share|me\b|you\b|u\b|"
        r"us\b|my\b|the\b|"
        rf"an?\b|each|both|trade|do\b|go\b|make|see|accept|receive|spare|{_NUMBER}|only|just|part\b|leave|"
        rf"divide)[a-z]+)\b"
    ),
    (
        "want",
        r"\b(?:want(?:s|ing)?|wanna|try(?:ing)?|need(?:s|ing)?|like|love|prefer|wish|care|interested|hop(?:e|"
        r"ing)(?: for)?|"
        r"look(?:ing)? (?:for|at)|could (?:really )?use|go(?:ing)? for|after|must|gotta|require|ask(?:ing)?|demand|"
        r"hold (?:on|onto)|short (?:on|of)|lack(?:ing)?)\b"
    ),
    ("gimme", r"\b(?:gimme|give me|hand me|let me(?! know| see| think| ask| check| tell| say| explain))\b"),
    (
        "give",
        r"\b(?:g(?:iv(?:e|ing|es)|ave)(?: up| away)?|offer(?:ing)?|let(?:ting)?(?!'s| (?:me|us)\b)(?: go(?: of)?)?|"
        r"leav(?:e|ing|es)|cede|ceding|concede|trad(?:e|ing)|swap|exchang(?:e|ing)|part(?:ing)? with|forgo|forfeit|"
        r"sacrifice|spare|surrender|hand(?: over)?|budg(?:e|ing)(?: on)?|provid(?:e|ing)|distribute)\b"
    ),
    (
        "take",
        r"(?:\b(?:will|would|can|could|must|gonna) )?\b(?:tak(?:e|ing|es)|took|get(?:s|ting)?|keep(?:s|ing)?|ha(?:ve|"
        r"s|ving)|receiv(?:e|ing)|claim|grab|choose|pick|hold(?! on)|"
        r"settle for|end up with|stick with|be left with|hang on to|throw(?:ing)? in|add(?:ing)?|"
        r"(?:live|make do|manage|get by|accept|(?:fine|ok|okay|happy|content) with|do with)(?: with)?(?= (?:just |"
        r"only |the |"
        rf"all |both |(?:{_NUMBER}) ))|"
        rf"do(?= (?:just |only |the |all |both |an? |{_NUMBER})))\b"
    ),
    ("for", rf"\b(?:for|to)\b{_AFTER_FOR}"),
    ("me", r"\b(?:i|me|my|myself|i'?m|i'?d|i'?ll|i'?ve)(?=\W|$)"),
    ("you", r"\b(?:you|u|ya|your|yourself|you'?re|you'd|you'll|youll|you've)(?=\W|$)"),
    ("us", r"\b(?:we|us|let's|lets)(?=\W|$)"),
    ("either", r"\beither\b"),
    ("or", r"\bor\b(?! (?:we|i|no|else|there|it|not|otherwise)\b)"),
    ("but", r"\b(?:but|however|though)\b"),
    ("if", rf"(?=if\b){_NO_REQUEST}if\b"),
    ("link", r"\b(?:and|plus|then|so|if|with|while|provided|as long as|including)\b|[&+]"),
)  # fmt: skip


LIST_WORDS = re.compile(
    r"(?: ?(?:how|what|about|bout|just|only|the|please|pls|then|instead|maybe|perhaps|is|are|ok|okay|alright|yes|"
    r"yeah|no|hi|"
    r"hello|hey|well|great|good|sorry|in|cash|total|there|of|them|can|could|would|will|live|be|fine|happy|willing|"
    r"deal|say|"
    r"also|too|more|i|final|stands?|remains?|trade|who|sure|now|but|at|least|do|that|this|on|best|my|ill|it|lets|let's|"
    r"[:;=)(/'\"]+))* ?"
)
"""Words that a mere list of items may hold besides: "how about just the ball and two hats please?"."""


_PROPOSES = re.compile(r"\b(?:will|would|can|could|how|what|let's|lets|make|go|settle|so|then|maybe|perhaps)\b")
_WILLING = re.compile(r"\b(?:willing|happy|ready|able|glad|fine|ok|okay|agree|agreed)\b")
_WILL = re.compile(r"\b(?:will|would|can|could)\b")
_UNITS = re.compile(
    rf"(?: |extra|additional|{_UNIT}|of|from|any|the|those|these|my|your|whole|precious|available|spare)+"
)
"""What may stand between a number and what it counts."""


@lru_cache(maxsize=1_024)
def amount(text: str) -> int | None:
    """How many a number, as :data:`CUES` finds it, says: ``None`` for all, :data:`VAGUE` where it says no number."""
    word = text.partition(" ")[0].partition("/")[0]
    if _OTHER.search(text):
        return OTHERS
    if _NO_NUMBER.search(text):
        return VAGUE
    if not word or word in ("all", "every", "half", "the"):
        return None
    return int(word) if word.isdigit() else 2 if word == "both" else COUNTED.get(word, VAGUE)


class Gap(NamedTuple):
    """What words between two cues mean.

    Args:
        listed: whether a mere list of items may hold them.
        counts_on: whether a number before them counts what comes after them: "2 extra packages of ...".
        ends_count: whether a number before them counts things of no kind: "five items".
        proposes: whether they propose.
        wills: whether they are of the future, or of what can be done.
        infinitive: whether they end in a "to" of no willingness: "my aim is to".
    """

    listed: bool
    counts_on: bool
    ends_count: bool
    proposes: bool
    wills: bool
    infinitive: bool


@lru_cache(maxsize=8_192)
def gap(text: str) -> Gap:
    """What the words between two cues mean."""
    return Gap(
        LIST_WORDS.fullmatch(text) is not None,
        _UNITS.fullmatch(text) is not None,
        text.endswith(("item", "items", "thing", "things")),
        _PROPOSES.search(text) is not None,
        _WILL.search(text) is not None,
        text.endswith(" to ") and _WILLING.search(text) is None,
    )


def _any_cue(names: Iterable[str]) -> str:
    return "|".join(f"(?P<{name}>{pattern})" for name, pattern in _CUES if name in names)


_BETWEEN_WORDS = frozenset(("stop", "joins", "comma", "to_me", "to_you"))
CUES = re.compile(
    f"(?P<item>{ITEM_MARK})|(?<![a-z0-9'])(?=[a-z0-9])(?:{_any_cue({name for name, _ in _CUES} - _BETWEEN_WORDS)})|"
    f"(?=[^a-z0-9]|mine|yours)(?:{_any_cue(_BETWEEN_WORDS)})"
)
"""Finds items (marked by :func:`mark_items`) and cues; the name of the group that matched says which."""

_ELIDED = (
    rf"\b(?:{_NUMBER}) (?:for|to) (?:me|you)\b|"
    rf"\b(?:take|get|have|keep|(?:give|leave) (?:me|you)) (?:just |only )?(?:{_NUMBER})(?= ?(?:[,.;!?)\n]|$)| and\b)"
)
_DIGIT = re.compile("[0-9]")
_NAMING = frozenset(
    "rest remainder remaining remains left leftover leftovers others other else all every each everything".split()
) | set(NUMBERS)
NAMES_ITEMS = re.compile(
    f"{ITEM_MARK}|(?<![a-z0-9'])(?=[a-z0-9])(?:{_any_cue(('rest', 'every', 'each_kind'))}|{_ELIDED})"
)
"""Whether anything to be divided is named."""


def without_symbols(text: str) -> str:
    """A plain text in which pictures end a sentence, as they do for people."""
    return text if text.isascii() else _SYMBOLS.sub(". ", text)


def names_items(text: str, words: Set[str]) -> bool:
    """Whether a text of these words names anything that is to be divided."""
    if not text.isascii() and _STRAY_MARK.search(text):
        return True
    if words.isdisjoint(_NAMING) and not _DIGIT.search(text):
        return False  # the cheap test first
    return NAMES_ITEMS.search(text) is not None


def mark_items(text: str, items: Items) -> str:
    """A plain text with each name of an item replaced by a character of its own (of Unicode's private use area).

    So one pattern, compiled once, serves all items. :func:`marked_item` reads the character.
    """
    pattern, marks = _names(items)
    if not text.isascii():
        text = _STRAY_MARK.sub(" ", text)
    return pattern.sub(lambda match: marks[match[0]], text)


def marked_item(mark: str) -> tuple[int, bool]:
    """The kind, by its place among the items, and whether it was named in the plural."""
    kind, plural = divmod(ord(mark) - _MARKS, 2)
    return kind, bool(plural)


@lru_cache(maxsize=4096)
def _names(items: Items) -> tuple[re.Pattern[str], dict[str, str]]:
    marks: dict[str, str] = {}
    for kind, item in enumerate(items[:32]):
        for name in (item.singular, *item.aliases):
            marks.setdefault(name, chr(_MARKS + 2 * kind))
        for name in (item.plural, *(f"{alias}s" for alias in item.aliases)):
            marks.setdefault(name, chr(_MARKS + 2 * kind + 1))
    longest_first = sorted(marks, key=len, reverse=True)
    return re.compile(rf"(?<![a-z])(?:{'|'.join(map(re.escape, longest_first))})\b"), marks


# --- consent ------------------------------------------------------------------------------------------------------

_OWN_ASSENT = (
    "ok(?:ay|ey|ie)?", "k", "kk", "aight", "yea", "ye", "yup", "ya", "sure(?: thing)?", "hmm+", "um", "good",
    "definitely", "correct", "exactly", "of course", "sold", "yay", "nice", "lol", "haha", "hi", "hello", "that is",
    "that's", "no problem",
)  # fmt: skip
_YES = rf"(?:{any_of(*consent.ASSENT, *_OWN_ASSENT)} ?){{0,5}}"
# Words by their roles: what is consented to ("it"), how well it suits ("good"), whom ("to me").
_ADVERB = (
    r"(?:(?:totally|perfectly|really|very|all|pretty|so|quite|extremely|more than|just|super|absolutely|definitely|"
    r"actually|also|certainly|completely|fully|gladly|happily|most|both|mostly|too) ){0,3}"
)
_LEAD = (
    rf"{_YES}{_ADVERB}(?:(?:i (?:really |do )?(?:think|guess|believe|suppose|feel|would say)|i'?d say|because|and|so)"
    rf"(?: like)?(?: that)? )?"
)
_DEAL = (
    r"(?:deal|offer|proposal|plan|arrangement|split|division|trade|compromise|idea|suggestion|terms|agreement|one|"
    r"distribution)"
)
_IT = rf"(?:that|it|this|these|those|which|(?:your|the|that|this|those|these)(?: \w{{2,12}})? {_DEAL}s?)"
_GOOD = (
    r"(?:good|great|fair|fine|perfect|ok|okay|cool|right|reasonable|acceptable|agreeable|doable|alright|excellent|"
    r"awesome|nice|wonderful|amazing|fantastic|terrific|even|equal|ideal|workable|best)"
)
_FEELING = r"(?:fine|good|great|ok|okay|cool|happy|satisfied|content|pleased|down|up|agreeable|on board|in|all for)"
_TAIL = (
    rf"(?: (?:(?:to|for|with|by) (?:me|us|both|both of us|both sides|everyone|{_IT}|my \w{{2,10}}(?: \w{{2,10}})?)|"
    rf"enough|as well|"
    r"please|then|too|friend|my friend|man|buddy|bro|sir|thanks|thank you|here|now|today|i guess|i think|deal|at all|"
    rf"with {_IT})){{0,3}}"
)
_END = rf"{_TAIL}(?= ?(?:[:;=]-?[dpo])?\W*$)"
_SO = rf"(?:{_ADVERB}(?:{_GOOD}|lovely)|{_ADVERB}like (?:we have )?(?:an? )?{_ADVERB}(?:{_GOOD} )?{_DEAL})"
_DOES = r"(?:(?:does|do|'?ll|will|would|'?d|should|can) )?"
_CLEAR = (
    rf"(?:(?:it|that)'?s (?:an? )?|it is an? |its an? |(?:you|"
    rf"we)(?: both)?(?:'ve)?(?: have)?(?: got)? (?:yourself )?an? |"
    rf"(?:(?:it|that) )?(?:sounds|looks|seems) like (?:we have )?an? |call it an? |"
    rf"done )?(?:{_ADVERB}{_GOOD} )?deal(?: done)?{_END}",
    rf"(?:(?:i|we)(?:'?ll| will| can| do|'?m| am| are|'?re|'?d| would)? )?(?:willing to |(?:be )?happy to |going to )?"
    rf"{_ADVERB}(?:agreed?|accept(?:ed)?)(?: (?:to|with|on))?(?: {_IT}| you)?{_END}",
    rf"(?:(?:i|we)(?:'?ll| will| can|'?d| would)(?: be)?|(?:i|we)(?:'m| am| are|'re)) ?(?:(?:willing|able|happy|going) "
    rf"to )?(?:just )?(?:take|do|go with|go for|accept|settle for|work with|live with|deal with|happy with|agree to) "
    rf"{_IT}{_END}",
    rf"(?:i|we)(?:'?ll| will| can|'?d| would|'?m| am)(?: be)? ?(?:(?:willing|able|happy|going) to )?"
    rf"make (?:that|this|the|your) {_DEAL}{_END}",
    rf"(?:i'?ll|i will) take {_IT}(?: as a deal)?{_END}",
    rf"(?:i'm|i am) (?:accepting|taking) {_IT}{_END}",
    rf"(?:let'?s|we can|take|i'?ll take) (?:do (?:it|that|this)|go (?:with|for) {_IT}|make (?:it|this|"
    rf"that) (?:happen|deal)|"
    rf"(?:the|that|your|this) (?:deal|offer)){_END}",
    rf"you'?(?:ve)? ?(?:have |'ve )?got (?:it|yourself a deal){_END}",
    rf"done(?: deal)?{_END}",
    rf"(?:we are|we're) (?:all |both )?(?:in agreement|agreed|set){_END}",
)
_VAGUE = (
    rf"(?:{_IT}(?: all)? )?{_DOES}{_ADVERB}(?:sounds?|looks?|seems?|feels?) {_SO}{_END}",
    rf"(?:{_IT} )?(?:{_DOES}|could |might |may ){_ADVERB}(?:works?|suits? (?:me|us)|do(?:es)?(?: it)?)"
    rf"(?: (?:out |just )?{_ADVERB}(?:{_GOOD}|well|\w{{4,10}}ly|out))?{_END}",
    rf"(?:sounds?|looks?|seems?) like (?:it|that) (?:will|would|'?ll|could|can|should) work{_END}",
    rf"(?:{_IT}(?:'?s| is|s| would be| will be|'?d be|'?ll be) )?{_ADVERB}(?:an? )?{_ADVERB}{_GOOD}(?: {_DEAL})?{_END}",
    rf"(?:i'?m |i am |am |im |i would be |i'?d be |we'?re |we are ){_ADVERB}{_FEELING}{_END}",
    rf"(?:i|we) {_ADVERB}(?:like|love|can live with|could live with|could accept|could do|could agree to) {_IT}{_END}",
    rf"{_IT}(?:'?s| is|s) {_ADVERB}(?:correct|right|it|the (?:plan|deal|idea)|what i want|what would work (?:best|"
    rf"well)){_END}",
    rf"(?:i'?ll|i will|i can|let me|we can|i am going to|i'm going to)(?: go ahead and)? (?:submit|enter|finalize)"
    rf"(?: (?:it|that|this|now|then|(?:the|this|that|our|your) {_DEAL})){{0,3}}{_END}",
    r"(?:i'?m |i am |so )?(?:really )?glad (?:that )?we (?:could |can |were able to |have |are )?(?:all )?"
    rf"(?:come|came|reach(?:ed)?|work(?:ed)?|agree(?:d)?)(?: (?:up with|to|out|on|an?|this|that|it|something|some"
    rf"thing that works for both of us|{_GOOD}|{_DEAL})){{0,4}}{_END}",
    rf"(?:we|i) (?:can|could) (?:make|do) {_IT}(?: (?:work|happen))?{_END}",
)
CONSENT = re.compile(
    rf"(?P<bare>{_YES.replace('{0,5}', '{1,6}')}(?:please)?(?=\W*$))|"
    rf"{_LEAD}(?:(?P<clear>{'|'.join(_CLEAR)})|(?P<vague>{'|'.join(_VAGUE)}))"
)
"""Consent as a whole fragment. ``bare`` is "ok" and the like, which also stands before a counter-proposal."""

_FIRST = frozenset(
    "that it it's its that's thats this these those which you you've your the i i'm im i'd i'll ill am we we'll we're "
    "we've let let's lets sound sounds look looks seem seems feel feels works work suits do does did will would should "
    "can could might may deal done agree agreed accept accepted accepting take call good great fair fine perfect ok "
    "okay "
    "okey okie k kk cool right reasonable acceptable agreeable doable alright all excellent awesome nice lovely "
    "wonderful amazing fantastic terrific even equal ideal workable best a an like glad so really because and "
    "yes correct exactly yeah yep yup yea ye ya yay sure sold well oh ah then now in thanks thank absolutely "
    "definitely of hmm um no "
    "lol haha hi hello aight totally perfectly very pretty quite extremely more just super actually also certainly "
    "completely fully gladly happily most both mostly too happy satisfied content pleased down up on want".split()
)
_LONGEST = 72


@lru_cache(maxsize=4_096)
def consent_of(fragment: str) -> re.Match[str] | None:
    """The consent that is all of a fragment; what cannot be one by its first word or its length is not looked at."""
    if len(fragment) > _LONGEST or not fragment.isascii() or fragment.partition(" ")[0].rstrip("!,") not in _FIRST:
        return None
    return CONSENT.match(fragment)


OPENS_CONSENT = re.compile(
    r"(?:(?:oh|well|alright|so|hmm) )?(?P<clear>deal|agreed|i (?:agree|accept))\b|"
    r"(?:ok(?:ay|ey)?|k|yes|yeah|yep|yup|sure|fine|alright|all right|perfect|great|good|cool|works)\b"
)
"""Consent at the start of a fragment that goes on: "ok you take the hats"."""

GREETING = re.compile(
    r"(?:(?:hi|hello|hey|thanks|thank you|lol|haha|oh|well|hmm+|um|ah|so|then|now|good|great|nice|cool|no problem|"
    r"hi there) ?){1,4}\W*$"
)
WITHDRAWAL = re.compile(
    rf"(?:{any_of(*consent.BEFORE_REFUSAL, 'unfortunately', 'uh', 'um', 'oh')} ){{0,2}}"
    rf"(?:{'|'.join(consent.NO_DEAL)}|{any_of(*consent.FORGET_IT)}\b|"
    r"i (?:take (?:that|it|my offer) back|withdraw|retract)\b|(?:i )?(?:reject|decline|refuse)\b)"
)
REFUSAL = re.compile(
    r"(?:(?:sorry|well|then|ok|okay|so|i'?m afraid|that'?s|hmm|uh|um|oh) ){0,2}"
    r"(?:no(?: way| thanks?| thank you| can do|pe)?(?=\W*$| i\b| you\b| that\b| sorry\b| we\b)|nah\b|nope\b|no way\b|"
    r"(?:i )?(?:can'?t|cannot|can not|won'?t|couldn'?t|wouldn'?t) (?:do|accept|agree|take|make|work|deal)\b|"
    r"i (?:don'?t|do not) (?:think so|agree|accept)|not (?:good|fair|enough|going|gonna|happening|interested|"
    r"acceptable)\b|"
    r"(?:that|it|this) (?:doesn'?t|does not|won'?t|will not|wouldn'?t) (?:work|do)\b|"
    r"(?:that|it|this)(?:'?s| is) (?:not|too|unfair|unacceptable)\b)"
)
QUESTION = re.compile(
    r"(?:(?:ok|okay|well|so|then|and|or|but|hi|hello|hmm|sorry|no|yes|,) ){0,3}(?:(?:how|what) (?:about|if)|"
    r"(?:would|could|can|will|"
    r"do|does|are|is|shall|may|might|should) (?:you|we|i|it|that|this|u)\b|why (?:not|don't)\b|which\b|what\b|who\b|"
    r"where\b|when\b)"
)
ASKS_WISHES = re.compile(
    r"(?:how (?:should|shall|can|could|do|would) (?:we|you|i)|what|which|who|where|when|why(?! (?:not|don'?t))|"
    r"how (?:many|much|bad|important))\b(?! about| if| (?:would|do) you (?:say|think)\b)|(?:do|"
    r"did|are|is|"
    r"does) (?:you|your|u|the)\b(?! (?:absolutely |all )?(?:ok|okay|fine|good|cool|alright|happy|willing|open|"
    r"agreeable|"
    r"comfortable)\b)|"
    r"(?:any|anything)\b"
)
"""A question about wishes proposes nothing: "do you want the hats?"."""

_ASIDE = re.compile(
    r"^(?!.*\b(?:more|less|else|other|instead|rest|all|amounts?|how (?:much|many)|split|divide|share|need|want|take|"
    r"get|"
    r"give|have|keep|offer|trade|deal|agree|fair|work|ok(?:ay)?|that|this|it|them|those|any|both|but|why|really|sure|"
    r"how are|about you|and you|yourself|doing)\b)"
)
_ASKS_DEAL = re.compile(
    r"\b(?:(?:do|have) we (?:have|got) (?:a|our) deal|ready to (?:submit|finalize)|should (?:i|we) (?:go ahead|"
    r"submit))\b"
)


def is_aside(question: str, *, in_itself: bool) -> bool:
    """Whether a question leaves consent as it is: "do we have a deal?", or one that does not touch the division.

    Args:
        question: a sentence.
        in_itself: whether all of it asks, as "where are you going?", which answers no greeting.
    """
    return _ASKS_DEAL.search(question) is not None or (in_itself and _ASIDE.search(question) is not None)


_CONDITIONAL = frozenset("if unless provided providing assuming once until long condition only".split())
_CONDITION = re.compile(rf"\b{any_of(*consent.CONDITIONS, 'only')}\b")


def is_conditional(text: str, words: Set[str]) -> bool:
    """Whether a text of these words makes a condition."""
    return not words.isdisjoint(_CONDITIONAL) and _CONDITION.search(text) is not None


CONTRASTS = consent.CONTRASTS | {"unless", "if"}
DEMAND = re.compile(r"(?:throw|add|give|make|gimme|let|put|include|leave|hand|i (?:need|want|get)|if)\b")
"""What "and we have a deal" after it makes a demand of."""
POSTPONED = re.compile(
    "|".join((*consent.POSTPONED, r"\bnot (?:quite |so )?(?:sure|yet|fast)\b", r"\bi'?ll consider\b"))
)
QUOTING = (*consent.QUOTING, "thought")

# --- formal acts --------------------------------------------------------------------------------------------------

ACT_SPOILT = re.compile(rf"\?|\b(?:{'|'.join(consent.SPOILING)}|don't|won't)\b")
_OBJECT = (
    r"(?: (?:it|that|this))?(?:\W{0,4}$|(?: (?:to|on|with))?(?: [\w'.,-]{1,24}){0,4} "
    r"(?:offer|deal|proposal|terms|division|split)\b)"
)
ACT_ACCEPT = re.compile(f"{consent.ACCEPTING}{any_of(*consent.ACCEPTS)}{_OBJECT}")
ACT_REJECT = re.compile(f"{consent.REJECTS}{_OBJECT}")
ACT_OFFER = re.compile(
    rf"{consent.PROPOSING}(?:makes? an? offer|offer|propose|suggest|ask|demand|accept|agree)(?:s|d|ed|ing)?\b"
)

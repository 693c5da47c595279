"""The amounts of money in a fragment of a sentence, and the role that each has in it.

A lone total that somebody proposes is an offer. What is refused, quoted from the partner, a fact, a cost or somebody
else's price does nothing. Whatever proposes something but no lone total of dollars (a change, a part, a rate, a total
of several things, a range, another currency) is *unread*: it moves the price to what cannot be computed from it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from sotopia_env.families import consent
from sotopia_env.families.bargain import phrases
from sotopia_env.families.bargain.figures import NUMBER, OTHER_MONEY

Role = Literal["offer", "refused", "quoted", "aside", "unread"]


class Fragment(NamedTuple):
    """A part of a sentence, as the amounts in it are read.

    ``conditional`` holds where the sentence has a condition elsewhere, ``refusing`` where the fragment says "no deal",
    ``parted`` where the utterance speaks of payment in parts, ``bundled`` where another thing is named with what is
    paid for ("$80 and the helmet"), ``between`` after "between $80 and"; ``consented`` is where the words of consent
    end, 0 without any.
    """

    text: str
    link: str
    asked: bool
    conditional: bool
    refusing: bool
    parted: bool
    bundled: bool
    between: bool
    consented: int

    @property
    def odd(self) -> bool:
        """Whether the sentence around it may make of a price something else than an offer."""
        return self.conditional or self.refusing or self.parted or self.bundled or self.between


class Amount(NamedTuple):
    """An amount with its role.

    ``certain`` says whether an offer of it allows one reading alone, ``bare`` that it has no dollar sign; ``before``
    and ``after`` are the words around it, up to the next amounts.
    """

    price: float
    role: Role
    certain: bool
    bare: bool
    before: str
    after: str


_AMOUNT = re.compile(
    rf"([${OTHER_MONEY}]) ?({NUMBER})(k\b|m\b)?|"
    rf"(?<![\w.,:#/${OTHER_MONEY}])({NUMBER})(k\b)?(?![\w:/]|,[0-9])( ?(?:%|percent\b))?"
)
_REACH = 160  # characters around an amount that can bear on it, so that a sentence without end stays cheap
_TIMES = {"k": 1_000, "m": 1_000_000}


def dollars(match: re.Match[str]) -> float:
    """The value of a match of a number in its second or fourth group, with its k or m in the next."""
    digits, times = (match[2], match[3]) if match[2] else (match[4], match[5])
    return float(digits.replace(",", "")) * _TIMES.get(times, 1)


@lru_cache(maxsize=8_192)
def amounts(fragment: Fragment) -> tuple[Amount, ...]:
    """The amounts of money in a fragment, from left to right; numbers that count something else are left out."""
    found = []
    text, consented = fragment.text, fragment.consented
    matches = [match for match in _AMOUNT.finditer(text) if match[1] or _is_money(match)]
    last_end, joined = consented, fragment.between
    for index, match in enumerate(matches):
        start, end = match.span()
        next_start = matches[index + 1].start() if index + 1 < len(matches) else len(text)
        after = text[end : next_start if next_start < end + _REACH else end + _REACH]
        bare = not (match[1] or match[5])
        # "C$85" is not $85, "US$85" is.
        foreign = match[1] == OTHER_MONEY or (text[start - 1 : start].isalpha() and not text.endswith("us", 0, start))
        before = text[max(last_end, start - _REACH) : start]
        clause = before if last_end == consented else text[max(consented, start - _REACH) : start]
        last_end = end
        words, following = before.split(), after.split(None, 7)[:7]
        if not (joined or foreign or bare) and clause is before and _is_simple(words, after, following, fragment):
            # Most prices have none of the words around them that could make them anything but an offer.
            certain = _is_framed(words, after, following)
            joined = JOINED.match(text, end) is not None
            role: Role = "unread" if joined else "offer"
        else:
            manner = "range" if joined else _manner(before, after, words, following, fragment)
            joined = manner in ("range", "total") and JOINED.match(text, end) is not None
            if joined or (manner == "total" and (foreign or match[6])):
                manner = "range"
            role, certain = _role(manner, before, after, clause, words, following, fragment, bare)
        found.append(Amount(dollars(match), role, certain, bare, before, after))
    return tuple(found)


def _is_simple(words: list[str], after: str, following: list[str], fragment: Fragment) -> bool:
    return (
        not fragment.odd
        and SPECIAL.isdisjoint(words)
        and not (following and words and words[-1] in ARTICLES)
        and (not after or (after[0] == " " and SPECIAL_AFTER.isdisjoint(following)))
    )


def _is_money(match: re.Match[str]) -> bool:
    """Whether a number without a dollar sign stands where a price stands: "85?", "make it 85", "10 off"."""
    before = match.string[max(0, match.start() - _REACH) : match.start()]
    after = match.string[match.end() : match.end() + _REACH]
    if match[6] or CHANGE_OF_BARE.match(after):
        return CHANGING.search(before) is not None or CHANGE_AFTER.match(after) is not None
    if before.endswith("+"):
        return True
    stands = ALONE.match(after) or SEPARATED.match(after) or RATE.match(after) or PART.match(after)
    return stands is not None and LEADING.search(before) is not None


# --- roles --------------------------------------------------------------------------------------------------------

Manner = Literal["total", "change", "part", "rate", "several", "range", "fact"]


def _manner(before: str, after: str, words: list[str], following: list[str], fragment: Fragment) -> Manner:
    """What kind of amount it is, whoever names it: a price to pay, or what no price follows from."""
    if words:
        last = words[-1]
        if last in BASES or (not COST_WORDS.isdisjoint(words) and COST_OF.search(before)):
            return "fact"
        if last == "from":
            return "range" if MOVING.isdisjoint(words) else "fact"
        if last in CHANGE_BEFORE or (not CHANGE_WORDS.isdisjoint(words) and CHANGE_LEAD.search(before)):
            return "change"
        if last == "between":
            return "range"
        if last in ("at", "for", "x", "@") and SEVERAL_BEFORE.search(before):
            return "several"
    if after and (after[0] != " " or not (MANNERS_AFTER.isdisjoint(following[:2]))):
        if COMPARISON.match(after) or (following and following[0] in COST_AFTER):
            return "fact"
        if RATE.match(after):
            return "rate"
        if CHANGE_AFTER.match(after):
            return "change"
        if PART.match(after):
            return "part"
        if OPEN_ABOVE.match(after):
            return "range"
        if SEVERAL_AFTER.match(after):
            return "several"
    if following and words and words[-1] in ARTICLES and following[0] not in OFFER_NOUNS:
        return "fact"  # "a $150 bike"
    if fragment.parted:
        return "part"
    return "several" if fragment.bundled else "total"


def _role(
    manner: Manner,
    before: str,
    after: str,
    clause: str,
    words: list[str],
    following: list[str],
    fragment: Fragment,
    bare: bool,
) -> tuple[Role, bool]:
    """What an amount is in its fragment, and whether an offer of it is certain.

    Args:
        manner: what kind of amount it is.
        before: the words since the amount before it (or the consent).
        after: the words up to the next amount.
        clause: the words that may negate it.
        words: of ``before``.
        following: the first words of ``after``.
        fragment: what it stands in.
        bare: whether it has no dollar sign.
    """
    if manner == "fact":
        return "aside", True
    if fragment.refusing:
        return ("refused" if manner == "total" else "aside"), True
    exception = _exception(before, after, clause, words, following, fragment, manner == "total")
    if exception is not None:
        return exception
    if manner == "total":
        return "offer", _is_certain(before, after, words, following, fragment, bare)
    told = words[-1:] == ["is"] and words[-2:-1] in (["that"], ["this"], ["which"])
    past = told or not DONE.isdisjoint(words) or (manner == "rate" and not EARNING.isdisjoint(words))
    return ("aside" if past else "unread"), True


def _exception(
    before: str, after: str, clause: str, words: list[str], following: list[str], fragment: Fragment, total: bool
) -> tuple[Role, bool] | None:
    link, asked = fragment.link, fragment.asked
    if PARTNERS_BEFORE.search(before) or PARTNERS_AFTER.match(after) or (not asked and UNDERSTOOD.search(before)):
        return "quoted", True
    if phrases.PRAISE.match(after) and not asked:
        return ("offer", False) if OPINION.search(before) else ("quoted", True)
    if THIRD_PARTY.search(before) or THIRD_PARTY.search(after):
        return "aside", True
    hypothetical = link == "if" and not BOUGHT.isdisjoint(words)
    if not hypothetical and not (ELSEWHERE.isdisjoint(words) and ELSEWHERE.isdisjoint(following)):
        return "aside", True
    clause = NEW_START.split(clause)[-1]
    negated = not NEGATORS.isdisjoint(clause.split()) or NO_WAY.search(clause) is not None
    at_least = AT_LEAST.search(before) is not None
    if at_least or (words and words[-1] in COMPARED):
        # "I can't go below $90" states a limit, which a partner may take for an offer.
        if negated or at_least:
            return ("offer", False) if total else ("unread", True)
        return "aside", True
    if negated and not RHETORICAL.search(clause):
        return ("refused" if total else "aside"), True
    spoilt = not (REFUSED_AFTER.isdisjoint(following) and NEGATORS.isdisjoint(following))
    if total and asked and "too" in following:
        return "offer", False
    if total and (REFUSED_AFTER_PHRASE.search(after) or (spoilt and not LIMIT_AFTER.search(after))):
        return "refused", True
    return None


def _is_certain(
    before: str, after: str, words: list[str], following: list[str], fragment: Fragment, bare: bool
) -> bool:
    if fragment.conditional or ROUGH_AFTER.match(after) or not SCOPING.isdisjoint(following):
        return False
    last = words[-1] if words else ""
    if last in ROUGHLY or (last == "about" and words[-2:-1] not in (["how"], ["what"])):
        return False
    if not fragment.asked and fragment.link != "if" and YOU_CAN.search(before):
        return False
    if not fragment.asked and not (HEDGES.isdisjoint(words) and HEDGES.isdisjoint(following)):
        return False
    return bare or _is_framed(words, after, following)


def _is_framed(words: list[str], after: str, following: list[str]) -> bool:
    """Whether a price stands in words that propose it, or alone."""
    return (
        not FRAMES.isdisjoint(words[-10:])
        or (len(words) <= 1 and len(following) <= 1)
        or (len(following) > 0 and following[0] in FRAMED_AFTER)
        or IS_MINE.match(after) is not None
        or phrases.PRICE_CONSENT.match(after) is not None
    )


# --- numbers without a sign ---------------------------------------------------------------------------------------

ALONE = re.compile(
    r"\W*$| (?:for (?:it|the|this|that|these|them|both|all|me|you|us|a|an|my|your)|and|in (?:cash|total|all)|total|"
    r"cash|firm|flat|even|now|today|tonight|tomorrow|right|then|max|maximum|tops|as|or|if|is|it|instead|works?|would|"
    r"will|sounds?|be|final|deal|ok|okay|done|sold|lowest|highest|next|(?:mon|tues|wednes|thurs|fri|satur|sun)day|"
    r"at (?:most|best|least)|please|takes|gets|all in|altogether|each|apiece|per|plus|with|so|max)\b|-ish\b"
)
"""What may follow a number that is a price; "85 minutes" and "85 gears" are none."""
_FILLER = (
    "ok|k|okay|fine|yes|yeah|yep|no|nope|alright|all right|well|then|so|hmm+|um+|uh|ah|oh|deal|sold|agreed|and|just|"
    "only|maybe|perhaps|final|i say|say|you win|even|still|sorry|please|like|around|about|roughly|approximately|"
    "in that case|for|not|or|either"
)
_OFFERING = (
    r"(?:(?:how|what) (?:about|bout)|make (?:it|that)|call it|ask(?:ing)?(?: for)?|offer(?:s|ed|ing)?|bid|pay(?:ing)?|"
    r"propos\w+|suggest\w*|counter(?:ing)?(?: with| at)?|wants?|needs?|takes?|taking|took|accept\w*|do(?:es)?|doing|"
    r"giv(?:e|ing)|selling|sell|let (?:it|them|this|that) go|have (?:it|them|this)|(?:best|lowest|highest|most|least|"
    r"max|maximum|minimum)(?: (?:i|we)(?:'d|'ll| can| could| would| will)? (?:do|go|pay|offer|take|accept|give))?|"
    r"(?:offer|price|limit|counter|counter-?offer|bid|max|maximum|minimum|budget|final|answer|number)(?: would be|"
    r" was)?|settl(?:e|ing)|stay(?:ing)?|stick(?:ing)?|firm|hold(?:ing)?|say|let'?s|consider|yours|agreed?|deal|sold|"
    r"would|could|think(?:ing)?(?: of)?(?: more)?|hop(?:e|ing) for|willing|ready|(?:i'?m|we'?re)(?: still)? at|"
    r"shake on|close|leave (?:it|that)|(?:go|going|come|coming|drop|lower|reduce|move|stretch|budge|get|cut|bring|"
    r"raise|came|went|up)(?: (?:it|that|this|my offer|the price|my price|back|up|down)){0,3}(?: (?:to|for|as (?:low|"
    r"high|far) as))|go|(?:meet|half ?way|middle)(?: \w{1,12}){0,3} at|between|from|(?:it|this|that|them|these|"
    r"[0-9]+|one|"
    r"both|all) for|work(?:s|ed)? (?:for|with))"
)
LEADING = re.compile(
    rf"(?:^ ?(?:(?:{_FILLER}) ){{0,5}}|\b{_OFFERING} (?:(?:it|you|u|me|him|her|them|this|that|us|go|be|just|only|"
    rf"say|like|"
    r"for|at|on|to|as|with|is|about|around|up|out) ){0,3})$"
)
"""What stands before such a number."""

# --- the surroundings of an amount ----------------------------------------------------------------------------------

NEGATORS = consent.NEGATIONS | frozenset(("unable", "refuse", "reject", "rejected", "reluctant"))
NO_WAY = re.compile(
    r"\bno (?:way|deal|chance)\b|\bnowhere\b|\binstead of $|\brather than $|\bthan (?:to )?(?:pay|sell|take|accept) "
)
RHETORICAL = re.compile(
    r"\bwhy (?:not|don't|can't)|\b(?:can't|couldn't|won't|wouldn't|don't|isn't) (?:you|we)\b|(?:\bnot|n't) mind\b|"
    r"\bnot only\b|^ ?(?:wouldn't|isn't|won't|couldn't)"
)
# "I can't throw in the stand would you take $70": a new question ends the reach of a negation.
NEW_START = re.compile(r" (?=(?:how about|what about|would you|could you|can you)\b)")
COMPARED = frozenset("than below under over above beyond past exceed exceeding".split())
AT_LEAST = re.compile(
    r"\b(?:no (?:more|less|lower|higher|further) than|at (?:most|least)|no(?:thing)? (?:under|below|over)) $"
)
REFUSED_AFTER = frozenset(
    "too low lower high higher steep insulting insult unacceptable impossible crazy ridiculous lowball expensive loss "
    "much stretch unreasonable unfair outrageous rejected than beyond above below over outside exceeds".split()
)
REFUSED_AFTER_PHRASE = re.compile(r"\bout of\b|\ba lot\b|\bno way\b")
LIMIT_AFTER = re.compile(r"\bas (?:low|high|far|much) as\b|\b(?:cannot|can't|not) go\b")
CHANGE_BEFORE = frozenset("by down up extra another additional further minus plus +".split())
CHANGE_WORDS = frozenset(
    "throw throwing toss tossing chip chipping kick kicking add adding sweeten sweetening bump bumping knock knocking "
    "shave shaving take taking cut trim raise raising discount reduction increase rebate markdown change".split()
)
CHANGE_LEAD = re.compile(
    r"\b(?:(?:throw|toss|chip|kick)(?:ing)? in|add(?:ing)?|sweeten(?:ing)?(?: \w{1,8})? (?:with|by)|"
    r"bump(?:ing)?(?: it)?(?: up)?|(?:knock(?:ing)?|shav(?:e|ing)|cut|trim)(?: off)?|tak(?:e|ing) off|rais(?:e|"
    r"ing)(?: (?:it|my offer))?|(?:discount|reduction|increase|rebate|markdown|change|raise) of)(?: (?:in|an?|just|"
    r"only|about|around|maybe|you))? $"
)
CHANGE_AFTER = re.compile(
    r" ?(?:off|more|less|extra|cheaper|higher|lower|better|discount|reduction|rebate|increase|increments|on top|"
    r"price (?:cut|drop|reduction)|(?:up|down)(?=\W*$| from (?:there|that|here|your|my)))\b(?! or less)"
)
CHANGE_OF_BARE = re.compile(r" (?:off|extra|discount|(?:more|less|higher|lower|better)(?=\W*$| (?:and|for|on|or)\b))")
CHANGING = re.compile(
    r"\b(?:off|discount|reduc\w+|lower\w*|drop\w*|knock|cut|increase\w*|rais\w+|add|another|extra|by) "
)
COMPARISON = re.compile(
    r" (?:\w{2,12} )?(?:(?:more|less|higher|lower|cheaper|better|worse|short|shy|apart) (?:than(?! (?:before|my|"
    r"the last))|of)\b|(?:above|below|over|under|beyond|short|apart)\b)| of (?:that|it|which|the price)\b| on (?:an?|"
    r"the|some|new|repairs|parts)\b(?! spot)"
)
COST_AFTER = frozenset(
    "shipping delivery fee fees difference refund tip gift worth new apart gap short profit bill bills note repair "
    "repairs value salary wage rent".split()
)
COST_WORDS = frozenset(
    "off shipping delivery postage repair repairs insurance storage gas fuel tax taxes rent salary fee fees "
    "transport parts".split()
)
COST_OF = re.compile(
    r"^ ?off (?:of )?(?:the |your |my |that )?$|"  # "knock $10 off the $95"
    r"\b(?:shipping|delivery|postage|repairs?|insurance|storage|gas|fuel|tax|taxes|rent(?! it)|salary|fees?|transport|"
    r"parts)(?: (?!and\b|so\b)[\w']{1,12}){0,4} $"
)
BASES = frozenset("save saves saved saving lose loses losing lost every".split())
MOVING = frozenset(
    "come came coming go went going down drop dropped lower lowered reduce reduced move moved up price increase "
    "increased raise raised improve bump".split()
)
DONE = frozenset("already i've we've you've came went dropped that's which difference uses".split())
EARNING = frozenset("make earn earns get gets paid salary wage runs".split())
MANNERS_AFTER = COST_AFTER.union(
    "more less higher lower cheaper better worse short shy apart above below over under beyond per each apiece weekly "
    "monthly hourly daily every a an off extra discount reduction rebate increase increments on price up down deposit "
    "upfront in advance of now today payment payments instalment instalments installment installments first at plus "
    "and or for".split()
)
"""One of these words follows an amount, next or next but one, where what follows says of what kind it is."""
JOINED = re.compile(r" ?(?:(?:-|/|to|or|x|\+) ?)?(?:up to )?(?=[$\u00a40-9])")
SEPARATED = re.compile(r" ?(?:-|/|to|or|x|\+|plus) ?(?=[$\u00a40-9])")
RATE = re.compile(
    r" ?(?:/|(?:per|each|apiece|weekly|monthly|hourly|daily|every)\b|an? (?:piece|pop|unit|week|month|day|year|"
    r"hour|night|head)\b)"
)
ARTICLES = ("a", "an")
OFFER_NOUNS = frozenset("offer price bid deal limit maximum minimum budget counter counteroffer counter-offer".split())
PART = re.compile(
    r" (?:down(?! from| to)|deposit|up ?front|in advance|now and|today and|payments?|instal?lments?|first|at first)\b"
)
PART_WORDS = (
    "now", "the rest", "remain", "balance", "deposit", "instal", "payment", "front", "advance", "half", "monthly",
    "parts", "rates",
)  # fmt: skip
PARTS = re.compile(
    r"\b(?:the (?:rest|remainder|balance|other half)|remaining|deposit|instal?lments?|down payment|up ?front|up front|"
    r"in advance|(?:first|second|last|other) half|half (?:now|today|later|up)|payments of|monthly|part payment|"
    r"advance payment|in (?:2|3|4|5|several) (?:payments|parts|rates))\b|[0-9] now,?(?: and)?(?: then)?(?: another|"
    r" the other)? [$\u00a4]?[0-9]"
)
"""Where the payment is in parts, no amount is the whole of it."""
OPEN_ABOVE = re.compile(r" ?(?:\+|s\b|plus\b|and up\b|or (?:more|best offer|higher)\b|\.[0-9]|,[0-9])")
SCOPING = frozenset("alone without excluding except minus".split())
ROUGH_AFTER = re.compile(r" ?(?:-? ?ish\b|or so\b|or thereabouts|give or take|more or less|or less\b)")
_THINGS = (
    r"(?:both(?! of us| sides| parties)|all(?: of)?(?: the| these| those)? (?:[0-9]+|of them|them|these|those)|"
    r"(?:the )?[0-9]+\b(?! ?(?:%|am|pm))|everything)"
)
SEVERAL_BEFORE = re.compile(
    rf"(?:\b[0-9]+(?: of them| pieces| units)? (?:at|for|x|@|go for)|\b{_THINGS}(?: \w{{1,8}}){{0,2}} (?:for|at)) $"
)
SEVERAL_AFTER = re.compile(
    rf" (?:for|on) (?:{_THINGS}|the (?:pair of|2|first|second|other|whole set of)\b|every (?:other|one)|an? pair\b)"
)
BETWEEN = re.compile(r"\bbetween [$\u00a40-9]")
BUNDLE = re.compile(
    r"(?:(?:the|an?|your|my|that|those|these|some|free|both|an extra|2|3)(?: (?!is\b|are\b|was\b|will\b|can\b|deal\b|"
    r"handshake\b)[a-z0-9-]{2,14}){1,3}|.* together)$"
)
"""What "and" may add to what is paid for: "$80 for the bike and the helmet"."""
ELSEWHERE = frozenset(
    "listed listing list advertised posted paid bought purchased cost costs originally retail retails msrp "
    "spent elsewhere someone somebody other others similar store stores shop shops online ebay amazon craigslist "
    "competitor valued appraised charged charges charge usually normally typically market saw found seen sells sold "
    "else secondhand heard yesterday would've could've should've people earn earns salary wage wages insurance "
    "storage weigh weighs spent saved wallet ago once".split()
)
_OTHERS = (
    "buyer|seller|person|guy|man|woman|lady|store|shop|listing|party|dealer|dealership|friend|brother|sister|"
    "neighbou?r|cousin|mother|father|mom|dad|colleague|coworker|wife|husband|boss|roommate|uncle|aunt|son|daughter|"
    "buddy|competitor|collector|mechanic"
)
THIRD_PARTY = re.compile(
    rf"(?<!be )\b(?:another|the|an?|some|my|his|her|one|last|other|previous) (?:(?:last|other|previous|second|"
    rf"used|local|best|old) )?(?:{_OTHERS})\b|"
    r"\banother (?:one|offer)\b|\b(?:the )?(?:last|other) ones?\b|\bthere(?:'s| is| are| was| were) (?:one|another|"
    r"some|an? \w+)\b|\b(?:would|could|should|might) have\b|\bused to\b|\b(?:last|next) (?:year|month|summer|winter|"
    r"spring|fall|week|time|season)\b|\b(?:he|she|they)(?:'d| would| will|'ll|'re)? (?:offer|pay|ask|want|take|got|"
    r"sell)|\bgoing rate|\bgoes for\b|\bthey go for\b|\bi (?:once |just |recently )?(?:got|turned down|was offered|"
    r"refused|rejected)\b|\boriginal (?:price|cost|tag) (?:was|is)\b|\basking price (?:of|is|was) $|\bworth (?:about |"
    r"at least |over |around )?$|\bnew for $|\b(?:for|get|buy|be|cost) (?:a|an|the)? ?(?:brand )?new(?:er)?\b|"
    r"\bwas (?:ready|willing|going|about|prepared) to\b|\bset (?:me|us|you) back\b|\bmade \b|\bgiv\w+ (?:it|this|"
    r"them) away\b|\b(?:would|i'?d) be losing\b"
)
PARTNERS_BEFORE = re.compile(
    r"\byour (?:(?:[a-z-]{1,16} ){0,2}(?:offer|price|asking|ask|bid|proposal|quote|figure|number|counter-?offer|"
    r"listing|target|budget|limit|maximum|minimum|counter) (?:price )?(?:(?:of|is|at|was|for) )?)?$|\byou(?:'re|'ve|"
    r" are| have| were|'d| just)? (?:[a-z]{1,12}ly )?(?:said|asked|asking|offered|want|wanted|mentioned|proposed|"
    r"quoted|suggested|listed|paid|say|offering|paying|selling|started|opened|began)(?: (?:me|for|it|at|about|that|"
    r"us)){0,2} $|\byou(?:'ve| have)? (?:started|came|went|dropped)(?: (?:up|down|with|to|from)){1,2} $|"
    r"\bthe (?:offer|bid) of $|\bthank(?:s| you) (?:so much |very much )?for (?:the|offering|proposing|coming)\b"
)
PARTNERS_AFTER = re.compile(
    r"(?: that)? you(?:'re|'ve| are| have)? (?:offered|asked|asking|mentioned|said|proposed?|want|quoted|suggested)\b|"
    r" (?:is|was) your\b"
)
FRAMES = frozenset(
    "about do offer offering pay paying take taking give giving accept sell selling buy say price asking ask go going "
    "come coming make meet want need propose proposing suggest counter does would settle best lowest highest firm "
    "final let call agree deal agreed it's yours i'd i'll down up halfway looking limit maximum minimum most least "
    "purchase be stay staying stick sticking remain move moving hold spend finalize willing can could why if "
    "paid gave".split()
)
FRAMED_AFTER = frozenset("works work it sounds would sound total cash firm flat final tops max even in".split())
REGRET = re.compile(r"\b(?:kill|los(?:e|ing)|crazy|mad|nuts|insane|fool\w*|regret|robb\w+|giving it away)\b")
OPINION = re.compile(r"\bi(?:'d)? (?:do |really |honestly )?(?:believe|think|feel|consider|say)\b")
UNDERSTOOD = re.compile(
    r"\b(?:i|we) (?:do |can |fully |completely |totally |really |also |certainly )?(?:understand|notice|noticed|read|"
    r"heard|saw|see|know|hear|realize|realise|get|acknowledge|recogni[sz]e|appreciate|respect)\b(?! (?:it|this|"
    r"one) for)|\bhear you on|\bi'?m aware|\bunderstood\b|\bnoted\b"
)
"""What follows is the partner's price, not one's own."""
STATING = re.compile(
    r"(?<!let's say )(?<!suppose )(?<!imagine )(?<!wish )(?:"
    rf"^ ?(?:(?:{_FILLER}) ){{0,5}}|"
    r"\b(?:i|we)(?:'?ll|'?d|'m| can| could| will| would| am| shall)?(?: \w{2,12}ly)?(?: (?:still|just|also|be|"
    r"(?:willing|happy|able|prepared|glad|ready) to)){0,3} (?:do|pay|give|take|offer|accept|go|come|agree|settle|sell|"
    r"let|make|buy|drop|move|match|meet|lower|pick|purchase)(?: (?:it|you|this|that|them|the \w{1,14}|up|down|back|go|"
    r"to|for|at|on|with|your|price|of|as low as|tomorrow|today)){0,5} |\blet(?:'?s| us) (?:do|say|call|go|make|agree|"
    r"settle|shake|meet|finalize|close)(?: (?:it|with|on|at|that|for|to|the deal)){0,3} |\b(?:call|make) it |"
    r"\byou(?:'ve| can| may)? (?:have|win|got)(?: it)?(?: for)? |\byours for |\bofficial: )$"
)
"""Before a price that its speaker says to give or take: who names the other's price so, takes it."""
STATED = re.compile(
    r"\W*$| (?:it is|then|deal|works?(?! for (?!me|us|both))|ok|okay|for (?:it|me|you|the|that|this)|final|cash|"
    r"in cash|today|now|right|tomorrow|and|"
    r"so|total|flat|even|at most|max|is (?:my|the|fine|a deal)|as|just|please|since|because|but)\b"
)
IS_MINE = re.compile(r" (?:is|was) (?:still |really )?(?:my|the|as|what|all|our)\b")
HEDGES = frozenset("maybe perhaps might possibly probably hoping hoped wanted wished planned".split())
# "So you can do $85" repeats the partner's words as often as it proposes.
YOU_CAN = re.compile(r"\byou(?:'d|'ll| can| could| will| would) (?:do|take|pay|accept|go|offer|give|sell)\b")
BOUGHT = frozenset(("paid", "bought"))
ROUGHLY = frozenset("around approximately roughly near nearly between or almost".split())
# Without any of these words around it, a price is an offer.
SPECIAL = frozenset(
    "you you're you've you'd your another have my he she they he'd she'd they'd they're they'll asking goes going "
    "worth original is was sounds seems get newer thanks thank new no nowhere instead rather most least mind notice "
    "noticed read heard saw understand understood see know hear aware realize realise acknowledge recognize recognise "
    "appreciate respect noted there's they last one ones used set made once away losing got turned refused next".split()
).union(
    *(ELSEWHERE, NEGATORS, COMPARED, REFUSED_AFTER, _OTHERS.replace("neighbou?r", "neighbor|neighbour").split("|")),
    *(BASES, COST_WORDS, CHANGE_WORDS, CHANGE_BEFORE, ROUGHLY, HEDGES, ("from", "about", "at", "for", "x", "@")),
)
SPECIAL_AFTER = SPECIAL.union(MANNERS_AFTER, ("give", "or", *SCOPING))

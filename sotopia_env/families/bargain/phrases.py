"""The words in which people agree, refuse and name prices: the patterns that ``moves`` matches.

All are written for plain text (lower case, straight quotes) and for one fragment of a sentence at a time. Every
repetition is bounded, so that no text can make a search slow.
"""

from __future__ import annotations

import re

from sotopia_env.families import consent
from sotopia_env.families.consent import any_of

# --- numbers ------------------------------------------------------------------------------------------------------

NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,3}|[0-9]{1,9})(?:\.[0-9]{1,2})?(?![0-9])"
DOLLARS = re.compile(rf"\$ ?({NUMBER})(k\b)?")
DOLLARS_IN_WORDS = re.compile(rf"(?<![\w.,])({NUMBER})(k)? ?(?:\$|dollars?\b|bucks?\b|usd\b)|\busd ?({NUMBER})")
# What may follow a number without a dollar sign; "85 minutes" and "85 %" are no prices.
_ALONE = (
    r"(?=\W*$| (?:for (?:it|the|this|that|both|all|me|you)|and|in cash|total|cash|firm|flat|now|today|then|max|tops|as|"
    r"or|if|is|it|instead|works?|would|sound|be)\b)"
)
_AMOUNT = rf"(?:(?:\$|usd) ?{NUMBER}|{NUMBER}(?: ?\$| ?dollars?\b| ?bucks?\b|{_ALONE}))"
FRAMED_NUMBER = re.compile(
    r"\b(?:(?:(?:how|what) about|make it|asking(?: for)?|offering(?: you)?|how does|best i can do is|"
    r"(?:can|could|would|will|'?ll|'?d|can't|cannot|won't|wouldn't|couldn't)(?: you| we| i)? "
    r"(?:do|take|pay|offer|accept|say|sell it for|give you|go|go for|settle)|"
    r"(?:go|come)(?: back)? (?:up|down|as low|as high)|let(?:'?s| us) (?:say|do|go with|call it|agree on)|"
    r"my (?:final |best |last |new )?(?:offer|price|limit) (?:is|would be)|"
    r"accept|agreed|meet(?: \w{1,12}){0,3}|deal|settle|(?:take|have|do|sell) it|yours|would) "
    rf"(?:(?:just|only|say|like|for|at|on|to|as) ){{0,2}}({NUMBER}){_ALONE}|"
    rf"(?:^|^(?:ok|okay|fine|yes|alright|well|then|so) )({NUMBER})"
    r"(?= (?:works?|it is|would work|sounds|is (?:fine|still|my|the|as low|ok|okay|too|not|a deal|acceptable))\b))"
)

# --- formal acts --------------------------------------------------------------------------------------------------

_OFFER_NOUN = r"(?: [$\w'.,-]{1,24}){0,4} (?:offers?|price|deal|proposal|terms|counter-?offer|bid)\b"
_ACT_OBJECT = rf"(?: (?:it|that|this))?(?:\W{{0,4}}$|:?(?: (?:at|for|on|to))? ?{_AMOUNT}|{_OFFER_NOUN})"
ACT_NUMBER = re.compile(
    r"(?:accept|offer|propose|bid|counter|reject|refuse|decline|ask|demand|agree)(?:s|d|ed)?:? (?:(?:to|for|with|at) )?"
    rf"({NUMBER}){_ALONE}|\b(?:at|of|for) ({NUMBER}){_ALONE}"
)
ACT_ACCEPT = re.compile(
    rf"{consent.ACCEPTING}(?:{'|'.join(consent.ACCEPTS)}(?: to| on| with)?|"
    r"(?:close|finalize|seal)s?(?= (?:the|this|our) deal))"
    rf"(?: \w{{2,12}}ly)?{_ACT_OBJECT}"
)
ACT_REJECT = re.compile(rf"{consent.REJECTS}{_ACT_OBJECT}")
ACT_OFFER = re.compile(
    rf"{consent.PROPOSING}(?:makes? an? (?:new |final )?)?"
    r"(?:offer|propose|suggest|bid|counter(?:-?(?:offer|propose))?|ask|demand)(?:s|d|ed|ing)?\b"
)
ACT_SPOILT = re.compile(rf"\?|\b{any_of(*consent.SPOILING)}\b")

# --- consent ------------------------------------------------------------------------------------------------------

_THE_OFFER = rf"(?:your|the|that|this|his|her|their){_OFFER_NOUN}"
_END = rf"(?=\W*$| (?:then|too|friend|my friend|man|buddy)\W*$| (?:at|for|of|on) (?:me\b|us\b|that\b|{_AMOUNT}))"
_OWN_ASSENT = (
    "ok", "okay", "sure", "right", "hmm", "deal", "i believe", "i'd say", "it looks like", "looks like", "it seems",
)  # fmt: skip
_FILLERS = rf"(?:{any_of(*consent.ASSENT, *_OWN_ASSENT)} ){{0,4}}"
# "Good deal on that bike" is no consent: the bare word takes fewer fillers than the longer phrases.
_DEAL = r"(?:(?:ok|okay|alright|all right|right|yes|yeah|yep|sure|fine|well|so|then|now|oh) ){0,3}deal(?: done| then)?"
_SUBJECT = r"(?:i|we)(?:'?ll| will| shall| can| hereby|'?m| am| are|'?re|'?d be| would be)?"
_GLADLY = r"(?:gladly |happily |(?:happy|glad|willing|ready|able|prepared) to )?"
_CLEAR = (
    rf"(?:you|we)(?:'?ve| have| do have)?(?: got)?(?: yourself| ourselves)? a deal{_END}",
    rf"(?:(?:it|that|this)(?:'?s| is)|consider it|call it|let'?s call it) (?:a deal|a done deal|done|settled){_END}",
    r"(?:consider it )?sold(?=\W*$| at\b| to you\b| for (?:\$|[0-9]))",
    rf"(?:i|we)(?:'?ll| will)(?: \w{{2,12}}ly)? (?:take|buy) (?:it|that|this|them|the deal|{_THE_OFFER})"
    r"(?=\W*$| (?:at|then|off|now|today|please|right now)\b| for (?!a\b))",
    rf"(?:i|we)(?:'?ll| will) take you up on (?:it|that|{_THE_OFFER})",
    rf"{_SUBJECT} {_GLADLY}agree(?:d)? (?:to|on|with|at) (?:{_THE_OFFER}|{_AMOUNT}|that(?=\W*$))",
    rf"(?:it'?s )?agreed(?: (?:to|on|at))?(?: (?:{_THE_OFFER}|{_AMOUNT})|(?=\W*$| then\b))",
    rf"(?:we'?re|we are|i'?m|i am) agreed{_END}",
    rf"(?:i'?m |i am )?(?:glad|happy|pleased) we (?:could |can )?agreed? (?:on|at|to) {_AMOUNT}",
    rf"(?:{_SUBJECT} {_GLADLY})?accept(?:ed)?"
    rf"(?:\W*$| (?:it|that|this)(?=\W*$| then| at| for)| {_THE_OFFER}| (?:at |for )?{_AMOUNT})",
    r"(?:the |your )?offer (?:is )?accepted",
    r"(?:it|she|he|they|this|the (?!rest|choice|decision|call|turn|pleasure)[a-z]{2,20}(?: [a-z]{2,20})?)"
    rf"(?:'?s| is|'?re| are) (?:all )?yours{_END}",
    rf"done deal\b|you'?re on{_END}",
    rf"(?:that|{_THE_OFFER})(?:'?ll| will| would)? works?(?: fine| well| great| perfectly)?(?=\W*$)",
    rf"(?:(?:that|it|this|which|{_THE_OFFER})(?:'?ll| will| would)? )?works?"
    r"(?: just)?(?: fine| well| great| perfectly)? (?:for|with) (?:me|us)(?=\W*$| then| too| as well)",
    r"(?:let'?s|i'?ll|we can|we'?ll) (?:finalize|close|seal|shake on) (?:it|that|(?:the|this|our) (?:deal|sale))"
    rf"{_END}|let'?s shake on {_AMOUNT}",
    rf"(?:i|we)(?:'?m| am|'?re| are) (?:ok|okay|fine|good|happy|comfortable) with {_AMOUNT}|i can live with {_AMOUNT}",
)
_VAGUE = (
    rf"(?:(?:that|it|this|{_THE_OFFER}) )?sounds? {any_of(*consent.SOUNDING)}(?: (?:to|for) (?:me|us))?(?=\W*$)",
    rf"(?:that|this|it|{_THE_OFFER})(?:'?s| is) "
    r"(?:acceptable|agreeable|doable|(?:fine|ok|okay)(?= (?:by|with|for)))(?: (?:by|with|for|to) (?:me|us))?(?=\W*$)",
    r"(?:fine|good|okay|ok) (?:by|with) me(?=\W*$)",
    r"(?:i|we)(?:'?m| am|'?re| are) (?:ok|okay|fine|good|happy|comfortable) with (?:that|it|this|that price)(?=\W*$)",
    r"i (?:can|could) (?:live with|work with|do) (?:that|it)(?=\W*$)",
    r"(?:i'?ll|let'?s) (?:do|go with) (?:that|it)(?=\W*$)",
    r"done(?=\W*$)",
)
CONSENT = re.compile(
    rf"(?P<clear>{_DEAL}{_END}|{_DEAL} {_AMOUNT}|{_FILLERS}(?:{'|'.join(_CLEAR)}))|{_FILLERS}(?:{'|'.join(_VAGUE)})"
)
CONSENT_HINT = re.compile(
    r"deal|agree|accept|sold|take|buy|yours|work|sound|fine|okay|\bok\b|done|settled|forget it|never ?mind|"
    r"not interested|offer|retract|rescind|with|do (?:it|that)|good by|you'?re on|clos|finaliz|seal|shake|doable"
)
PRICE_CONSENT = re.compile(
    r"(?P<clear> ?(?:then )?(?:works?|will work|would work|it is|deal|"
    r"is (?:fine|ok|okay|acceptable|agreed|alright|a deal))\b)|"
    r" (?:sounds|is|seems) (?:good|great|fair|fine|perfect|reasonable|right)(?=\W*$| (?:to|for|with|by|then)\b)"
)
# "$14 is a reasonable offer" judges somebody else's price.
PRAISE = re.compile(
    r" (?:is|was|sounds|seems)(?: \w{1,12}){0,3} (?:reasonable|fair|good|attractive|great|nice|decent|generous|fine|"
    r"tempting|interesting|kind) (?:offer|price|bid|deal|start|starting|number|figure)\b"
)
WITHDRAWAL = re.compile(
    rf"(?:{any_of(*consent.BEFORE_REFUSAL)} ){{0,2}}{'|'.join(consent.NO_DEAL)}|"
    r"(?:actually )?i(?:'?ll| have to| must|'?d like to)? "
    r"(?:take (?:that|it|my offer|my words) back(?=\W*$)|take back my\b|(?:withdraw|retract|rescind)\b)|"
    rf"(?:{'|'.join(consent.FORGET_IT)}|(?:i'?m )?not interested(?: anymore)?)(?=\W*$)"
)
POSTPONED = re.compile("|".join((*consent.POSTPONED, r"\bnot (?:quite )?(?:sure|yet|so fast)\b")))
REFUSED_AS_THAT = re.compile(
    r"(?:that|it|this)(?:'?s| is| seems| sounds)(?: \w{1,12}){0,2} (?:too|low|high|steep|insulting|ridiculous|crazy)\b|"
    r"(?:no way|i (?:can't|cannot|can not|won't|couldn't))\b"
)
CONDITIONS = ("if", "unless", "provid", "assuming", "once", "until", "long as", "condition", "exchange", "return")
CONDITION = re.compile(rf"\b{any_of(*consent.CONDITIONS, 'in (?:exchange|return) for')}\b")
PROVISOS = ("only", "as long as", "so long as", "provided", "assuming", "on condition", "on the condition")
OPEN_ENDED = ("know", "even", "ask", "see", "as", "wonder", "wondering")  # "let me know if" sets no condition
# What "and we have a deal" may follow: a statement or more consent. "Throw in a bulb and it's a deal" demands.
STATEMENT = re.compile(
    r"(?!i(?:'?d|'?ll| would| will| just| still)? (?:need|want|expect|require)|i(?:'?d| would) like|we (?:need|want))"
    r"(?:(?:i|i'm|i've|i'll|i'd|it|it's|that|that's|this|we|we're|he|she|they|you've|ok|okay|yes|yeah|sure|fine|great|"
    r"deal)\b|"
    r"(?:the|your) (?:\w{1,16} ){1,3}(?:is|are|looks?|seems?|sounds?|works?|was)\b)"
)
QUESTION = re.compile(
    r"(?:(?:ok|okay|well|so|then) )?(?:(?:how|what) about|(?:would|could|can|will|do|does|are|is|shall) "
    r"(?:you|we|i|it|that|this|\$)|why (?:not|don't)\b)"
)  # a question even where the question mark is forgotten
# A question that asks for consent to what was just proposed: "I can do $85. Would that work?"
SEEKS_CONSENT = re.compile(
    r"(?:is|does|would|will|do|can|could|are) (?:that|this|it|you|we)\b|how (?:does|is|about) (?:that|this|it)\b|"
    r"what do you (?:think|say)\b|(?:sounds?|deal|agreed|ok|okay|fair|acceptable|works?)\b"
)
PRACTICAL = ("when ", "where ")  # questions that come after an agreement as well
QUESTION_WORDS = frozenset(
    "when where can could would do does is how what shall should will may who which are did".split()
)

# --- the surroundings of a price ----------------------------------------------------------------------------------

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
    "unreasonable unfair outrageous rejected than beyond above below over outside exceeds".split()
)
REFUSED_AFTER_PHRASE = re.compile(r"\bout of\b|\ba lot\b|\bno way\b")
LIMIT_AFTER = re.compile(r"\bas (?:low|high|far|much) as\b|\b(?:cannot|can't|not) go\b")
CHANGE_AFTER = frozenset(
    "off more less discount extra per each deposit shipping delivery fee fees below above under over cheaper higher "
    "lower difference refund tip upfront gift increase reduction towards toward increments worth new apart gap short "
    "profit bill bills note rebate repair repairs value".split()
)
CHANGE_BEFORE = frozenset(
    "from by down up extra another additional save saves saving every minus plus lose losing".split()
)
PERIODS = frozenset("week month day year piece hour night head".split())
ELSEWHERE = frozenset(
    "listed listing list advertised posted paid bought purchased cost costs originally retail retails msrp "
    "spent elsewhere someone somebody other others similar store stores shop shops online ebay amazon craigslist "
    "competitor valued appraised charged charges charge usually normally typically market saw found seen sells sold "
    "else secondhand heard yesterday would've could've should've people".split()
)
THIRD_PARTY = re.compile(
    r"\banother (?:buyer|seller|person|guy|store|shop|one|offer|listing|party|dealer)|"
    r"\b(?:would|could|should|might) have\b|\bmy (?:friend|brother|sister|neighbou?r|cousin|mother|father|colleague)|"
    r"\b(?:he|she|they)(?:'d| would| will|'ll|'re)? (?:offer|pay|ask|want|take|got|sell)|\bgoing rate|\bgoes for\b|"
    r"\boriginal (?:price|cost|tag) (?:was|is)\b|\basking price (?:of|is|was) $|\bworth (?:about )?$|\bnew for $|"
    r"\b(?:for|get|buy|be|cost) (?:a|an|the)? ?(?:brand )?new(?:er)?\b|"
    r"\bwas (?:ready|willing|going|about|prepared) to\b"
)
PARTNERS_BEFORE = re.compile(
    r"\byour (?:(?:[a-z-]{1,16} ){0,2}(?:offer|price|asking|ask|bid|proposal|quote|figure|number|counter-?offer|"
    r"listing|target|budget|limit|maximum|minimum|counter) (?:price )?(?:(?:of|is|at|was|for) )?)?$|"
    r"\byou(?:'re|'ve| are| have| were|'d| just)? (?:[a-z]{1,12}ly )?(?:said|asked|asking|offered|want|wanted|"
    r"mentioned|proposed|quoted|suggested|listed|paid|say)(?: (?:me|for|it|at|about|that|us)){0,2} $|"
    r"\bthe (?:offer|bid) of $|\bthank(?:s| you) (?:so much |very much )?for (?:the|offering|proposing|coming)\b"
)
PARTNERS_AFTER = re.compile(
    r"(?: that)? you(?:'re|'ve| are| have)? (?:offered|asked|asking|mentioned|said|proposed?|want|quoted|suggested)\b|"
    r" (?:is|was) your\b"
)
FRAMES = frozenset(
    "about do offer offering pay paying take taking give giving accept sell selling buy say price asking ask go "
    "going come coming make meet want need propose proposing suggest counter does would settle best lowest highest "
    "firm final let call agree deal agreed it's yours i'd i'll down up halfway looking limit maximum minimum most "
    "least purchase be stay staying stick sticking remain move moving hold finalize willing can could why if paid "
    "gave".split()
)
FRAMED_AFTER = frozenset("works work it sounds would sound total cash firm flat final tops max even in".split())
IS_MINE = re.compile(r" (?:is|was) (?:still |really )?(?:my|the|as|what|all|our)\b")
HEDGES = frozenset("maybe perhaps might possibly probably hoping hoped wanted wished planned".split())
# "So you can do $85" repeats the partner's words as often as it proposes.
YOU_CAN = re.compile(r"\byou(?:'d|'ll| can| could| will| would) (?:do|take|pay|accept|go|offer|give|sell)\b")
BOUGHT = frozenset(("paid", "bought"))
RANGE = re.compile(r" ?(?:-|to|or) ?\$?(?:[0-9]|$)")
ROUGHLY = frozenset("around approximately roughly near nearly between or almost".split())
# Without any of these words around it, a price is an offer.
TELLING = frozenset(
    "you you're you've you'd your another have my he she they he'd she'd they'd they're they'll asking goes going "
    "worth original is was sounds seems get newer thanks thank new no nowhere instead rather most least mind".split()
).union(ELSEWHERE, NEGATORS, COMPARED, REFUSED_AFTER)

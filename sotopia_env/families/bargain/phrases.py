"""The words in which people agree, refuse and name prices: the patterns that ``moves`` matches.

All are written for plain text (lower case, straight quotes) and for one fragment of a sentence at a time. Every
repetition is bounded, so that no text can make a search slow.
"""

from __future__ import annotations

import re

from sotopia_env.families import consent
from sotopia_env.families.bargain.figures import NUMBER
from sotopia_env.families.consent import any_of

# --- numbers ------------------------------------------------------------------------------------------------------

# What may follow a number without a dollar sign; "85 minutes" and "85 %" are no prices.
_ALONE = (
    r"(?=\W*$| (?:for (?:it|the|this|that|both|all|me|you)|and|in cash|total|cash|firm|flat|now|today|then|max|tops|as|"
    r"or|if|is|it|instead|works?|would|sound|be)\b)"
)
_AMOUNT = rf"(?:\$ ?{NUMBER}|{NUMBER}{_ALONE})"

# --- formal acts --------------------------------------------------------------------------------------------------

_OFFER_NOUN = r"(?: [$\w'.,-]{1,24}){0,4} (?:offers?|price|deal|proposal|terms|counter-?offer|bid)\b"
_ACT_OBJECT = rf"(?: (?:it|that|this))?(?:\W{{0,4}}$|:?(?: (?:at|for|on|to))? ?{_AMOUNT}|{_OFFER_NOUN})"
ACT_DOLLARS = re.compile(rf"\$ ?({NUMBER})(k\b)?")
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

_THE_OFFER = (
    rf"(?:your|the|that(?! (?:we|you|i|it|the|this|he|she|they|there|your|my)\b)|this|his|her|their){_OFFER_NOUN}"
)
_END = rf"(?=\W*$| (?:then|too|friend|my friend|man|buddy)\W*$| (?:at|for|of|on) (?:me\b|us\b|that\b|{_AMOUNT}))"
_OWN_ASSENT = (
    "ok", "okay", "sure", "right", "hmm", "deal", "i believe", "i'd say", "it looks like", "looks like", "it seems",
)  # fmt: skip
_FILLERS = rf"(?:{any_of(*consent.ASSENT, *_OWN_ASSENT)} ){{0,4}}"
# "Good deal on that bike" is no consent: the bare word takes fewer fillers than the longer phrases.
_DEAL = (
    r"(?:(?:ok|okay|k|alright|all right|right|yes|yeah|yep|sure|fine|well|so|then|now|oh) ){0,3}deal(?: done| then)?"
)
_SUBJECT = r"(?:i|we)(?:'?ll| will| shall| can| hereby|'?m| am| are|'?re|'?d be| would be)?"
_GLADLY = r"(?:gladly |happily |(?:happy|glad|willing|ready|able|prepared) to )?"
_CLEAR = (
    rf"(?:you|we)(?:'?ve| have| do have)?(?: got)?(?: yourself| ourselves)? a deal{_END}",
    rf"(?:(?:it|that|this)(?:'?s| is)|consider it|call it|let'?s call it) (?:a deal|a done deal|done|settled){_END}",
    r"(?:consider it )?sold(?=\W*$| at\b| to you\b| for (?:\$|[0-9]))",
    rf"(?:i|we)(?:'?ll| will)(?: (?!proba|possi|like|hope)\w{{2,12}}ly)? (?:take|buy) (?:it|that|this|them|the "
    rf"deal|{_THE_OFFER})"
    r"(?=\W*$| (?:at|then|off|now|today|please|right now)\b| for (?!a\b))",
    rf"(?:i|we)(?:'?ll| will) take you up on (?:it|that|{_THE_OFFER})",
    rf"{_SUBJECT} {_GLADLY}agree(?:d)? (?:to (?:pay|sell (?:it )?for|buy (?:it )?for)|to|on|with|at) "
    rf"(?:{_THE_OFFER}|{_AMOUNT}|that(?=\W*$))",
    rf"(?:it'?s )?agreed(?: (?:to|on|at))?(?: (?:{_THE_OFFER}|{_AMOUNT})|(?=\W*$| then\b))",
    rf"(?:we'?re|we are|i'?m|i am) agreed{_END}",
    rf"(?:i'?m |i am )?(?:glad|happy|pleased) we (?:could |can )?agreed? (?:on|at|to) {_AMOUNT}",
    rf"(?:{_SUBJECT} {_GLADLY})?accept(?:ed)?"
    rf"(?:\W*$| (?:it|that|this)(?=\W*$| then| at| for)| {_THE_OFFER}| (?:at |for |the |your )?{_AMOUNT})",
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
CONSENT_HINTS = (
    "deal", "agree", "accept", "sold", "take", "buy", "yours", "work", "sound", "fine", " ok", "done", "settled",
    "forget it", "never mind", "nevermind", "not interested", "offer", "retract", "rescind", "with", "do it",
    "do that", "good by", "you're on", "youre on", "clos", "finaliz", "seal", "shake", "doable",
)  # fmt: skip
CONSENTING = frozenset(
    "deal deal's agree agreed accept accepted acceptable agreeable sold take buy yours work works sound sounds fine "
    "okay ok done settled forget nevermind interested offer retract withdraw rescind live happy comfortable finalize "
    "close seal shake doable".split()
)
CONSENTING_TOGETHER = ("do it", "do that", "good ", "you're on", "youre on", "never mind", "go with")
"""Without any of these in a fragment nobody agrees or withdraws in it."""
PRICE_CONSENT = re.compile(
    r"(?P<clear> ?(?:then )?(?:(?:works?|will work|would work)(?! for (?!me|us|both))|it is|deal|"
    r"is (?:fine|ok|okay|acceptable|agreed|alright|a deal))\b)|"
    r" (?:sounds|is|seems) (?:good|great|fair|fine|perfect|reasonable|right)(?=\W*$| (?:to|for|with|by|then)\b)"
)
# "$14 is a reasonable offer" judges somebody else's price.
PRAISE = re.compile(
    r" (?:is|was|sounds|seems)(?: \w{1,12}){0,3} (?:reasonable|fair|good|attractive|great|nice|decent|generous|fine|"
    r"tempting|interesting|kind) (?:offer|price|bid|deal|start|starting|number|figure)\b"
)
WITHDRAWAL = re.compile(
    r"(?:(?:then|so|sorry|i guess|i'?m afraid|it seems) ){0,2}we (?:don't|do not) have a deal\b|"
    rf"(?:{any_of(*consent.BEFORE_REFUSAL)} ){{0,2}}{'|'.join(consent.NO_DEAL)}|"
    r"(?:actually )?i(?:'?ll| have to| must|'?d like to)? "
    r"(?:take (?:that|it|my offer|my words) back(?=\W*$)|take back my\b|(?:withdraw|retract|rescind)\b)|"
    rf"(?:{'|'.join(consent.FORGET_IT)}|(?:i'?m )?not interested(?: anymore)?)(?=\W*$)"
)
POSTPONING = ("let me", "think", "get back", "kidding", "joking", "time", "not ")
POSTPONED = re.compile("|".join((*consent.POSTPONED, r"\bnot (?:quite )?(?:sure|yet|so fast)\b")))
REFUSED_AS_THAT = re.compile(
    r"(?:that|it|this)(?:'?s| is| seems| sounds)(?: \w{1,12}){0,2} (?:too|low|high|steep|insulting|ridiculous|crazy)\b|"
    r"(?:no way|i (?:can't|cannot|can not|won't|couldn't))\b"
)
CONDITIONS = ("if", "unless", "provid", "assuming", "once", "until", "long as", "condition", "exchange", "return")
CONDITION = re.compile(rf"\b{any_of(*consent.CONDITIONS, 'in (?:exchange|return) for')}\b")
# What amends consent that stands before it, or after it in the same fragment.
PROVISO = re.compile(
    r"(?:only|far|no (?!problem|worries|doubt|hard|need|rush|more|questions?|hurry|regrets)[a-z]+|(?:as|so) long as|"
    r"provid\w+|assuming|on (?:the )?condition|with (?!pleasure|thanks|joy|gratitude|me\b|us\b)|plus|including|"
    r"includes|minus|without|for (?:\$? ?[0-9.,]+ )?(?:more|less)|once|until|pending|(?:on|under|with) (?:one|"
    r"1) condition|(?:right |only |just )?after (?:i|you|we|a|an|the|my|your)|tentatively|provisionally|"
    r"conditionally|for now|"
    r"with reservations|subject to|depending|contingent|alone\b|excluding|in (?:return|exchange)|given that|"
    r"when (?:you|i|we|it|my|the)(?!'re)|under the (?:assumption|condition)|were (?:it|you|they)|should (?:you|"
    r"it)|wait|hold on|almost|(?:about|as for|regarding) the price|in (?:theory|principle|general)|(?:free "
    r")?(?:delivery|shipping) included|delivered|"
    r"(?:still|yet|that (?:being )?said|having said that|even so|nevertheless|nonetheless|on the other hand|"
    r"at the same time|then again|unfortunately|regrettably|sadly)\b(?! [^.]*deal))\b"
)
# "Deal, you pay the shipping": a demand anywhere in an utterance makes its consent conditional.
DEMAND = re.compile(
    r"\b(?:you|you'll|you'd|you would|you will|you must)(?: (?:just|also|only|will|would|have to|need to|must|should|"
    r"still|then)){0,3} (?:pay (?:for )?(?:the|all|any)|cover|deliver|ship|throw|toss|include|add|drop|fix|repair|"
    r"handle|bring (?:it|them)|give me|take care)\b"
)
# Who says so after words of consent still bargains.
HAGGLING = re.compile(
    r"\b(?:(?:is|are|costs?|comes?) extra|hoping|hoped (?:for|to)|i (?:do )?wish (?:i|it|you|we)|was thinking|"
    r"(?:wiggle|any|some|much|little) room|"
    r"negotia\w+|haggl\w+|compromis\w+|middle ground|starting point|as a start|so far|for starters|(?:let'?s|we can|"
    r"we could|we should|happy to|able to|like to) (?:\w+ )?(?:discuss|talk|negotiate|work (?:something|it|this) out|"
    r"find|figure|see|explore|continue|keep)|discuss (?:the|this|it|further|terms)|lower|cheaper|(?:a (?:bit|little|"
    r"tad|touch)|slightly|something|somewhat) (?:less|more|better|higher|closer|off)|spend (?:less|so much|that much)|"
    r"(?:worth|for|get|need|want) (?:\w+ )?(?:more|less)|discount|closer to|budget (?:is|was|only|does|of|won't|"
    r"will not|doesn't)|(?:tight|limited|over|above|beyond|exceeds?|outside|out of|stretch\w*|within|strict) (?:(?:my|"
    r"our|the|a|what) )?(?:\w+ )?(?:budget|means|range|limit|i (?:can|could|planned|wanted|had))|too (?:much|high|low|"
    r"expensive|steep|pricey|little)|can'?t afford|(?:consider|weigh|think (?:about|over)|explore|go over) (?:my|the|"
    r"our|other|some|this|it|that)\b|consider it|need (?:a |some )?(?:moment|time|minute)|(?:best|final|lowest|"
    r"last) (?:price|offer|you)|free (?:delivery|shipping)|(?:delivery|shipping|helmet|lock|charger|"
    r"warranty) included|thrown in|test (?:ride|drive) (?:it )?first|inspect\w*|first,? (?:i|though)|in (?:theory|"
    r"principle|general))\b"
)
COMPUTING = ("half", "middle", "split", "between", "twice", "double", "third", "quarter", "same ", "match")
MOVING = (
    "come down", "come up", "go up", "go down", "go lower", "go higher", "discount", "better price", "lower ",
    "reduce ", "raise ", "increase ", "improve ", "drop ", "a bit ", "a little ", "a tad ",
)  # fmt: skip
NOT_MOVING = consent.NEGATIONS | frozenset("unable refuse reluctant appreciate thank thanks willingness".split())
"""With one of these words a fragment moves no price to where it must be computed."""
# A price that must be computed from what was said before.
COMPUTED = re.compile(
    r"\b(?:split it|split(?:ting)? (?:the|this|that|our|it)? ?(?:difference|in (?:the middle|half)|down the middle|"
    r"fifty|50)|meet(?:ing)? (?:me |you |u |us |each other )?(?:somewhere )?(?:in (?:the|between|our) ?(?:middle)?|"
    r"half ?-?way|between)|(?:half|twice|double|(?:2|two) thirds|(?:a|one|1) (?:third|quarter)|(?:3|"
    r"three) quarters) (?:of )?(?:that|price|the|what|your|my|of it)|half (?:off|now|today|up ?front|in advance)|(?:a|"
    r"one) (?:third|quarter) off|match (?:that|the|their|his|her|my|your)\b|(?:the )?same (?:price|amount) as)\b"
)
# "I could come down a bit" moves one's own price, nobody knows where to.
VAGUE_MOVE = re.compile(
    r"\bi(?:'d| would| can| could| might| may|'ll| will|'m| am)(?: \w{1,12}){0,4} (?:(?:lower|drop|reduce|raise|"
    r"increase|improve) (?:it|my|the|that)\b|come (?:down|up)\b|go (?:\w+ ){0,2}(?:up|down|lower|higher)\b|(?:a|some|"
    r"small|little|slight) discount\b|(?:a )?better price)|(?:^|[.!?,;])\s?(?:maybe |ok |okay |well )?a (?:bit|little|"
    r"tad) (?:less|more|lower|higher)"
)
OPEN_ENDED = ("know", "even", "ask", "see", "as", "wonder", "wondering")  # "let me know if" sets no condition
# What "and we have a deal" may follow: a statement or more consent. "Throw in a bulb and it's a deal" demands.
STATEMENT = re.compile(
    r"(?!i(?:'?d|'?ll| would| will| just| still)? (?:need|want|expect|require)|i(?:'?d| would) like|we (?:need|"
    r"want))(?:(?:i|i'm|i've|i'll|i'd|it|it's|that|that's|this|we|we're|he|she|they|you've|ok|okay|yes|yeah|sure|fine|"
    r"great|deal)\b|(?:the|your) (?:\w{1,16} ){1,3}(?:is|are|looks?|seems?|sounds?|works?|was)\b)"
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

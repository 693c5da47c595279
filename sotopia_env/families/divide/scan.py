"""Who gets what by the words of an utterance: a scan from cue to cue.

The scan remembers who takes what is named next. "I take" and "you get" decide it, "give" turns it round, "for me" after
some items decides it for these, and what is refused, compared, told or merely valued goes to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sotopia_env.families.divide import phrases
from sotopia_env.families.divide.items import Items
from sotopia_env.families.divide.proposals import EVERYTHING, ME, REST, VAGUE, YOU, Named, Proposal, proposal_of

_NOBODY = -1


def scan(text: str, items: Items) -> Proposal | None:
    """What a plain text proposes.

    Args:
        text: of :func:`sotopia_env.families.plain_text.plain`, its items marked
            (:func:`sotopia_env.families.divide.phrases.mark_items`).
        items: what is divided.

    Returns:
        ``None`` where it gives nothing to anybody.
    """
    state = _Scan(items)
    end = 0
    for match in phrases.CUES.finditer(text):
        state.between(text[end : match.start()])
        state.read(str(match.lastgroup), match[0])
        end = match.end()
    state.between(text[end:])
    state.read("stop", "")
    # "I had two books, you get the rest": of what?
    vague = any(one.kind == REST for one in state.named) and not state.mentioned <= {one.kind for one in state.named}
    return proposal_of(
        state.named,
        state.excepted,
        items,
        bare=state.bare,
        unclear=state.unclear or vague,
        sure=not state.passed_over,
        exchanged=state.exchanging,
    )


@dataclass(slots=True)
class _Scan:
    """The state of a scan.

    Args:
        items: what is divided.
        holder: who takes what is named next; ``None`` if nobody was said to, ``_NOBODY`` for what is not given.
        firm: whether a verb of disposing set the holder.
        doubtful: whether the holder is a guess.
        doer: the subject of the next verb.
        pronoun: the last person named.
        acting: whether that person was a subject, no owner ("my").
        infinitive: whether "to" stands before, of no willingness ("my aim is to get").
        negated: whether the next verb or item is denied.
        excepting: whether items are named as exceptions.
        halving: whether items are named as to be split.
        eaching: whether both sides are to get as many of what is named.
        choice: whether the items are alternatives.
        either: whether all that the sentence disposes of are alternatives.
        bare: whether no word has said so far who gets anything.
        refusing: whether the last verb was a denied "give".
        toward: whether the last preposition was "to".
        exchanging: whether something is given for something else.
        supposing: whether the clause is a condition.
        told: whether the clause tells of others, of the past, or gives a reason.
        listing: whether the items that follow are told of.
        inherited: whether the holder stems from before a comma.
        valued: whether the items of this segment are being valued.
        talking: whether the sentence holds words that no list of items holds.
        proposing: whether the sentence holds words of proposing.
        passed_over: whether there is an amount that was given to nobody.
        unclear: whether something was disposed of that cannot be read.
        direct: whom an item right after the pronoun would go to ("I the hats, you the books").
        number: the amount that waits for its item.
        amount: that of the item before.
        behind: whether this amount stands right behind an item.
        topic: the kinds that were named last.
        mentioned: the kinds that were told of, and given to nobody.
        previous: the cue before.
        segment: where in ``named`` the items begin that "for me" would decide.
        sentence: where in ``named`` this sentence begins.
        clause: where in ``named`` the items begin of which "for me" can decide those that nobody was given yet.
    """

    items: Items
    holder: int | None = None
    firm: bool = False
    doubtful: bool = False
    doer: int | None = None
    pronoun: int | None = None
    acting: bool = False
    infinitive: bool = False
    negated: bool = False
    excepting: bool = False
    halving: bool = False
    eaching: bool = False
    choice: bool = False
    either: bool = False
    bare: bool = True
    refusing: bool = False
    toward: bool = False
    exchanging: bool = False
    supposing: bool = False
    told: bool = False
    listing: bool = False
    inherited: bool = False
    valued: bool = False
    talking: bool = False
    proposing: bool = False
    passed_over: bool = False
    unclear: bool = False
    direct: int | None = None
    number: str = ""
    amount: str = ""
    behind: bool = False
    topic: tuple[int, ...] = ()
    previous: str = "stop"
    segment: int = 0
    sentence: int = 0
    clause: int = 0
    named: list[Named] = field(default_factory=list)
    excepted: list[Named] = field(default_factory=list)
    mentioned: set[int] = field(default_factory=set)

    def between(self, text: str) -> None:
        """Words that are no cue: with them, a sentence is no mere list of items, and "I" has a verb."""
        self.infinitive = False
        if len(text) < 2:
            return
        gap = phrases.gap(text)
        self.infinitive = gap.infinitive
        if self.told and self.previous in ("me", "you") and gap.wills:
            self.told = False  # "since you are cold i will give you the hats"
        self.proposing = self.proposing or gap.proposes
        if gap.ends_count:
            self.number = ""  # "five items"
        if gap.listed or gap.counts_on:
            return
        if self.number:  # "two children"
            self.passed_over = self.passed_over or phrases.amount(self.number) in _SEVERAL
            self.number = ""
        if self.acting and self.previous in ("me", "you", "us"):
            self.holder, self.firm = None, False  # "so I can boil water"
        self.talking, self.direct = True, None
        self.behind = False

    def read(self, cue: str, text: str) -> None:
        """Take in one cue."""
        if cue == "joins":
            return
        if cue == "item":
            self.item(*phrases.marked_item(text))
        elif cue in ("number", "vague", "other"):
            self.counted(text)
        else:
            if self.number and cue not in ("rest", "every") and text not in ("my", "your"):
                self.elided(cue)
            if cue in ("rest", "every"):
                self.turn_round()
                if self.halving or (self.number and phrases.amount(self.number) is not None):
                    self.unclear = True  # "both of us share the rest", "one of the other items"
                self.number = ""
                self.add(REST if cue == "rest" else EVERYTHING, None)
            else:
                _STEPS[cue](self, text)
            self.direct = self.direct if cue in ("me", "you", "skip") else None
        self.previous = cue

    # --- where words begin anew

    def stop(self, text: str) -> None:
        """The end of a sentence: what nobody was said to take is what the speaker asks for."""
        sentence = self.named[self.sentence :]
        held = [named.kind >= 0 for named in sentence if named.holder is not None]
        loose = [
            named for named in sentence if named.holder is None and named.kind >= 0 and not (named.halved or named.each)
        ]
        rest = next((named.holder for named in sentence if named.kind == REST), None)
        if rest == ME and not any(held):
            for named in loose:
                named.holder = YOU  # "just the ball and I take the rest?"
            loose = []
        proposing = any(held) or (self.talking and (self.proposing or "?" in text))
        if (proposing and any(named.numbered for named in loose)) or (self.either and any(held)):
            self.unclear = True  # "2 hats for me and the balls", "2 hats and 1 ball would be fair"
        self.passed_over = self.passed_over or (self.talking and any(named.count in _SEVERAL for named in loose))
        if self.talking:
            self.named[self.sentence :] = [
                named for named in sentence if named.holder is not None or named.halved or named.each
            ]
        for named in self.named[self.sentence :]:
            self.bare = self.bare and named.holder is None and not named.halved and not named.each
            if named.holder is None:
                named.holder = ME
        self.holder = self.doer = self.pronoun = None
        self.firm = self.doubtful = self.negated = self.excepting = self.halving = self.choice = self.eaching = False
        self.refusing = self.inherited = self.valued = self.talking = self.told = self.supposing = False
        self.proposing = self.either = self.listing = False
        self.segment = self.sentence = self.clause = len(self.named)

    def comma(self, text: str) -> None:
        """A pause: a denial reaches no further."""
        self.told = False
        self.negated = self.halving = self.refusing = self.valued = self.eaching = False
        if text in (":", "-") and self.previous in ("me", "you") and self.pronoun is not None:
            self.hold(self.pronoun, firm=True)  # "me: two hats"
        self.inherited = True
        self.segment = len(self.named)
        if self.holder == _NOBODY and not self.listing:
            self.holder = None  # a told list goes on: "there are three books, two hats and a ball"

    def link(self, text: str) -> None:
        """A conjunction; "and", "plus" and "with" go on as before."""
        if text not in ("and", "plus", "with", "&", "+"):
            self.comma(text)
            self.excepting = False
        if text == "including" and self.named and self.named[-1].holder is not None:
            self.hold(self.named[-1].holder, firm=self.named[-1].firm)

    def condition(self, text: str) -> None:
        """After "if", what is given is given on this condition, until somebody else is spoken of."""
        self.link(text)
        self.supposing = True

    def but(self, text: str) -> None:
        """After "everything" the start of exceptions, otherwise of a new clause."""
        if self.previous in ("every", "rest"):
            self.excepting = True
        else:
            self.comma(text)

    # --- who

    def person(self, who: int, text: str) -> None:
        """A pronoun: the subject of what follows, or whom something is for."""
        if self.previous == "for":
            self.decide(who)
        elif self.previous == "give" and text not in ("my", "your"):
            if self.holder != _NOBODY and not self.refusing:
                self.holder, self.firm = who, True
        else:
            self.doer, self.acting = who, text not in ("my", "your")
            self.proposing = self.proposing or text.endswith("ll")
            self.direct = None if text in ("my", "your") else who
            self.negated = self.halving = self.excepting = self.choice = self.refusing = self.valued = False
            self.eaching = False
            self.supposing = self.supposing and not (self.named and self.named[-1].supposed)
            self.segment = len(self.named)
        self.pronoun = who

    def us(self, text: str) -> None:
        """The word "we" is the speaker's side, "us" decides nothing."""
        self.doer, self.acting = ME if text == "we" else None, True
        self.pronoun = None
        self.negated = False
        self.segment = len(self.named)

    def decide(self, who: int) -> None:
        """After "for me" or "yours", what was just named goes to ``who``, or what is named next."""
        clause = self.named[self.clause :]
        valued = self.toward and self.talking and clause
        if self.valued or (valued and all(one.holder is None and one.count is None for one in clause)):
            return  # "the ball looks old to me"
        start = self.segment
        while start > self.clause and self.named[start - 1].holder is None:
            start -= 1  # the commas of a list part nothing: "2 hats, 1 book and the ball for you"
        named = self.named[start:]
        if named and named[-1].kind == REST:
            named = named[-1:]  # "two hats, the rest for you"
        for one in named:
            one.holder, one.firm = who, True
        self.holder, self.firm = (None, False) if named else (who, True)
        self.segment = self.clause = len(self.named)

    def preposition(self, text: str) -> None:
        """The words "for" and "to"."""
        self.toward = text == "to"

    def subject(self) -> int | None:
        """Who does what the verb says."""
        if self.previous == "gimme":
            return ME
        return self.pronoun if self.previous in ("me", "you") else self.doer

    def take(self, text: str) -> None:
        """A verb of taking."""
        who = self.subject()
        if self.is_third_person(text):
            self.hold(_NOBODY, firm=False)
            return
        if text.startswith(("throw", "add")):
            who = None if who is None else 1 - who
            self.hold(ME if who is None else who, firm=True)
            return
        if who is None or (self.previous == "comma" and " " not in text and not text.endswith("ing")):
            # "take the hats" bids, "will take the hats" tells
            self.hold(ME if " " in text else YOU, firm=True, doubtful=True)
        else:
            does = text.endswith("do")  # "can you do two hats": to take, or to give?
            wished = self.previous == "want" or (self.infinitive and text.startswith(("get", "have")))
            self.hold(who, firm=not wished, doubtful=does)
            self.choice = does and who == YOU

    def want(self, text: str) -> None:
        """A wish. That the other wants something is a guess."""
        who = self.subject()
        if self.is_third_person(text):
            self.hold(_NOBODY, firm=False)
        else:
            self.hold(ME if who is None else who, firm=False, doubtful=who == YOU)

    def is_third_person(self, verb: str) -> bool:
        """Whether somebody else takes or wishes: "my daughter wants"."""
        return verb.endswith("s") and self.previous not in ("me", "you")

    def give(self, text: str) -> None:
        """A verb of giving. What one cannot give, one keeps."""
        who = self.subject()
        if self.is_third_person(text):
            self.hold(_NOBODY, firm=False)  # "that leaves the hats"
        elif self.negated:
            self.negated = False
            self.hold(_NOBODY if who == YOU else ME, firm=False)
            self.refusing = True
        else:
            self.hold(YOU if who in (ME, None) else ME, firm=True, doubtful=who is None)
            self.exchanging = self.exchanging or text.startswith(("trad", "swap", "exch"))

    def gimme(self, text: str) -> None:
        """The words "give me" and "let me"."""
        self.hold(ME, firm=True)
        self.pronoun = ME

    def hold(self, who: int, *, firm: bool, doubtful: bool = False) -> None:
        """A verb said who gets what is named next; if it was denied, or the clause only tells, nobody does."""
        self.listing = self.told
        self.holder = _NOBODY if self.negated or self.told else who
        self.firm = firm and not self.negated
        self.doubtful, self.negated, self.inherited, self.refusing = doubtful, False, False, False

    def exchange(self, text: str) -> None:
        """After "in exchange for", what follows goes the other way."""
        if text.endswith((" for", " of")) and self.holder in (ME, YOU):
            self.holder, self.firm = YOU if self.holder == ME else ME, True
        self.exchanging = True
        self.segment = len(self.named)

    def turn_round(self) -> None:
        """Items right after "for" go the other way: "the hats for the ball"."""
        if self.previous == "for" and self.holder in (ME, YOU) and len(self.named) > self.sentence:
            self.holder = YOU if self.holder == ME else ME
            self.exchanging = True
            self.segment = len(self.named)
        elif self.previous == "for" and self.holder is None and len(self.named) > self.sentence:
            self.unclear = True  # "two hats for a ball"

    def tell(self, text: str) -> None:
        """What is told of others or of the past, reasons and purposes dispose of nothing."""
        self.holder, self.told, self.listing, self.negated = _NOBODY, True, True, False

    # --- what

    def counted(self, text: str) -> None:
        """An amount, for the item that follows."""
        self.turn_round()
        if text not in ("the", "extra", "additional") or not self.number:  # "all the extra hats"
            self.number = text
        self.behind = self.previous == "item"

    def item(self, kind: int, plural: bool) -> None:
        """A kind of item, with the amount before it."""
        self.turn_round()
        if self.previous == "item" and not self.number and self.topic[-1:] == (kind,):
            return  # "bottles of water"
        self.topic = (*self.topic, kind) if self.previous in ("link", "comma", "number", "vague", "item") else (kind,)
        total, text = self.items[kind].count, self.number
        if not text and self.previous == "link" and self.amount in ("all", "the"):
            text = "all"  # "all the hats and books"
        self.number, self.amount = "", text
        if text == "no" and self.holder not in (ME, YOU):
            return
        self.name(kind, text, sure=text not in ("", "the") or plural or total == 1)

    def name(self, kind: int, text: str, *, sure: bool = True) -> None:
        """Note so much of a kind."""
        total = self.items[kind].count
        count = phrases.amount(text)
        if not text and not sure and not self.firm and self.holder is not None:
            count = VAGUE  # "I need wood"
        if count is not None and count > total:
            self.unclear = self.unclear or (self.holder != _NOBODY and not self.negated)
            return
        if self.refusing and text not in ("", "the"):
            return  # "I cannot give you three hats"
        halved = self.halving or text.startswith("half")
        if self.halving and count is not None and 0 <= count < total and self.doer is not None:
            self.hold(1 - self.doer, firm=True)
            halved = False  # "I share two of the hats"
        self.add(kind, count, sure=sure, halved=halved, numbered=bool(text))

    def elided(self, cue: str) -> None:
        """An amount that no item follows: "vases 2", "hats 2 books 1", "2 for me and 1 for you"."""
        text, self.number = self.number, ""
        if text == "all" and cue == "but":  # "all but the ball"
            self.add(EVERYTHING, None)
            self.previous = "every"
            return
        if cue not in _CLOSING or text in ("a", "an", "every") or phrases.amount(text) == VAGUE:
            return
        if self.behind and self.shift(phrases.amount(text)):
            return
        if not self.topic or self.holder == _NOBODY:
            self.unclear = self.unclear or (self.holder in (ME, YOU) and self.firm)
            return
        kind, before = self.topic[-1], self.named[-1] if self.named else None
        if before is not None and before.kind == kind and before.holder is None and before.count is None:
            self.named.pop()  # "hats: 2 for me, 1 for you"
        self.name(kind, text)
        if self.holder is None and cue in ("me", "you") and self.named:
            self.named[-1].holder, self.named[-1].firm = ME if cue == "me" else YOU, True

    def shift(self, count: int | None) -> bool:
        """Give amounts that stand behind their items to these; whether there is an item without one."""
        run = self.named[self.sentence :]
        first = next((i for i in range(len(run) - 1, -1, -1) if not run[i].numbered), None)
        if first is None or any(one.kind < 0 for one in run[first:]):
            return False
        counts = [*(one.count for one in run[first + 1 :]), count]
        for one, behind in zip(run[first:], counts, strict=True):
            total = self.items[one.kind].count
            self.unclear = self.unclear or (behind is not None and behind > total)
            one.count, one.numbered = behind, True
        return True

    def add(
        self, kind: int, count: int | None, *, sure: bool = True, halved: bool = False, numbered: bool = True
    ) -> None:
        """Note what was named."""
        if self.excepting:
            self.excepted.append(Named(kind, count, None, self.firm, sure))
            return
        if self.direct is not None:
            self.hold(self.direct, firm=True)
        if self.holder == _NOBODY:
            self.passed_over = self.passed_over or count in _SEVERAL
            self.mentioned |= {kind} if self.listing else set()
        if not self.negated and self.holder != _NOBODY:
            sure = sure and not self.doubtful
            count = VAGUE if self.choice else count
            firm = self.firm or halved
            self.named.append(
                Named(
                    kind, count, self.holder, firm, sure, self.inherited, halved, self.eaching, numbered, self.supposing
                )
            )

    def them(self, text: str) -> None:
        """What was named last: "I do not need the hats, you can have them"."""
        if self.holder in (ME, YOU) and self.firm and self.topic and self.previous in ("take", "give", "gimme", "you"):
            for kind in self.topic:
                self.add(kind, VAGUE if text.startswith(("some", "most")) else None, sure=False)

    def each_kind(self, text: str) -> None:
        """So many of each kind."""
        for kind in range(len(self.items)):
            self.name(kind, text.partition(" ")[0] if not text.startswith("at least") else text)

    def each(self, text: str) -> None:
        """After "each", both sides get as many."""
        self.eaching = len(self.named) == self.segment
        for named in self.named[self.segment :]:
            named.each = True

    def split(self, text: str) -> None:
        """Items that follow are halved."""
        self.halving = True
        self.holder = None if self.holder == _NOBODY and not self.told else self.holder

    def evenly(self, text: str) -> None:
        """Items that came before are halved."""
        for named in self.named[self.segment :]:
            named.halved = True

    def value(self, text: str) -> None:
        """What is said to be worth something is not thereby asked for."""
        kept = [n for n in self.named[self.segment :] if n.holder is not None and not n.inherited]
        self.named[self.segment :] = kept
        self.holder, self.valued = _NOBODY, True

    def exception(self, text: str) -> None:
        """After "everything" or "the rest", the word "except" makes exceptions."""
        if self.named and self.named[-1].kind < 0:
            self.excepting = True
        else:
            self.holder = _NOBODY

    def deny(self, text: str) -> None:
        """The next verb or item is denied."""
        self.negated = True

    def alternative(self, text: str) -> None:
        """Items before and after "or" are a choice."""
        self.choice = self.previous in ("item", "rest")
        if self.choice and self.named:
            self.named[-1].count = VAGUE

    def choose(self, text: str) -> None:
        """The word "either": what the sentence disposes of are alternatives."""
        self.either = True

    def skip(self, text: str) -> None:
        """Words that only look like a cue."""
        self.talking = True

    def compare(self, text: str) -> None:
        """What follows "rather than" is not given."""
        self.holder = _NOBODY


_SEVERAL = frozenset(range(2, 100))
_CLOSING = frozenset(
    ("stop", "comma", "if", "link", "but", "or", "for", "to_me", "to_you", "me", "you", "each", "evenly", "exchange")
)
"""Cues before which an amount has no item of its own."""

_STEPS: dict[str, Callable[[_Scan, str], None]] = {
    "stop": _Scan.stop,
    "comma": _Scan.comma,
    "skip": _Scan.skip,
    "each_kind": _Scan.each_kind,
    "them": _Scan.them,
    "except": _Scan.exception,
    "split": _Scan.split,
    "evenly": _Scan.evenly,
    "each": _Scan.each,
    "value": _Scan.value,
    "exchange": _Scan.exchange,
    "instead": _Scan.compare,
    "negation": _Scan.deny,
    "told": _Scan.tell,
    "want": _Scan.want,
    "gimme": _Scan.gimme,
    "give": _Scan.give,
    "take": _Scan.take,
    "to_me": lambda state, text: state.decide(ME),
    "to_you": lambda state, text: state.decide(YOU),
    "for": _Scan.preposition,
    "me": lambda state, text: state.person(ME, text),
    "you": lambda state, text: state.person(YOU, text),
    "us": _Scan.us,
    "either": _Scan.choose,
    "or": _Scan.alternative,
    "but": _Scan.but,
    "if": _Scan.condition,
    "link": _Scan.link,
}

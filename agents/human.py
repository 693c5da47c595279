"""A human as a policy, at the terminal or wherever else turns are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sotopia_env.actions import ACTION_TYPES, NONE, Action, do, gesture, leave, read_action, speak
from sotopia_env.describe import Description, typed
from sotopia_env.families.formal import UnreadAct, act_of, tells_rule, told_form
from sotopia_env.policies import Context, Decision, Observation
from sotopia_env.showing.episode import visible
from sotopia_env.views import Entry, parse_transcript


@dataclass(frozen=True)
class _Command:
    """One command: how it is written, what it does, and the type of action it needs."""

    usage: str
    effect: str
    needs: str | None = None


_COMMANDS = {
    "": _Command("any words", "say them (start with // to say something that starts with /)", "speak"),
    "/offer": _Command("/offer TEXT", "make an offer, or change yours; words may follow a full stop", "action"),
    "/accept": _Command("/accept", "accept the offer of the other side", "action"),
    "/reject": _Command("/reject", "refuse it", "action"),
    "/do": _Command("/do TEXT", "do something, such as /do show the item", "action"),
    "/gesture": _Command("/gesture TEXT", "show something without words, such as /gesture nods", ACTION_TYPES[2]),
    "/leave": _Command("/leave [TEXT]", "leave the conversation, which ends it for two", "leave"),
    "/none": _Command("/none", "do nothing this turn", "none"),
    "/brief": _Command("/brief", "show once more who you are and what you want"),
    "/transcript": _Command("/transcript", "show the whole talk so far"),
    "/help": _Command("/help", "show this list"),
}


Ask = Callable[[Sequence[Observation], Sequence[Context]], list[Action]]
"""Asks a person for a turn in each of several dialogues."""


class HumanPolicy:
    """Shows a seat's view in the terminal and reads its turns from standard input.

    What cannot be an action is said so and asked again, so a human's turn is always a legal one. When the input ends
    an ``EOFError`` is raised, and Ctrl-C raises ``KeyboardInterrupt`` as usual.

    Args:
        name: what it is called in episodes and tables.
        console: where the view is shown; standard output by default.
        read: reads a line, given the prompt; the console's ``input`` by default. The builtin ``input`` edits lines
            better in a terminal, where ``readline`` is imported, and always prompts on standard output.
        ask: asks for the turns elsewhere, such as on a page, in place of the terminal.
    """

    def __init__(
        self,
        name: str = "human",
        *,
        console: Console | None = None,
        read: Callable[[str], str] | None = None,
        ask: Ask | None = None,
    ) -> None:
        self.name = name
        self.turns_taken = 0
        self._console = console or Console(highlight=False)
        self._read = read or self._console.input
        self._ask_elsewhere = ask
        self._dialogue: tuple[str, ...] | None = None
        self._seen = -1

    def describe(self) -> Description:
        """Its name: what a human does next follows from nothing that can be written down."""
        return typed(self)

    def act(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Decision]:
        """Ask for a turn in each dialogue, one after the other.

        Raises:
            EOFError: the input has ended.
        """
        if self._ask_elsewhere is not None:
            actions = self._ask_elsewhere(observations, contexts)
            self.turns_taken += len(actions)
            return list(map(Decision, actions))
        return [
            Decision(self.act_one(observation, context))
            for observation, context in zip(observations, contexts, strict=True)
        ]

    def act_one(self, observation: Observation, context: Context | None = None) -> Action:
        """Show what is new in a dialogue, and ask for a turn."""
        episode = "" if context is None else context.episode
        dialogue = (episode, *(str(observation[name]) for name in ("agent", "situation", "background", "goal")))
        entries = parse_transcript(observation["transcript"])
        last = max((entry.index for entry in entries), default=-1)
        if dialogue != self._dialogue or last < self._seen:
            self._dialogue, self._seen = dialogue, -1
            self._console.print(brief(observation))
            self._show_commands(observation)
        elif entries:
            # What one has just typed need not be read again.
            entries = [entry for entry in entries if entry.agent != observation["agent"]]
        self.show([entry for entry in entries if entry.index > self._seen], observation["participants"])
        self._seen = last
        info: Mapping[str, Any] = {} if context is None else context.info
        self._show_information(info, observation)
        action = self._ask(observation, info.get("offers"))
        self.turns_taken += 1
        return action

    def show(self, entries: Iterable[Entry], participants: str) -> None:
        """Print entries of a transcript, under the speakers' names.

        Args:
            entries: in order.
            participants: one line a seat, as in an observation.
        """
        names = speaker_names(participants)
        for entry in entries:
            kind = "" if entry.type == "speak" else f" [{entry.type}]"
            to = "" if entry.to is None else f" (only to {', '.join(names.get(a, a) for a in entry.to) or 'nobody'})"
            # In a column of its own, so that no line of an utterance can pass for somebody else's.
            line = Table.grid(padding=(0, 1))
            line.add_row(
                Text(f"{names.get(entry.agent, entry.agent)}{kind}{to}:", style="bold cyan"), Text(visible(entry.text))
            )
            self._console.print(line)

    def _show_information(self, info: Mapping[str, Any], observation: Observation) -> None:
        """Why the last own turn did nothing, and what is on the table."""
        if info.get("invalid_action"):
            self._console.print(Text(f"Your last turn did nothing: {visible(info['invalid_action'])}", style="red"))
        names = speaker_names(observation["participants"])
        standing = [
            f"{'you' if agent == observation['agent'] else names.get(agent, agent)} {visible(offer)}"
            for agent, offer in (info.get("offers") or {}).items()
            if offer is not None
        ]
        if standing:
            self._console.print(Text(f"On the table: {'; '.join(standing)}", style="dim"))

    def _ask(self, observation: Observation, offers: Mapping[str, str | None] | None) -> Action:
        while True:
            try:
                line = self._read("You: ")
            except EOFError:
                raise EOFError("the input ended before the conversation did") from None
            if line.strip() == "/brief":
                self._console.print(brief(observation))
            elif line.strip() == "/transcript":
                self.show(parse_transcript(observation["transcript"]), observation["participants"])
            elif line.strip() == "/help":
                self._show_commands(observation)
            elif line.strip():
                action, problem = parse_line(line, observation, offers)
                if problem is None:
                    return action
                self._console.print(Text(problem, style="red"))

    def _show_commands(self, observation: Observation) -> None:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for name in possible_commands(observation):
            usage = f"/offer {told_form(observation['situation'])}" if name == "/offer" else _COMMANDS[name].usage
            table.add_row(Text(usage, style="bold"), _COMMANDS[name].effect)
        if tells_rule(observation["situation"]):
            table.add_row("", "Words settle nothing here: offer, accept and reject do.")
        self._console.print(Padding(table, (0, 0, 1, 2)))


def possible_commands(observation: Observation) -> list[str]:
    """The commands that one may give now, such as ``"/accept"``; ``""`` says something.

    Args:
        observation: says which types of action are legal, and whether acts alone settle anything.
    """
    legal, formal = _legal(observation), tells_rule(observation["situation"])
    return [
        name
        for name, command in _COMMANDS.items()
        if (command.needs is None or command.needs in legal) and (formal or name != "/offer")
    ]


def parse_line(
    line: str, observation: Observation, offers: Mapping[str, str | None] | None = None
) -> tuple[Action, str | None]:
    """A typed line as an action.

    Args:
        line: words to be said, or a command.
        observation: says which types of action are legal, and whether acts alone settle anything.
        offers: what each agent has on the table, as far as it is known.

    Returns:
        The action and ``None``, or ``none`` and what is wrong with the line.
    """
    text = line.strip()
    if not text.startswith("/") or text.startswith("//"):
        return read_command("", text.removeprefix("/") if text.startswith("//") else text, observation, offers)
    word, _, rest = text.partition(" ")
    return read_command(word, rest.strip(), observation, offers)


def read_command(
    word: str, rest: str, observation: Observation, offers: Mapping[str, str | None] | None = None
) -> tuple[Action, str | None]:
    """A command with the text behind it as an action; arguments and result as of :func:`parse_line`.

    Args:
        word: such as ``"/accept"``; ``""`` says the text.
        rest: the text.
        observation: see there.
        offers: see there.
    """
    if word == "":
        action = speak(rest)
    elif word in ("/accept", "/reject", "/none") and rest:
        return NONE, f"{word} takes no text; to say something, type it without a /"
    elif word in ("/do", "/gesture", "/offer") and not rest:
        return NONE, f"what? {_COMMANDS[word].usage}"
    elif word in ("/accept", "/reject"):
        action = do(word[1:])
    elif word in ("/do", "/offer"):
        action = do(rest if word == "/do" else f"offer {rest}")
    elif word == "/gesture":
        action = gesture(rest)
    elif word == "/leave":
        action = leave(rest)
    elif word == "/none":
        action = NONE
    else:
        return NONE, f"there is no command {visible(word)}; /help lists them, and //... says words that start with /"
    if action.type not in _legal(observation):
        return NONE, f"{action.type} is not possible here; possible are {', '.join(_legal(observation))}"
    if action.type == "action" and tells_rule(observation["situation"]):
        problem = _without_effect(action.text, observation, offers)
        if problem is not None:
            return NONE, problem
    return read_action(action)


def _without_effect(text: str, observation: Observation, offers: Mapping[str, str | None] | None) -> str | None:
    """Why an act could settle nothing now, as far as one can tell without the rules of the game."""
    try:
        act = act_of(text)
    except UnreadAct as error:
        return str(error)
    others = [offer for agent, offer in (offers or {}).items() if agent != observation["agent"] and offer is not None]
    if act is not None and act[0] != "offer" and offers is not None and not others:
        return f"there is nothing to {act[0]}: nobody else has an offer on the table"
    return None


def brief_parts(observation: Observation) -> dict[str, str]:
    """Who one is, where, with whom, and what one wants: texts by what they tell, none of them empty."""
    parts = {
        "Situation": observation["situation"],
        "You": observation["background"],
        "Others": observation["partners"] or ", ".join(_others(observation)),
        "Your goal": observation["goal"],
    }
    return {label: visible(text) for label, text in parts.items() if text}


def brief(observation: Observation) -> Panel:
    """:func:`brief_parts` for a terminal."""
    parts = brief_parts(observation)
    texts = [Text(f"{label}: ", style="bold").append(text, style="not bold") for label, text in parts.items()]
    title = Text(f"You are {visible(observation['name'])} ({observation['agent']})")
    return Panel(Group(*texts), title=title, title_align="left")


def speaker_names(participants: str) -> dict[str, str]:
    """What to call each agent: its name, with the seat where two share one."""
    pairs = [line.split(": ", 1) for line in participants.split("\n")]
    names = [visible(name) for _, name in pairs]
    return {
        agent: name if name and names.count(name) == 1 else f"{name} ({agent})".strip()
        for (agent, _), name in zip(pairs, names, strict=True)
    }


def _others(observation: Observation) -> list[str]:
    names = speaker_names(observation["participants"])
    return [name for agent, name in names.items() if agent != observation["agent"]]


def _legal(observation: Observation) -> list[str]:
    return [kind for kind, legal in zip(ACTION_TYPES, observation["action_types"], strict=True) if legal]

"""Games that are played in a thread of their own, as each seat may see them, and what persons do in them."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from sotopia_env.actions import Action
from sotopia_env.agents.human import HumanPolicy, brief_parts, possible_commands, read_command, speaker_names, visible
from sotopia_env.cli.games import Games, verdict
from sotopia_env.episodes import Episode, Turn, agent_name, seat_of
from sotopia_env.families.formal import tells_rule, told_form
from sotopia_env.policies import Context, Observation
from sotopia_env.rewards.judges.base import judged
from sotopia_env.rewards.wrappers.base import paying_layer
from sotopia_env.rollouts.lockstep import Game
from sotopia_env.seeds import episode_key
from sotopia_env.storage.episodes import EpisodeWriter, load_episodes
from sotopia_env.views import own_profile, static_observation, view

WATCHER = "watcher"
"""Who looks on where no person plays; it sees everything."""

Act = Literal["speak", "offer", "accept", "reject", "do", "gesture", "leave", "none"]
"""What a person may send, as the page calls it: the commands of the terminal."""

_LEAVE = 3.0
"""So many seconds a game has to end by itself when the command does: its partner may be waiting for a server."""


@dataclass(frozen=True)
class _Asked:
    """A turn that a person is asked for."""

    observation: Observation
    info: Mapping[str, Any]


class Session:
    """The games of one command, one after the other.

    Args:
        games: what is played, and by whom.
        out: the file they are added to; ``None`` keeps none.
        judge: judges finished games for who played; the file keeps the judgement of the rules.
        on_end: told of each finished game, in the thread that plays.
        on_error: told there why a game could not go on.

    Attributes:
        viewers: the agents that persons play, or :data:`WATCHER`.
        version: another number whenever there is something new to be seen.
        stopped: whether it is over.
        unfinished: the file of the game that was broken off, where one is kept.
    """

    def __init__(
        self,
        games: Games,
        *,
        out: Path | None = None,
        judge: Any = None,
        on_end: Callable[[Episode], None] = lambda _: None,
        on_error: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Nothing is played before :meth:`start`."""
        self.viewers: Sequence[str] = games.people or [WATCHER]
        self.version = 0
        self.stopped = False
        self.unfinished: Path | None = None
        self._games, self._out, self._judge = games, out, judge
        self._on_end, self._on_error = on_end, on_error
        self._person = HumanPolicy(ask=self._ask)
        self._closing = ExitStack()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._play_all, name="play", daemon=True)
        self._phase = "starting"
        self._error: Exception | None = None
        self._number = 0
        self._game: Game | None = None
        self._begun: Episode | None = None
        self._asked: dict[str, _Asked] = {}
        self._decided: dict[str, Action] = {}
        self._ready: set[str] = set()
        self._steps: float = 0
        self._seen: dict[str, dict[str, Any]] = {}

    def start(self) -> None:
        """Begin the first game that is not in the file.

        Raises:
            Exception: it cannot be played, or the file holds other games.
        """
        path = self._out
        if path is None:
            path = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="sotopia-env-"))) / "e.jsonl"
        elif path.exists():
            played = {episode.key for episode in load_episodes(path)}
            while episode_key(self._games.seed, self._number) in played:
                self._number += 1
        self._path = path
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._phase != "starting")
            if self._error is not None and self._game is None:
                raise self._error

    def stop(self) -> None:
        """Break off the game that is played; what was played of it is kept beside the file of the finished ones."""
        with self._changed:
            if self.stopped:
                return
            self.stopped = True
            self._tell()
        if self._thread.ident is not None:
            self._thread.join(_LEAVE)
        if self._out is not None and self._begun is not None and self._begun.turns:
            self.unfinished = self._out.with_name(f"{self._out.stem}.unfinished.jsonl")
            with EpisodeWriter(self.unfinished) as writer:
                writer.write(self._begun)
        self._closing.close()

    @property
    def broken_off(self) -> bool:
        """Whether the last game was begun and has no end."""
        return self._begun is not None

    # What pages ask for

    def seen(self, viewer: str) -> dict[str, Any]:
        """All that a page shows, as plain data: nothing that its seat may not know.

        Args:
            viewer: one of :attr:`viewers`.
        """
        with self._changed:
            waiting = self._waiting()
            shown = self._seen.get(viewer, {})
            names = shown.get("names", {})
            return {
                **shown,
                "version": self.version,
                "phase": self._phase,
                "yours": viewer in self._asked and viewer not in self._decided,
                "thinking": [names.get(agent, agent) for agent in waiting if agent != viewer],
                "stepping": viewer == WATCHER and self._phase == "playing" and self._steps < 1,
                "ready": viewer in self._ready,
                "failed": None if self._error is None else visible(f"{type(self._error).__name__}: {self._error}"),
            }

    def act(self, viewer: str, move: str, kind: Act, text: str) -> str | None:
        """Takes a person's turn.

        Args:
            viewer: the agent.
            move: the turn it is for, as the page was told: one that is over is not taken for the next.
            kind: what it does.
            text: what is said, offered or done.

        Returns:
            Why it was not taken: it is no turn of this seat, or the action would be invalid; ``None`` where it was.
        """
        with self._changed:
            asked = self._asked.get(viewer)
            if asked is None or viewer in self._decided or move != self._seen[viewer]["move"] or self._game is None:
                return "this turn is over"
            text = text.strip()
            if kind in ("speak", "offer", "do", "gesture") and not text:
                return "nothing was written"
            word = "" if kind == "speak" else f"/{kind}"
            action, problem = read_command(word, text, asked.observation, asked.info.get("offers"))
            if problem is None and action.type == "action":
                problem = self._game.env.unwrapped.refusal(viewer, action.text)
            if problem is not None:
                return visible(problem)
            self._decided[viewer] = action
            self._tell()
            return None

    def step(self, *, to_the_end: bool) -> None:
        """Let policies that are watched play one more cycle, or all that are left."""
        with self._changed:
            self._steps = float("inf") if to_the_end else self._steps + 1
            self._tell()

    def again(self, viewer: str) -> None:
        """Begin the next game, once everybody has said so."""
        with self._changed:
            if self._phase in ("over", "failed"):
                self._ready.add(viewer)
                self._tell()

    # The thread that plays

    def _play_all(self) -> None:
        try:
            while True:
                self._play_one()
                with self._changed:
                    self._wait(lambda: self._ready >= set(self.viewers))
                    self._number += self._phase == "over"
                    self._phase, self._ready, self._steps, self._error = "starting", set(), 0, None
        except KeyboardInterrupt:
            # The command has been ended; there is nothing more to play.
            return

    def _play_one(self) -> None:
        try:
            episode = self._games.play(self._person, self._number, out=self._path, on_cycle=self._on_cycle)
            with self._changed:
                self._begun, self._asked = None, {}
                if self._judge is not None:
                    self._phase = "judging"
                    self._show(episode, None)
            if self._judge is not None:
                (episode,) = judged([episode], [self._judge])
            self._on_end(episode)
            with self._changed:
                self._phase = "over"
                self._show(episode, None)
        except Exception as error:  # noqa: BLE001
            with self._changed:
                self._error, self._phase, self._asked = error, "failed", {}
                self._tell()
            if self._game is not None:
                self._on_error(error)

    def _on_cycle(self, game: Game) -> None:
        bare = game.env.unwrapped
        with self._changed:
            policies = {agent: policy.name for agent, policy in game.policies.items()}
            self._game = game
            self._begun = replace(bare.episode, key=game.key, policies=policies)
            people = [agent for agent in bare.acting if agent in self.viewers]
            self._decided = {}
            self._asked = {agent: _Asked(bare.observe(agent), bare.information_of(agent)) for agent in people}
            self._phase = "playing"
            self._show(self._begun, game)
            if WATCHER in self.viewers:
                self._wait(lambda: self._steps >= 1)
                self._steps -= 1

    def _ask(self, observations: Sequence[Observation], contexts: Sequence[Context]) -> list[Action]:
        agents = [context.agent for context in contexts]
        with self._changed:
            self._wait(lambda: self._decided.keys() >= set(agents))
            return [self._decided[agent] for agent in agents]

    def _wait(self, until: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self.stopped or until())
        if self.stopped:
            raise KeyboardInterrupt

    def _tell(self) -> None:
        self.version += 1
        self._changed.notify_all()

    def _waiting(self) -> list[str]:
        """The agents whose turns are not decided yet."""
        if self._phase != "playing" or self._game is None:
            return []
        return [agent for agent in self._game.env.unwrapped.acting if agent not in self._decided]

    # What each seat sees

    def _show(self, episode: Episode, game: Game | None) -> None:
        """Write down what everybody sees of an episode; of one that is over with the verdict."""
        self._seen = {viewer: self._of(viewer, episode, game) for viewer in self.viewers}
        self._tell()

    def _of(self, viewer: str, episode: Episode, game: Game | None) -> dict[str, Any]:
        seat = None if viewer == WATCHER else seat_of(viewer)
        turns = episode.turns if seat is None else view(episode, viewer).turns
        participants = static_observation(episode.task, 0)["participants"]
        names = speaker_names(participants)
        own = range(episode.task.num_seats) if seat is None else [seat]
        reward, paid = self._paid(episode, game)
        found: dict[str, Any] = {
            "key": episode.key,
            "move": f"{episode.key}/{len(episode.turns)}",
            "names": names,
            "you": None if seat is None else viewer,
            "cards": [_card(episode, one, seat is not None) for one in own],
            "reward": reward,
            "turns": [_line(turn, names, paid if turn.seat in own else {}, reward is not None) for turn in turns],
            "kept": None if self._out is None else str(self._out),
        }
        if game is None:
            return {**found, **_end(episode, seat)} if self._phase == "over" else found
        bare = game.env.unwrapped
        agent = agent_name(0 if seat is None else seat)
        offers = bare.information_of(agent)["offers"] or {}
        found |= {
            "cycle": bare.observe(agent)["turn"],
            "limit": bare.rules.limit(episode.task),
            "offers": [
                ["you" if one == viewer else names[one], visible(offer)]
                for one, offer in offers.items()
                if offer is not None
            ],
        }
        if viewer in self._asked:
            observation = self._asked[viewer].observation
            possible = [name.removeprefix("/") or "speak" for name in possible_commands(observation)]
            found["acts"] = [name for name in possible if name in get_args(Act)]
            found["form"] = told_form(observation["situation"]) if tells_rule(observation["situation"]) else None
        return found

    def _paid(self, episode: Episode, game: Game | None) -> tuple[str | None, dict[str, Sequence[float | None]]]:
        """The reward that is paid, and what each agent got for its turns, as far as it is known."""
        if game is not None:
            paying = paying_layer(game.env)
            return (None, {}) if paying is None else (paying.reward.name, {**paying.utterance_rewards})
        # After its parts comes the whole.
        name = [None, *episode.rewards][-1]
        return (None, {}) if name is None else (name, {**episode.rewards[name]})


def _card(episode: Episode, seat: int, own: bool) -> dict[str, Any]:
    """Who sits on a seat, and what it wants and hides: for itself, or for one who watches."""
    character = episode.task.characters[seat]
    told = brief_parts(static_observation(episode.task, seat))
    parts = {
        "Situation": told.get("Situation", "") if own or seat == 0 else "",
        "Your goal" if own else "goal": told.get("Your goal", ""),
        "Your secret" if own else "secret": visible(character.secret),
        "You" if own else "profile": visible(own_profile(replace(character, secret=""))),
        "Others": told.get("Others", "") if own else "",
    }
    return {
        "agent": agent_name(seat),
        "name": visible(character.name),
        "policy": episode.policies.get(agent_name(seat)),
        "parts": [[label, text] for label, text in parts.items() if text],
    }


def _line(
    turn: Turn, names: Mapping[str, str], paid: Mapping[str, Sequence[float | None]], rewarded: bool
) -> dict[str, Any]:
    """One turn as the talk shows it."""
    numbers = paid.get(turn.agent, ())
    return {
        "index": turn.global_index,
        "agent": turn.agent,
        "type": turn.type,
        "text": visible(turn.text if turn.invalid is None or turn.raw is None else turn.raw),
        "invalid": None if turn.invalid is None else visible(turn.invalid),
        "to": None if turn.recipients is None else [names[agent_name(seat)] for seat in turn.recipients],
        "paid": numbers[turn.own_index] if rewarded and turn.own_index < len(numbers) else None,
    }


def _end(episode: Episode, seat: int | None) -> dict[str, Any]:
    found = verdict(episode, seat)
    scores = None
    if found.scores is not None:
        rows = [[cell.text for cell in row] for row in found.scores.cells]
        scores = {"title": found.scores.title, "columns": list(found.scores.columns), "rows": rows}
    return {"end": {"how": visible(found.how), "scores": scores, "findings": list(found.findings)}}

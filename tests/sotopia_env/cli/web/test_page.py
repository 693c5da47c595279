"""The page of ``play --web`` in a browser: whole games from both seats, with the keyboard and on a phone."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sotopia_env

pytestmark = pytest.mark.slow

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def play(start: Start) -> Iterator[Callable[..., tuple[subprocess.Popen[str], list[str]]]]:
    """A command that serves pages, with its links."""
    begun: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> tuple[subprocess.Popen[str], list[str]]:
        command = start("play", *arguments, "--web")
        begun.append(command)
        assert command.stdout is not None
        links = []
        while not (line := command.stdout.readline()).startswith("Ctrl-C"):
            assert line, command.stderr.read()  # type: ignore[union-attr]
            links.append(line.split(": ", 1)[1].strip())
        return command, links

    yield run
    for command in begun:
        command.kill()
        command.communicate()


def send(tab: Any, text: str, *, kind: str = "speak") -> None:
    """Take a turn with the keyboard."""
    tab.wait("state.yours && document.activeElement === byId('text')")
    if kind != "speak":
        tab.value(f"document.querySelector('#kinds [value={kind}]').click()")
    tab.type(text)
    tab.press("Enter")
    tab.wait("!state.yours || byId('problem').textContent || state.turns.some((turn) => turn.agent === state.you)")


def click(tab: Any, selector: str) -> None:
    """Press a button, once it can be pressed."""
    tab.wait(f"!document.querySelector({json.dumps(selector)}).disabled")
    tab.value(f"document.querySelector({json.dumps(selector)}).click()")


def shown(tab: Any, selector: str) -> str:
    """The text of a part of the page."""
    return str(tab.value(f"document.querySelector({json.dumps(selector)}).innerText"))


GAMES = [
    ("bargain:test", ["--agreement", "formal"], "$90", "agreement"),
    ("divide:test", ["--agreement", "formal"], None, "agreement"),
    ("mini:test", [], None, "left"),
]


@pytest.mark.parametrize(("tasks", "options", "offer", "ending"), GAMES)
def test_two_people_play_to_the_end_in_two_tabs(
    chromium: Any, play: Any, tmp_path: Path, tasks: str, options: list[str], offer: str | None, ending: str
) -> None:
    out = tmp_path / "e.jsonl"
    command, links = play(tasks, "human", "--seed", 3, "--out", out, *options)
    tabs = [chromium.tab(), chromium.tab()]
    tabs[0].open(links[0])
    tabs[1].open(links[1], width=390, height=844)
    send(tabs[0], "Hello <b>there</b>!")
    tabs[1].wait("state.yours")
    assert shown(tabs[1], "#talk li .said") == "Hello <b>there</b>!"
    assert tabs[1].value("document.querySelectorAll('#talk b').length") == 0
    tabs[0].wait("byId('thinking').textContent.endsWith(' is thinking …')")
    if ending == "agreement":
        send(tabs[1], offer or tabs[1].value("state.form").replace("N ", "1 "), kind="offer")
        tabs[0].wait("state.yours && byId('offers').textContent.startsWith('On the table: ')")
        click(tabs[0], "#acts [value=accept]")
    else:
        send(tabs[1], "nods", kind="gesture")
        tabs[0].wait("state.yours")
        click(tabs[0], "#acts [value=leave]")
        assert shown(tabs[0], "#acts [value=leave]") == "Leave for good?"
        click(tabs[0], "#acts [value=leave]")
    for tab in tabs:
        tab.wait("state.phase === 'over'")
        assert ending in shown(tab, "#end h2")
        assert shown(tab, "#end table").startswith("dimension")
        assert tab.faults == []
        origin = links[0].rsplit("/", 2)[0]
        assert {url for url in tab.asked if not url.startswith((origin, "about:"))} == set()
    command.send_signal(signal.SIGINT)
    assert command.wait(timeout=60) == 0
    (episode,) = sotopia_env.load_episodes(out)
    assert episode.ending is not None
    assert episode.ending.reason == ending
    assert len(episode.turns) == 3


@pytest.mark.parametrize("seat", [0, 1])
def test_a_person_plays_a_policy_from_either_seat_and_goes_on_after_reloading(
    chromium: Any, play: Any, tmp_path: Path, seat: int
) -> None:
    out = tmp_path / "e.jsonl"
    command, (link,) = play("bargain:test", "scripted:firm", "--seat", seat, "--seed", 3, "--out", out)
    tab = chromium.tab()
    tab.open(link)
    send(tab, "Hello! Who was it made for?")
    tab.wait("state.yours && state.turns.filter((turn) => turn.agent === state.you).length === 1")
    before = shown(tab, "#talk")
    tab.open(link)
    tab.wait("state.yours")
    assert shown(tab, "#talk") == before
    for _ in range(2):
        click(tab, "#acts [value=leave]")
    tab.wait("state.phase === 'over'")
    click(tab, "#again")
    tab.wait("state.key === '3-1' && state.yours")
    assert shown(tab, "#problem") == ""
    send(tab, "Good day.")
    tab.wait("state.yours && state.turns.length > 1")
    command.send_signal(signal.SIGINT)
    assert command.wait(timeout=60) == 130
    assert command.stdout.read().endswith(f"this game so far is in {out.with_name('e.unfinished.jsonl')}\n")
    tab.wait("byId('problem').textContent.startsWith('The command has ended')")
    (episode,) = sotopia_env.load_episodes(out)
    assert episode.policies[f"agent_{seat}"] == "human"


def test_everything_can_be_reached_on_a_phone(chromium: Any, play: Any) -> None:
    _, (link,) = play("divide:test", "scripted:warm", "--seed", 1, "--agreement", "formal")
    tab = chromium.tab()
    for width, height in ((390, 844), (390, 500), (1280, 900)):
        tab.open(link, width=width, height=height)
        tab.value("document.querySelector('#kinds [value=offer]').click()")
        assert tab.value("document.documentElement.scrollWidth") <= width
        for selector in ("#text", "#send", "#words", *(f"#acts [value={name}]" for name in ("accept", "leave"))):
            box = tab.value(f"JSON.stringify(document.querySelector({json.dumps(selector)}).getBoundingClientRect())")
            place = json.loads(box)
            assert place["left"] >= 0
            assert place["right"] <= width
            assert place["bottom"] <= height
            assert place["height"] >= 38
        assert tab.value("byId('scroll').clientHeight") > 80
        assert tab.value("parseFloat(getComputedStyle(byId('text')).fontSize)") >= 16
    assert tab.value("byId('talk').getAttribute('aria-live')") == "polite"


def test_two_policies_are_watched_step_by_step(chromium: Any, play: Any) -> None:
    _, (link,) = play("bargain", "scripted:firm", "scripted:warm", "--seed", 5, "--reward", "episode")
    tab = chromium.tab()
    tab.open(link)
    assert "scripted:warm" in shown(tab, "#cards")
    assert tab.value("byId('turn').hidden")
    click(tab, "#next")
    tab.wait("document.querySelectorAll('#talk li').length === 1")
    click(tab, "#rest")
    tab.wait("state.phase === 'over'")
    assert "episode: " in shown(tab, "#talk")
    assert tab.faults == []

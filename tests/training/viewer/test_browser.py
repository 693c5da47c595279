"""The viewer in a browser, at the width of a desktop and of a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sotopia_env.episodes import Episode, Judgement, Turn
from sotopia_env.policies import TokenTrace
from sotopia_env.resolve import make_policy
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.showing.runs import Run
from sotopia_env.training.viewer import write_viewer

HOSTILE = "<b>bold</b></script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
KEY = "a/b ?%20#"

WIDTHS = pytest.mark.parametrize("width", [1280, 390])


def played(policy: str) -> list[Episode]:
    policies = [make_policy(policy), make_policy("scripted:warm")]
    tasks = "bargain:test?agreement=formal"
    return rollout(tasks, policies, num_episodes=120, seed=0, reward="episode")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """120 episodes of a run with traces, one of them hostile, and the same tasks in another run."""
    firm = played("scripted:firm")
    turns = (
        Turn(0, 0, 0, "speak", HOSTILE + "\u202eabc\u202c" + "x" * 50_000),
        Turn(1, 0, 1, "speak", "Zebras, quietly.", recipients=(0,)),
        Turn(0, 1, 2, "none", "", raw=HOSTILE, invalid=HOSTILE),
    )
    judged = (Judgement("rule", "4", {"goal": [None, 2.0]}),)
    paid = {"episode": {"agent_0": [None, None], "agent_1": [0.2]}}
    firm[1] = replace(firm[1], key=KEY, turns=turns, judgements=judged, rewards=paid, ending=None)
    traces = {("0-0", "agent_0"): [TokenTrace((1,), (5, 6), (-0.1, -2.0))]}
    path = tmp_path_factory.mktemp("page") / "page.html"
    runs = [Run("firm", firm, traces), Run("soft", played("scripted:soft"))]
    return write_viewer(runs, path).as_uri()


@pytest.fixture(autouse=True)
def nothing_is_loaded_and_nothing_fails(browser: Any, page: str) -> Iterator[None]:
    yield
    assert {url.partition("#")[0] for url in browser.asked} <= {page, "about:blank"}
    assert not browser.faults


def choose(browser: Any, name: str, value: str) -> None:
    """Set a field of the filters."""
    browser.value(
        f"(() => {{ const field = document.getElementById({name!r}); field.value = {value!r};"
        " field.dispatchEvent(new Event('input', {bubbles: true}));"
        " field.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


def keys_listed(browser: Any) -> list[str]:
    return list(browser.value("[...document.querySelectorAll('#rows .key')].map((key) => key.textContent)"))


def told(browser: Any) -> str:
    return str(browser.value("document.getElementById('told').textContent"))


@WIDTHS
def test_a_link_opens_one_turn(browser: Any, page: str, width: int) -> None:
    browser.open(f"{page}#0-0/3", width)
    browser.wait("document.querySelector('.turn.current') !== null")
    assert browser.value("document.querySelector('.turn.current .said').textContent").startswith("Ravi Moreau")
    seen = browser.value(
        "(() => { const box = document.querySelector('.turn.current').getBoundingClientRect();"
        " return box.top >= 0 && box.bottom <= window.innerHeight; })()"
    )
    assert seen
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert (
        browser.value(
            "(() => { const e = document.getElementById('episode'); return e.scrollWidth - e.clientWidth; })()"
        )
        == 0
    )
    paid = browser.value("[...document.querySelectorAll('.paid')].map((one) => one.textContent)")
    assert paid == ["episode0"] * 5 + ["episode+0.775", "episode+0.325"]
    standing = browser.value("document.querySelectorAll('.standing')[1].textContent")
    assert standing == "on the table: Leila Sato $115 · Ravi Moreau $175"
    assert browser.value("[...document.querySelectorAll('.turn .tag')].map((tag) => tag.textContent)") == ["action"] * 7
    # On a phone the list makes room for the episode.
    assert browser.value("document.querySelector('.pick').offsetParent !== null") == (width == 1280)


@WIDTHS
def test_rows_are_drawn_as_they_are_scrolled_to(browser: Any, page: str, width: int) -> None:
    browser.open(page, width)
    assert told(browser) == "240 episodes"
    assert keys_listed(browser)[:3] == ["0-0", KEY, "0-2"]
    assert len(keys_listed(browser)) < 40
    browser.value("document.getElementById('list').scrollTop = 74 * 100")
    browser.wait("[...document.querySelectorAll('#rows .key')].some((key) => key.textContent === '0-100')")
    assert "0-0" not in keys_listed(browser)
    assert browser.value("document.documentElement.scrollWidth") <= width


def test_keys_move_between_turns_and_episodes(browser: Any, page: str) -> None:
    browser.open(page)
    browser.press("n")
    browser.wait("document.querySelector('article h2')?.textContent === '0-0'")
    for key, hash_ in [("j", "#0-0/0"), ("j", "#0-0/1"), ("k", "#0-0/0"), ("k", "#0-0/0")]:
        browser.press(key)
        assert browser.value("location.hash") == hash_
    browser.press("n")
    browser.press("n")
    browser.wait("document.querySelector('article h2')?.textContent === '0-2'")
    browser.press("p")
    browser.wait("location.hash === '#a%2Fb%20%3F%2520%23'")
    browser.press("/")
    assert browser.value("document.activeElement.id") == "search"
    browser.press("Escape")
    browser.press("?")
    assert browser.value("document.getElementById('help').open")


def test_episodes_are_filtered_and_sorted_and_what_is_unknown_stands_last(browser: Any, page: str) -> None:
    browser.open(page)
    choose(browser, "run", "0")
    assert told(browser) == "120 of 240 episodes"
    choose(browser, "seat", "0")
    choose(browser, "order", "up")
    values = browser.value("page.rows.map(([row]) => row.values[0][0])")
    assert values[-1] is None
    assert values[:-1] == sorted(values[:-1])
    choose(browser, "known", "unknown")
    assert (told(browser), keys_listed(browser)) == ("1 of 240 episodes", [KEY])
    assert browser.value("document.querySelector('#rows .value').textContent") == "–"
    choose(browser, "known", "")
    choose(browser, "from", "9")
    assert browser.value("page.rows.every(([row]) => row.values[0][0] >= 9)")
    choose(browser, "from", "")
    choose(browser, "policy", "scripted:soft")
    assert told(browser) == "0 of 240 episodes"
    choose(browser, "run", "1")
    choose(browser, "ending", "running")
    assert told(browser) == "0 of 240 episodes"


def test_words_are_searched_in_all_episodes(browser: Any, page: str) -> None:
    browser.open(page)
    choose(browser, "search", "ZEBRAS, qu")
    browser.wait("document.getElementById('told').textContent === '1 of 240 episodes'")
    assert keys_listed(browser) == [KEY]
    choose(browser, "search", "")
    browser.wait("document.getElementById('told').textContent === '240 episodes'")


@WIDTHS
def test_hostile_words_are_words(browser: Any, page: str, width: int) -> None:
    browser.open(f"{page}#a%2Fb%20%3F%2520%23/0", width)
    browser.wait("document.querySelector('.turn') !== null")
    shown = browser.value("document.querySelector('.turn .bubble > .said').textContent")
    assert shown.startswith(HOSTILE + "⟨202E⟩abc⟨202C⟩xxx")
    assert len(shown) < 3_000
    browser.value("document.querySelector('.turn .more').click()")
    assert len(browser.value("document.querySelector('.turn .bubble > .said').textContent")) > 50_000
    assert browser.value("window.hacked === undefined && document.querySelector('img, article script') === null")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert (
        browser.value("document.querySelectorAll('.turn')[1].querySelector('.tag').textContent")
        == "private: Petra Adeyemi"
    )
    assert browser.value("[...document.querySelectorAll('.paid dd')].map((one) => one.textContent)") == [
        "unknown",
        "+0.2",
        "unknown",
    ]
    assert browser.value("document.querySelector('.unknown').textContent") == "unknown"


def test_two_runs_stand_side_by_side_with_their_differences(browser: Any, page: str) -> None:
    browser.open(f"{page}#0-0")
    choose(browser, "beside", "1")
    browser.wait("document.querySelectorAll('article').length === 2")
    # One key differs: its episodes are matched by task and seed.
    assert told(browser) == "120 pairs of equal tasks"
    runs = browser.value("page.rows.map(([one, other]) => [one.run, other.run, one.task === other.task])")
    assert runs == [[0, 1, True]] * 120
    choose(browser, "seat", "0")
    first = browser.value("document.querySelectorAll('#rows .value')[0].textContent")
    assert first == "3.25 | 1.56 (−1.69)"
    table = browser.value("document.querySelector('#episode tbody tr').textContent")
    assert table == "goal, Leila Sato3.251.56−1.69"
    assert browser.value("document.querySelectorAll('.parting').length") == 2


def test_probabilities_of_tokens_are_shown_where_there_are_traces(browser: Any, page: str) -> None:
    browser.open(f"{page}#0-0")
    browser.wait("document.querySelector('.turn') !== null")
    browser.press("t")
    browser.wait("document.querySelector('.token') !== null")
    assert browser.value("[...document.querySelectorAll('.token')].map((one) => [one.textContent, one.title])") == [
        ["⟨5⟩", "0.905 (log −0.1)"],
        ["⟨6⟩", "0.135 (log −2)"],
    ]
    browser.press("t")
    browser.wait("document.querySelector('.token') === null")


def test_an_address_that_leads_nowhere_says_so(browser: Any, page: str) -> None:
    browser.open(f"{page}#nobody")
    assert browser.value("document.getElementById('episode').textContent") == "There is no episode nobody here."

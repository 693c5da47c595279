from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sotopia_env.episodes import Episode
from sotopia_env.resolve import make_policy
from sotopia_env.rewards import Outcome
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.showing.runs import Run
from sotopia_env.training.pages import digest
from sotopia_env.training.viewer import page as viewer
from sotopia_env.training.viewer import viewer_page, write_viewer

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>{{ 7 * 7 }}\u202e"


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    return rollout("bargain:test", [make_policy("scripted:firm"), make_policy("scripted:warm")], num_episodes=3)


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


class Scripts(HTMLParser):
    """The tags of a page, and the text behind each up to the next."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.ended = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.append("")
        self.ended = False

    def handle_endtag(self, tag: str) -> None:
        self.ended = True

    def handle_data(self, data: str) -> None:
        if self.texts and not self.ended:
            self.texts[-1] += data


def test_a_page_holds_its_rows_and_its_episodes_in_chunks(
    episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "CHUNK", 2)
    done: list[int] = []
    found = Scripts(viewer_page([Run("a", episodes)], on_progress=done.append))
    data = [
        text for (tag, attrs), text in zip(found.tags, found.texts, strict=True) if attrs.get("type") == "text/plain"
    ]
    index, *chunks = map(unpacked, data)
    assert (index["runs"], index["chunk"], len(index["rows"])) == (["a"], 2, 3)
    assert [[record["key"] for record in chunk] for chunk in chunks] == [["0-0", "0-1"], ["0-2"]]
    assert done == [2, 3]


def test_a_page_allows_its_own_script_and_loads_nothing(episodes: list[Episode]) -> None:
    hostile = replace(
        episodes[0], key=HOSTILE, turns=tuple(replace(turn, text=HOSTILE, raw=HOSTILE) for turn in episodes[0].turns)
    )
    html = viewer_page([Run(HOSTILE, [hostile])])
    assert "window.hacked" not in html.replace("&lt;script&gt;window.hacked", "").replace("&#39;window.hacked", "")
    assert "49" not in re.findall(r"<title>.*?</title>", html)[0]
    found = Scripts(html)
    tags = list(zip(found.tags, found.texts, strict=True))
    policy = next(attrs["content"] for (_, attrs), _ in tags if attrs.get("http-equiv") == "Content-Security-Policy")
    (script,) = [text for (tag, attrs), text in tags if tag == "script" and not attrs]
    (style,) = [text for (tag, _), text in tags if tag == "style"]
    assert policy == (
        f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    assert not [attrs for (_, attrs), _ in tags if {"src", "href", "style", "onerror"} & attrs.keys()]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", script)


def test_a_page_is_the_same_each_time_and_is_written_whole(episodes: list[Episode], tmp_path: Path) -> None:
    path = write_viewer([Run("a", episodes)], tmp_path / "new" / "a.html")
    assert path.read_text(encoding="utf-8") == viewer_page([Run("a", episodes)])
    before = path.read_bytes()

    def fail(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_viewer([Run("a", episodes[:1])], path, on_progress=fail)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.html"]


def test_a_reward_is_computed_for_the_page(episodes: list[Episode]) -> None:
    run = viewer.with_reward(Run("a", episodes), "episode + 0.5 * length")
    assert list(run.episodes[0].rewards) == ["episode", "length", "episode + 0.5 * length"]
    assert not episodes[0].rewards
    with pytest.raises(ValueError, match="it asks a model"):
        viewer.with_reward(Run("a", episodes), Outcome("episode", judge="llm:m@http://127.0.0.1:9"))

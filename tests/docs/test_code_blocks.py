"""The code in the pages runs, page by page and from top to bottom, in a folder of its own and at small sizes.

A block of ``bash`` or ``sh`` is a list of commands; one of ``python`` goes on where the last one of its page ended. One
with a ``title`` is a file, and is written. What cannot run here stands below ``<!-- not run: REASON -->``.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(
    r"(?:^[ ]*<!--[ ]not[ ]run:[ ](?P<reason>[^>]+?)[ ]-->\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w+)(?:[ ]title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^[ ]*```$",
    re.M | re.S | re.X,
)
SMALL = {
    ("rollout",): "-n 6",
    ("evaluate",): "-n 2",
    ("compare",): "--turns 4 --continuations 4 --labels 2 -n 4",
    ("audit",): "--turns 4 --continuations 4",
    ("gates",): "--tasks 2",
    ("table",): "--tasks 2",
    ("train", "bc"): "--max_steps 1 --per_device_train_batch_size 4",
    ("train", "rm"): "--max_steps 1 --per_device_train_batch_size 4",
    ("train", "grpo"): "--max_steps 1 --per_device_train_batch_size 4 --num_generations 4 --max_turn_tokens 4",
}
"""What is added to a command, so that it takes seconds: of an option that is given twice the last one counts."""

SLOW = {
    "checks.md",
    "rollouts.md",
    "own-policy.md",
    "own-reward.md",
    "training.md",
    "reward-model.md",
    "reward-card.md",
    "audit.md",
}
"""Pages that train, or play on from turns."""

EPISODES = """
import sotopia_env
import sotopia_env.rewards as R
episodes = sotopia_env.rollout("bargain", ["scripted:warm", "scripted:firm"], num_episodes=4)
episode = episodes[0]
"""
PARTS = """
from sotopia_env.agents import ScriptedPolicy

class MyPolicy(ScriptedPolicy):
    def __init__(self):
        super().__init__("warm")

def my_reward(episodes):
    return [{a: [1.0] * len(e.own_turns(a)) for a in e.agents} for e in episodes]
"""
BEFORE = {
    "checks.md": f"from pathlib import Path\nPath('my_parts.py').write_text({PARTS!r})",
    "attribution.md": f"{EPISODES}\njudge = R.RuleJudge()",
    "credit.md": EPISODES,
    "judges.md": f"{EPISODES}\nsotopia_env.save_episodes(episodes[:2], 'e.jsonl')",
    "reward-wrappers.md": f"{EPISODES}\nsotopia_env.save_episodes(episodes, 'episodes.jsonl')",
    "rollouts.md": "import sotopia_env\ncut_short = sotopia_env.rollout('bargain', 'scripted:warm', num_episodes=2)",
    "mini.md": "import sotopia_env, sotopia_env.families",
    "mutual-friends.md": "import sotopia_env, sotopia_env.families",
}
"""What a page takes for granted."""

SERVER = "http://127.0.0.1:8000/v1"
"""In its place stands a server of this test, which knows nothing and keeps to the form it is asked for."""


@dataclass(frozen=True)
class Block:
    """A piece of code of a page.

    Args:
        line: where it begins.
        language: of its fence.
        text: the code.
        title: the file that it is, if it is one.
        reason: why it does not run here; ``None`` where it does.
    """

    line: int
    language: str
    text: str
    title: str | None
    reason: str | None


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        code = re.sub(f"^{found['indent']}", "", found["text"], flags=re.M)
        line = text.count("\n", 0, found.start("indent")) + 1
        yield Block(line, found["language"], code, found["title"], found["reason"])


def runs(block: Block) -> bool:
    return block.reason is None and (block.title is not None or block.language in ("bash", "sh", "python"))


WITH_CODE = [page for page in PAGES if any(runs(block) for block in blocks_of(page))]


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in SLOW else []) for page in WITH_CODE],
)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chat_server: Any) -> None:
    if page.name in SLOW:
        pytest.importorskip("torch", reason="the page trains")
    if SERVER in page.read_text(encoding="utf-8"):
        pytest.importorskip("openai", reason="the page asks a server")
    chat_server.answer(lambda request: reply_to(request))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, Any] = {"__name__": "page"}
    before = set(sys.modules)
    try:
        exec(BEFORE.get(page.name, ""), names)
        for block in blocks_of(page):
            if not runs(block):
                continue
            if block.title is not None:
                Path(block.title).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                # With the page's own line numbers in tracebacks.
                code = block.text.replace(SERVER, chat_server.url)
                exec(compile("\n" * block.line + code, str(page), "exec"), names)
            else:
                text = block.text.replace("MODEL@URL", f"MODEL@{SERVER}").replace(SERVER, chat_server.url)
                for command in commands_of(text):
                    while "=" in command[0]:
                        monkeypatch.setenv(*command.pop(0).split("=", 1))
                    run(command, f"{page.name}:{block.line}")
    finally:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]


def reply_to(request: dict[str, Any]) -> str:
    """Something of the form that is asked for; else a sentence."""
    form = request.get("response_format")
    return "I could do $100." if form is None else json.dumps(made_up(form["json_schema"]["schema"]))


def made_up(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "object":
        return {name: made_up(one) for name, one in schema["properties"].items()}
    if schema["type"] == "array":
        return [made_up(schema["items"])] * schema.get("minItems", 1)
    return "So." if schema["type"] == "string" else schema.get("minimum", 1)


def commands_of(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def run(words: list[str], where: str) -> None:
    from sotopia_env.cli import app

    assert words[0] == "sotopia-env", f"{where}: {words[0]} cannot run here; say why with <!-- not run: ... -->"
    small = next((extra for name, extra in SMALL.items() if tuple(words[1 : 1 + len(name)]) == name), "")
    result = CliRunner().invoke(app, [*words[1:], *small.split()])
    assert result.exit_code == 0, f"{where}: {shlex.join(words)}\n{result.output}\n{result.exception!r}"


def test_what_does_not_run_is_little_and_says_why() -> None:
    left_out = [block for page in PAGES for block in blocks_of(page) if block.reason is not None]
    run_here = [block for page in PAGES for block in blocks_of(page) if runs(block)]
    assert all(len(block.reason or "") > 4 for block in left_out)
    assert len(left_out) <= 40 < len(run_here)

"""The site of the docs: built without a warning, whole, and made of nothing from elsewhere."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|audio|video|embed)\b[^>]*\bsrc=["']?(?P<src>[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|preload|icon|modulepreload))[^>]*\bhref=["']?(?P<href>[^"'\s>]+)"""
    r"""|@import\s+["']?(?P<sheet>[^"'\s;]+)|url\(\s*["']?(?P<url>[^"')\s]+)""",
    re.I,
)


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_build", DOCS / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("zensical", reason="the site is built with the extra docs")
    pytest.importorskip("mkdocstrings_handlers.python", reason="the site is built with the extra docs")
    return Path(builder.build(tmp_path_factory.mktemp("docs")))


def entries(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for value in nav.values():
            yield from entries(value)
    else:
        for one in nav:
            yield from entries(one)


def test_every_page_stands_in_the_navigation_once(builder: ModuleType) -> None:
    listed = list(entries(tomllib.loads((DOCS / "zensical.toml").read_text("utf-8"))["project"]["nav"]))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    made = {"reference/commands.md", *(f"reference/{name}.md" for name in builder.MODULES)}
    assert sorted(listed) == sorted(pages | made | set(builder.BESIDES))


def test_links_out_of_the_pages_become_text_and_others_stay(builder: ModuleType) -> None:
    text = (
        "[a](../training/options.py) [`b`](models.md#vllm) [c](../CHANGELOG.md) [d](https://x.org) ![e](images/v.png)"
    )
    kept = "a [`b`](models.md#vllm) [c](CHANGELOG.md) [d](https://x.org) ![e](images/v.png)"
    assert builder.without_outer_links(text, DOCS) == kept
    assert builder.without_outer_links("[c](../../CHANGELOG.md)", DOCS / "worlds") == "[c](../CHANGELOG.md)"
    assert builder.without_outer_links("[m](docs/models.md#vllm)", ROOT) == "[m](models.md#vllm)"


def test_every_public_name_has_its_place_in_the_reference(builder: ModuleType, site: Path) -> None:
    for name in builder.MODULES:
        path = name if name == "sotopia_env" else f"sotopia_env.{name}"
        page = (site / "reference" / f"{name}.html").read_text("utf-8")
        anchors = set(re.findall(r'id="([^"]+)"', page))
        assert [one for one in importlib.import_module(path).__all__ if f"{path}.{one}" not in anchors] == []


def test_every_command_and_option_has_its_place_in_the_reference(site: Path) -> None:
    from sotopia_env.cli import app

    page = (site.parent / "pages" / "reference" / "commands.md").read_text("utf-8")

    def told(command: Any, name: str) -> None:
        if hasattr(command, "commands"):
            for child, found in command.commands.items():
                told(found, f"{name} {child}")
            return
        text = page.partition(f"`{name}`\n")[2].partition("\n## ")[0].partition("\n### ")[0]
        assert text, name
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option in text, f"{name}: {option}"

    told(get_command(app), "sotopia-env")
    assert "--estimator" in page and "--mask_truncated_turns" in page


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    seen = 0
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        for found in LOADED.finditer(path.read_text("utf-8")):
            (target,) = filter(None, found.groups())
            seen += 1
            assert not re.match(r"(?:[a-z]+:)?//", target) or target.startswith("data:"), f"{path.name}: {target}"
    assert seen > 100


FINDS = """
<script>
addEventListener("load", async () => {
  const wait = (time) => new Promise((done) => setTimeout(done, time));
  await wait(1500);
  document.querySelector(".md-search__button").click();
  await wait(2000);
  const hosts = [...document.querySelectorAll("*")].filter((one) => one.shadowRoot?.querySelector("input"));
  const field = hosts[0].shadowRoot.querySelector("input");
  field.value = "Sway";
  field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  await wait(3000);
  const links = [...hosts[0].shadowRoot.querySelectorAll("a")];
  document.title = "found " + links.map((link) => link.href).join(" ");
});
</script></body>"""


def test_the_search_finds_without_a_server(site: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("there is no chromium here")
    page = site / "search-test.html"
    page.write_text((site / "index.html").read_text("utf-8").replace("</body>", FINDS), "utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options = [f"--user-data-dir={tmp_path}", "--virtual-time-budget=15000", "--dump-dom", page.as_uri()]
    shown = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120).stdout
    page.unlink()
    title = shown.partition("<title>")[2].partition("</title>")[0]
    assert "found" in title and "worlds/bargain.html" in title, title

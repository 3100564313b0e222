"""The site is built: without a warning, without a network, with every public name."""

from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.pages import ROOT

import lightning_dqn
import lightning_dqn.callbacks


class Loaded(HTMLParser):
    """Gathers what a page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            is_loaded = name == "src" or (tag == "link" and name == "href")
            if is_loaded and value and value.startswith(("http:", "https:", "//")):
                self.found.append(f"{tag} {value}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="the site is built by the extra docs")
    folder = tmp_path_factory.mktemp("site")
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    sphinx = [sys.executable, "-m", "sphinx", "--fresh-env", "--fail-on-warning", "--quiet"]
    built = subprocess.run(
        [*sphinx, "--keep-going", str(ROOT / "docs"), str(folder)],
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    loaded = Loaded()
    for page in site.rglob("*.html"):
        loaded.feed(page.read_text())
    assert loaded.found == []


@pytest.mark.slow
def test_what_is_generated_reaches_the_pages(site: Path) -> None:
    assert "network/dormant_units" in (site / "metrics.html").read_text()
    assert "replay.capacity" in (site / "configuration.html").read_text()
    assert "https://arxiv.org/abs/1707.06887" in (site / "algorithms.html").read_text()


def test_a_page_that_loads_from_elsewhere_is_found() -> None:
    loaded = Loaded()
    loaded.feed('<link href="https://fonts.example/a.css"><script src="own.js"></script>')
    assert loaded.found == ["link https://fonts.example/a.css"]


LISTED = re.findall(
    r"^\.\. auto(?:class|function):: (\S+)$", (ROOT / "docs" / "api.md").read_text(), re.M
)


def test_every_public_name_is_on_the_page_of_the_api() -> None:
    public = {*lightning_dqn.__all__, *lightning_dqn.callbacks.__all__}
    assert public <= {name.rpartition(".")[2] for name in LISTED}


@pytest.mark.parametrize("name", LISTED)
def test_every_name_on_the_page_of_the_api_is_there(name: str) -> None:
    assert callable(pkgutil.resolve_name(name))

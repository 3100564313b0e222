"""Every relative link leads somewhere, to a heading too; every page is found from the first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.pages import MORE_PAGES, PAGES, ROOT, name_of, prose, text_of

ALL = [
    *PAGES,
    *MORE_PAGES,
    ROOT / "CHANGELOG.md",
]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FOLDERS = "lightning_dqn|callbacks|conf|docs|tests|benchmarks|examples"
_FILE = re.compile(rf"`((?:{_FOLDERS})/[\w./-]*\w)`")
_ID = re.compile(r"-v\d+$")  # of an environment, which looks like a path


def links(page: Path) -> list[str]:
    """Return the targets of a page that lie in this repository."""
    return [one for one in _LINK.findall(prose(page.read_text())) if "://" not in one]


def anchor(heading: str) -> str:
    """Return by which a heading is linked."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_relative_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    broken = []
    for link in links(page):
        name, _, wanted = link.partition("#")
        target = page if not name else (page.parent / name).resolve()
        if not target.is_file():
            broken.append(link)
        elif wanted:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            if wanted not in map(anchor, headings):
                broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = _FILE.findall(prose(text_of(page)))
    gone = {name for name in named if not (ROOT / name).exists() and not _ID.search(name)}
    assert gone == set()


def test_every_page_stands_in_the_sites_index() -> None:
    pages = {name_of(page).removeprefix("docs/").removesuffix(".md") for page in PAGES[1:]}
    listed = set()
    for index in ("index", "extending/index"):
        text = (ROOT / "docs" / f"{index}.md").read_text()
        folder = index.rpartition("/")[0]
        for tree in re.findall(r"```{toctree}\n(.*?)```", text, re.S):
            names = [line for line in tree.splitlines() if line and not line.startswith(":")]
            listed |= {f"{folder}/{name}" if folder else name for name in names}
    assert pages == listed | {"index"}

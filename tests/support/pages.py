"""The README and the pages of the site as tests read them: blocks of code, commands, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
"""All that is read as text for users, the README first."""

NOT_RUN = re.compile(r"<!-- not run: (.+) -->\n$")
"""Above a block of code: it isn't run by a test, and why."""

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A block of code on a page.

    Attributes:
        language: as ``python``.
        text: what stands in it.
        why_not: why no test runs it; empty where one does.
    """

    language: str
    text: str
    why_not: str


def name_of(page: Path) -> str:
    """Return how a page is called in a test's name."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str, language: str) -> Iterator[Block]:
    """Yield a page's blocks of a language."""
    for found in _BLOCK.finditer(text):
        mark = NOT_RUN.search(text[: found.start()])
        if found[1] == language:
            yield Block(found[1], found[2], mark[1] if mark else "")


def prose(text: str) -> str:
    """Return a page without its blocks of code."""
    return _BLOCK.sub("", text)

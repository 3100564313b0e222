"""The README and the pages of the site as tests read them: blocks of code, commands, links."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gymnasium as gym

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
"""All that is read as text for users, the README first."""

NOT_RUN = re.compile(r"<!-- not run: (.+) -->\n$")
"""Above a block of code: it isn't run by a test, and why."""

FILE_NAME = re.compile(r"# (\w+\.py)\n")
"""What a program opens with that is a file, as others import it."""

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


def write_modules(text: str, folder: Path) -> None:
    """Write a page's programs that open with a file's name into a folder."""
    for block in blocks(text, "python"):
        if file := FILE_NAME.match(block.text):
            (folder / file[1]).write_text(block.text)


def forget_modules(folder: Path) -> None:
    """Let modules and environments of a folder's files be imported anew by other tests."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
    for id, spec in list(gym.registry.items()):
        home = getattr(spec.entry_point, "__module__", "")
        if home and home not in sys.modules:
            del gym.registry[id]


def prose(text: str) -> str:
    """Return a page without its blocks of code."""
    return _BLOCK.sub("", text)

"""The README and the pages of the site as tests read them: blocks of code, commands, links."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gymnasium as gym
from generated_pages import written

ROOT = Path(__file__).resolve().parents[2]
CARDS = ROOT / "docs" / "atari100k" / "agents"
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if CARDS not in page.parents),
]
"""All that is read as text for users, the README first; without cards, which are made."""

MORE_PAGES = [ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")]
"""What isn't of the site, for those who work here."""

MARK = re.compile(r"<!-- (not run|only read): (.+) -->\n")
"""Above a block of code: no test runs it, or tests read it and run nothing; and why."""

FILE_NAME = re.compile(r"# (\w+\.py)\n")
"""What a program opens with that is a file, as others import it."""

_BLOCK = re.compile(r"^```([\w{}-]+)\n(.*?)^```$", re.M | re.S)
_END = re.compile(MARK.pattern + "$")


class Block(NamedTuple):
    """A block of code on a page.

    Attributes:
        language: as ``python``.
        text: what stands in it.
        why_not: why no test runs it; empty where one does.
        why_read: why tests only read it; empty where they don't say.
    """

    language: str
    text: str
    why_not: str
    why_read: str


def text_of(page: Path) -> str:
    """Return what people wrote on a page; what is generated there is tested where it comes from."""
    return written(page.read_text())


def name_of(page: Path) -> str:
    """Return how a page is called in a test's name."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str, language: str) -> Iterator[Block]:
    """Yield a page's blocks of a language."""
    for found in _BLOCK.finditer(text):
        if found[1] == language:
            mark = _END.search(text[: found.start()])
            why = {mark[1]: mark[2]} if mark else {}
            yield Block(language, found[2], why.get("not run", ""), why.get("only read", ""))


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

"""Generates what pages say about the code, so that no list is kept by hand, between two marks.

    <!-- generated: preset c51 -->
    ... what `preset` makes of the word `c51` ...
    <!-- /generated -->

`make pages` rewrites all of it. The result is committed, since people read the pages there too; a
test finds what is out of date.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from generated_pages import (
    algorithms,
    atari_100k,
    commands,
    configuration,
    former_names,
    metrics,
)

MAKERS: dict[str, Callable[..., str]] = {
    "atari_100k": atari_100k.atari_100k,
    "atari_ablation": atari_100k.atari_ablation,
    "atari_elsewhere": atari_100k.atari_elsewhere,
    "atari_presets": algorithms.atari_presets,
    "commands": commands.commands,
    "configuration": configuration.configuration,
    "experiments": algorithms.experiments,
    "former_names": former_names.former_names,
    "metrics": metrics.metrics,
    "preset": algorithms.preset,
}
"""Name -> the function that makes its Markdown."""

_LITERAL = re.compile(r"(``.*?``|:\w+:`.*?`)")
_END = "<!-- /generated -->"
_PART = re.compile(
    r"^(<!-- generated: (\w+)(?: ([\w/]+))? -->)$(?:\n(?:(?!<!-- generated: ).)*?^" + _END + "$)?",
    re.M | re.S,
)


def filled(text: str) -> str:
    """Return a page with its generated parts renewed, whatever they were before.

    Raises:
        ValueError: a mark has an unknown name.
    """

    def made(part: re.Match[str]) -> str:
        mark, name, word = part.groups()
        if name not in MAKERS:
            raise ValueError(f"{mark}: nothing makes {name!r}; choose among {[*MAKERS]}")
        content = MAKERS[name](*[word] if word else []).strip("\n")
        return f"{mark}\n\n{content}\n\n{_END}"

    return _PART.sub(made, text)


def written(text: str) -> str:
    """Return a page without its generated parts; the marks stay."""
    return _PART.sub(r"\1", text)


def fill(folder: Path) -> list[Path]:
    """Renew all pages in a folder; return those that changed."""
    changed = []
    for page in sorted(folder.rglob("*.md")):
        before = page.read_text()
        if (after := filled(before)) != before:
            page.write_text(after)
            changed.append(page)
    return changed


def without_markup(line: str) -> str:
    """Return a docstring's line with * and | escaped, as in [B, *shape] and absolute values."""
    parts = _LITERAL.split(line)
    return "".join(
        part if _LITERAL.fullmatch(part) else re.sub(r"([*|])", r"\\\1", part) for part in parts
    )


def _keep_signs(*event: Any) -> None:
    lines = event[-1]
    lines[:] = [without_markup(line) for line in lines]


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx: signs in docstrings are not markup."""
    # Before napoleon, which marks up what it finds.
    app.connect("autodoc-process-docstring", _keep_signs, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

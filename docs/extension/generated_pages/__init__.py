"""Writes what pages say of the code, so that no list is kept by hand. It stands between two marks.

    <!-- generated: preset c51 -->
    ... what `preset` makes of the word `c51` ...
    <!-- /generated -->

`make pages` writes all of it anew. It is kept in the repository, for people read pages there too; a
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
"""Name -> what makes the Markdown that stands for it."""

_LITERAL = re.compile(r"(``.*?``|:\w+:`.*?`)")
_END = "<!-- /generated -->"
_PART = re.compile(
    r"^(<!-- generated: (\w+)(?: ([\w/]+))? -->)$(?:\n(?:(?!<!-- generated: ).)*?^" + _END + "$)?",
    re.M | re.S,
)


def filled(text: str) -> str:
    """Return a page with all that is generated in it, whatever there was before.

    Raises:
        ValueError: a name that nothing makes.
    """

    def made(part: re.Match[str]) -> str:
        mark, name, word = part.groups()
        if name not in MAKERS:
            raise ValueError(f"{mark}: nothing makes {name!r}; choose among {[*MAKERS]}")
        content = MAKERS[name](*[word] if word else []).strip("\n")
        return f"{mark}\n\n{content}\n\n{_END}"

    return _PART.sub(made, text)


def written(text: str) -> str:
    """Return a page without what is generated: its marks stay."""
    return _PART.sub(r"\1", text)


def fill(folder: Path) -> list[Path]:
    """Fill all pages in a folder anew; return those that changed."""
    changed = []
    for page in sorted(folder.rglob("*.md")):
        before = page.read_text()
        if (after := filled(before)) != before:
            page.write_text(after)
            changed.append(page)
    return changed


def without_markup(line: str) -> str:
    """Return a docstring's line in which shapes, as [B, *shape], and absolute values stay signs."""
    parts = _LITERAL.split(line)
    return "".join(
        part if _LITERAL.fullmatch(part) else re.sub(r"([*|])", r"\\\1", part) for part in parts
    )


def _keep_signs(*event: Any) -> None:
    lines = event[-1]
    lines[:] = [without_markup(line) for line in lines]


def setup(app: Any) -> dict[str, Any]:
    """Join Sphinx: signs in docstrings stay signs."""
    # Before napoleon, which marks up what it finds.
    app.connect("autodoc-process-docstring", _keep_signs, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Fills in what pages of the site say of the code: `<!-- generated: metrics -->` and the like.

A page is Markdown that people read in the repository too, where such a line shows nothing. When the
site is built it becomes what its name makes, so that no list is written twice. A name may take a
word: `<!-- generated: preset c51 -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
_MARK = re.compile(r"^<!-- generated: (\w+)(?: ([\w/]+))? -->$", re.M)


def filled(text: str) -> str:
    """Return a page with all that is generated in it.

    Raises:
        ValueError: a name that nothing makes.
    """

    def made(mark: re.Match[str]) -> str:
        name, word = mark.groups()
        if name not in MAKERS:
            raise ValueError(f"{mark.group()}: nothing makes {name!r}; choose among {[*MAKERS]}")
        return MAKERS[name](*[word] if word else [])

    return _MARK.sub(made, text)


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
    """Join Sphinx: every page is filled in when it is read."""

    def fill(_: Any, __: str, source: list[str]) -> None:
        source[0] = filled(source[0])

    app.connect("source-read", fill)
    # Before napoleon, which marks up what it finds.
    app.connect("autodoc-process-docstring", _keep_signs, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

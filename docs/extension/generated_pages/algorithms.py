"""What presets and experiments say about themselves, in the comments that open their files."""

from __future__ import annotations

import re
from pathlib import Path

from generated_pages.tables import code, table

CONF = Path(__file__).resolve().parents[3] / "conf"
_DIFFERENCES = "Differences from the paper"


def preset(name: str) -> str:
    """Return a preset's paper, its settings and its numbered differences.

    Args:
        name: ``c51``, ``atari/c51``.

    Raises:
        ValueError: there is no such preset.
    """
    path = CONF / "algorithm" / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"conf/algorithm has no {name}.yaml; mend the page that names it")
    opening, settings = head_and_rest(path.read_text())
    introduction, _, differences = opening.partition(_DIFFERENCES)
    parts = [_linked(_joined(introduction)), f"`algorithm={name}` differs from the paper, besides"]
    parts[-1] += " [what all presets share](algorithms.md#deviations-from-the-papers):"
    parts.append(_linked(_numbered(differences.partition(":\n")[2])))
    if settings.strip():
        parts.append(f"```yaml\n{settings.strip()}\n```")
    return "\n\n".join(parts)


def atari_presets() -> str:
    """Return a section for each preset of Atari's sizes."""
    names = sorted(path.stem for path in (CONF / "algorithm" / "atari").glob("*.yaml"))
    return "\n\n".join(
        f"### {code(f'atari/{name}')}\n\n{preset(f'atari/{name}')}" for name in names
    )


def experiments() -> str:
    """Return a table of the experiments with what each file says about its result."""
    rows = []
    for path in sorted((CONF / "experiment").glob("*.yaml")):
        opening, _ = head_and_rest(path.read_text())
        command, _, told = opening.partition("\n")
        rows.append((code(f"+experiment={path.stem}"), code(command.strip()), _joined(told)))
    return table(("choice", "command", "what its file says"), rows)


def head_and_rest(text: str) -> tuple[str, str]:
    """Return the comment that a YAML file opens with, without its marks, and what follows."""
    lines = [line for line in text.splitlines() if line != "# @package _global_"]
    number = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    opening = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[:number])
    return opening, "\n".join(lines[number:])


def _joined(lines: str) -> str:
    return " ".join(lines.split())


def _numbered(text: str) -> str:
    """Return numbered sentences one a line, and what follows them as a paragraph."""
    items: list[str] = []
    after: list[str] = []
    for line in text.splitlines():
        if re.match(r"\d+\. ", line):
            items.append(line)
        elif line.startswith("   ") and items:
            items[-1] += f" {line.strip()}"
        else:
            after.append(line)
    return "\n\n".join(filter(None, ["\n".join(items), _joined(" ".join(after))]))


def _linked(text: str) -> str:
    """Return text with its papers' addresses as links."""
    return re.sub(
        r"((?:arxiv|doi|openreview)\.(?:org|net)/[\w./?=-]+\w)", r"[\1](https://\1)", text
    )

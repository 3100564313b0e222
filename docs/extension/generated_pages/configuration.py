"""Every choice and every key, made of the YAML files and the comments in them."""

from __future__ import annotations

from collections.abc import Iterator

from generated_pages.tables import code, table
from lightning_dqn.runs.compose import Composer, without_hydra
from lightning_dqn.runs.keys import explain_key, explain_keys, leaves


def configuration() -> str:
    """Return the groups with their options, then the keys by the group that they are in."""
    with Composer([]) as composer:
        config, groups = without_hydra(composer.config()), composer.groups()
    explanations = explain_keys()
    rows = [(code(group), ", ".join(map(code, sorted(groups[group])))) for group in sorted(groups)]
    parts = ["## Choices", table(("group", "options"), rows), "## Keys"]
    for part, keys in _by_part(list(leaves(config))):
        found = [(code(key), code(value), explain_key(key, explanations)) for key, value in keys]
        parts += [f"### {part}", table(("key", "value", "what it is"), found)]
    return "\n\n".join(parts)


def _by_part(keys: list[tuple[str, str]]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the keys of the top, then those of each part, in the order in which they come."""
    found: dict[str, list[tuple[str, str]]] = {"the run": []}
    for key, value in keys:
        part, dot, _ = key.partition(".")
        found.setdefault(part if dot else "the run", []).append((key, value))
    yield from found.items()

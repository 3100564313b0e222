"""Every choice and every key, made from the YAML files and the comments in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from generated_pages.tables import code, table
from lightning_dqn.runs.compose import Composer, chosen_options, without_hydra
from lightning_dqn.runs.keys import explain_key, explain_keys, leaves

CONF = Path(__file__).resolve().parents[3] / "conf"
_ON_OTHER_PAGES = ("algorithm", "experiment", "hydra", "suite")


def configuration() -> str:
    """Return the groups with their options, then the keys by the group that they are in."""
    with Composer([]) as composer:
        config, groups = composer.config(), composer.groups()
    explanations = explain_keys(chosen_options(config))
    rows = [(code(group), ", ".join(map(code, sorted(groups[group])))) for group in sorted(groups)]
    parts = ["## Choices", table(("group", "options"), rows), "## Keys"]
    for part, keys in _by_part(list(leaves(without_hydra(config)))):
        found = [(code(key), code(value), explain_key(key, explanations)) for key, value in keys]
        parts += [f"### {part}", table(("key", "value", "what it is"), found)]
    return "\n\n".join([*parts, "## Options", *_options()])


def _options() -> Iterator[str]:
    """Yield every option's file, by groups; presets have pages of their own."""
    for folder in sorted(path for path in CONF.rglob("*") if path.is_dir()):
        group = folder.relative_to(CONF).as_posix()
        if group.split("/")[0] not in _ON_OTHER_PAGES and not folder.name.startswith("_"):
            for path in sorted(folder.glob("*.yaml")):
                settings = path.read_text().strip()
                yield f"### {code(f'{group}={path.stem}')}\n\n```yaml\n{settings}\n```"


def _by_part(keys: list[tuple[str, str]]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the keys of the top, then those of each part, in the order in which they come."""
    found: dict[str, list[tuple[str, str]]] = {"the run": []}
    for key, value in keys:
        part, dot, _ = key.partition(".")
        found.setdefault(part if dot else "the run", []).append((key, value))
    yield from found.items()

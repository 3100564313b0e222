"""What there is to choose and to set: groups, keys, and the comments that explain them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built

PRESET_GROUPS = ("algorithm", "experiment")
"""Groups whose options set keys of any place; a folder in one holds more of its options."""

SUITES = "suite"
"""The folder of suites beside the groups, whose files no configuration is composed of."""


def explain_key(key: str, explanations: Mapping[str, str]) -> str:
    """Return what a key means; of one that has no word of its own, what it is a part of."""
    while key and key not in explanations:
        key = key.rpartition(".")[0]
    return explanations.get(key, "")


def choices() -> dict[str, list[str]]:
    """Return the shipped options of every group."""
    found: dict[str, list[str]] = {}
    for group, name, _ in _config_files():
        if group:
            group, name = preset_of(group, name)
            found.setdefault(group, []).append(name)
    return found


def targets_of(group: str) -> set[str]:
    """Return what the shipped options of a group build."""
    found = (yaml.load(text, _LOADER) for own, _, text in _config_files() if own == group)
    return {node["_target_"] for node in found if node and "_target_" in node}


def to_choose(group: str) -> str:
    """Return what a group that is null or missing has instead."""
    nothing = "; to log nothing, take away what is there: ~logger.csv" if group == "logger" else ""
    return f"choose {' or '.join(choices().get(group, ()))}{nothing}"


def preset_of(group: str, name: str) -> tuple[str, str]:
    """Return the group and option by which a file is chosen: those of a preset in a folder too.

    ``algorithm/atari/dqn.yaml`` is an option of ``algorithm``, chosen as ``atari/dqn``.
    """
    for presets in PRESET_GROUPS:
        if group.startswith(f"{presets}/"):
            return presets, f"{group.removeprefix(f'{presets}/')}/{name}"
    return group, name


def explain_keys(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the comment behind every key of the shipped files, by its full path.

    Args:
        chosen: option of each group. Of a key that several options have, theirs says what it is.
    """
    explanations: dict[str, str] = {}
    chosen_first = sorted(_config_files(), key=lambda file: chosen.get(file[0]) != file[1])
    for group, _, text in chosen_first:
        lines = text.splitlines()
        root = yaml.compose(text, Loader=_LOADER)
        prefix = group.replace("/", ".")
        if group == "experiment" or root is None:
            continue
        for path, line in _key_lines(root, (prefix,) if prefix else ()):
            _, mark, comment = lines[line].partition("  # ")
            if mark:
                explanations.setdefault(".".join(path), comment.strip())
    return explanations


def leaves(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the keys that hold values, with the values as one would type them."""
    values: Any = OmegaConf.to_container(config, resolve=False)
    for name in values:
        key = f"{prefix}{name}"
        value = values[name]
        is_empty_choice = value == {} and key.replace(".", "/") in choices()
        if str(name).startswith("_") or key == "run_dir" or is_empty_choice:
            continue
        if isinstance(value, dict) and value:
            yield from leaves(config[name], f"{key}.")
        else:
            yield key, typed(value)


def flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the paths of all that plain mappings hold, with the values; an empty one is a value."""
    for name, value in node.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def texts(node: Any) -> Iterator[str]:
    """Yield all values with an interpolation in them, as they are written."""
    if isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str) and "${" in node:
        yield node


def refers_to(text: str, key: str) -> bool:
    """Return whether an interpolation in a text is of a key or of one below."""
    return _refers(text, key, r"[.\[},]")


def refers_to_whole(text: str, key: str) -> bool:
    """Return whether an interpolation in a text is of a key with all that is below."""
    return _refers(text, key, "[},]")


def _refers(text: str, key: str, end: str) -> bool:
    """Look for all forms: ``${a.b}``, ``${a[b]}``, ``${oc.select:a.b}`` and with blanks."""
    first, *names = map(re.escape, key.split("."))
    path = first + "".join(rf"(?:\.{name}|\[{name}\])" for name in names)
    return re.search(rf"\$\{{\s*(?:oc\.select:\s*)?{path}\s*{end}", text) is not None


def typed(value: object) -> str:
    """Return a value as one would type it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | ListConfig):
        return "[" + ",".join(map(str, value)) + "]"
    return str(value)


def _key_lines(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        inner = (*path, key.value)
        yield inner, key.start_mark.line
        yield from _key_lines(value, inner)


def _config_files(
    folder: Traversable | None = None, group: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Yield group, option and text of every shipped YAML file."""
    folder = folder or files("lightning_dqn.conf")
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir() and not entry.name.startswith("_") and entry.name != SUITES:
            inner = f"{group}/{entry.name}" if group else entry.name
            yield from _config_files(entry, inner)
        elif entry.name.endswith(".yaml"):
            yield group, entry.name.removesuffix(".yaml"), entry.read_text()

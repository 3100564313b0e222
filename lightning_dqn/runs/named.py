"""What a configuration names that isn't taken unasked: classes, environments, variables, hosts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from lightning_dqn.runs.places import SHARED, is_below, why_not, why_not_trusted

PARTS = ("environment", "data", "module", "callbacks", "logger", "trainer")
"""Nodes that objects are built from."""

_ENVIRONMENTS = ("lightning_dqn", "gymnasium")
"""Modules that an environment's ``module:Name-v0`` may name."""

WRAPPER = re.compile(r".*\bwrappers\[\d+\]")
"""Where a text may be the dotted name of a wrapper, which ``EnvironmentFactory`` imports."""

_INTERPOLATION = re.compile(r"\$\{\s*([^:}]*)(:?)")
_RESOLVERS = ("hydra", "now", "total_env_steps", "total_iterations")
HOST = re.compile(r"[A-Za-z][\w+.-]*://(?:[^/@]*@)?([^/:]+)")
"""An address, and the host in it."""

Covers = Callable[[str], bool]
"""Whether the user trusts what is named so."""


class Untrusted(NamedTuple):
    """Something that is named and not taken unasked.

    Attributes:
        key: where.
        value: as it is written.
        reason: why not.
        name: what would have to be trusted.
    """

    key: str
    value: str
    reason: str
    name: str


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a node by their whole keys, as ``data.sizes[0]``."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from leaves(value, f"{key}[{number}]")
    else:
        yield key, node


def interpolations(node: Any, key: str, covers: Covers) -> Iterator[Untrusted]:
    """Yield the interpolations that do more than refer to another key."""
    for where, value in leaves(node, key):
        for name, colon in _INTERPOLATION.findall(value) if isinstance(value, str) else ():
            is_taken = name in _RESOLVERS if colon else re.fullmatch(r"[\w.\[\]/@]+", name)
            if not is_taken and not covers(name):
                known = name if re.fullmatch(r"[\w.]+", name) else ""
                yield Untrusted(where, value, "expected a value, or ${another.key}", known)


def untrusted(node: Any, key: str, covers: Covers) -> Iterator[Untrusted]:
    """Yield the classes, environments and hosts that are named and not taken."""
    for where, value in leaves(node, key):
        part, name = where.split(".")[0], where.rpartition(".")[2]
        if re.search(r"\._target_\b", where):
            yield from _untrusted_target(where, value, covers)
        elif part not in PARTS or not isinstance(value, str):
            continue
        elif WRAPPER.fullmatch(where) and "." in value:
            yield from _untrusted_name(where, where, value, covers)
        elif name in ("id", "environment") and ":" in value and part != "logger":
            module = value.partition(":")[0]
            if not is_below(module, *_ENVIRONMENTS) and not covers(module):
                yield Untrusted(where, value, f"imports {module}", module.split(".")[0])
        elif (host := HOST.match(value)) and not covers(host[1]):
            yield Untrusted(where, host[0], "a host of the folder's choice", host[1])


def _untrusted_target(key: str, target: Any, covers: Covers) -> Iterator[Untrusted]:
    place, _, inside = key.rpartition("._target_")
    if inside or not isinstance(target, str) or "${" in target:
        reason = "expected the name of a class, written out"
        yield Untrusted(key, str(target), reason, "")
    else:
        yield from _untrusted_name(key, place, target, covers)


def _untrusted_name(key: str, place: str, target: str, covers: Covers) -> Iterator[Untrusted]:
    if reason := why_not(target, place):
        if not covers(target):
            is_shared = target.split(".")[0] in SHARED
            yield Untrusted(key, target, reason, target if is_shared else target.split(".")[0])
        elif reason := why_not_trusted(target, covers):
            yield Untrusted(key, target, reason, reason.removeprefix("it is of "))

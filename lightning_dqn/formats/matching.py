"""Weights from elsewhere into a network: which tensor goes where, and what doesn't fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_dqn.networks.alignment import left_behind, settle
from lightning_dqn.networks.q_network import QNetwork
from lightning_dqn.networks.table import Table


class WrongShape(NamedTuple):
    """A tensor whose place in the network has another shape.

    Attributes:
        source: its name in the file.
        target: its name in the network.
        found: its shape.
        expected: the shape in the network.
    """

    source: str
    target: str
    found: tuple[int, ...]
    expected: tuple[int, ...]


@dataclass(frozen=True)
class ImportReport:
    """What of a file has a place in a network; ``str`` of it is a table.

    Attributes:
        matched: from names in the file to names in the network, where the shapes are equal.
        missing: names in the network that nothing in the file is for.
        unexpected: names in the file that have no place in the network.
        wrong_shape: what has a place of another shape.
    """

    matched: Mapping[str, str]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    wrong_shape: tuple[WrongShape, ...]

    @property
    def is_complete(self) -> bool:
        """Return whether every tensor of the file and of the network has its counterpart."""
        return not (self.missing or self.unexpected or self.wrong_shape)

    def __str__(self) -> str:
        rows = [("matched", *pair) for pair in self.matched.items()]
        rows += [
            ("wrong shape", f"{w.source} {list(w.found)}", f"{w.target} {list(w.expected)}")
            for w in self.wrong_shape
        ]
        rows += [("missing", "", name) for name in self.missing]
        rows += [("unexpected", name, "") for name in self.unexpected]
        rows = [("", "file", "network"), *rows]
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        return "\n".join(f"{a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in rows)


def import_weights(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    key_map: Mapping[str, str] | None = None,
    *,
    partial: bool = False,
) -> ImportReport:
    """Copy tensors into a network: all of them, or none.

    A table whose file doesn't tell which states were ``seen`` counts as learned throughout.

    Args:
        network: it is changed in place.
        tensors: by name, as :func:`lightning_dqn.formats.tensors.read_tensors` returns them.
        key_map: see :func:`match_weights`.
        partial: copy what fits, and leave the rest of the network as it is.

    Raises:
        ValueError: not everything has its counterpart, with the report in the message, or a
            tensor holds a value that isn't finite; the network is as it was then.
    """
    report = match_weights(network, tensors, key_map)
    if not report.matched:
        raise ValueError(f"none of the weights fits the network\n{report}")
    if not (report.is_complete or partial):
        raise ValueError(f"the weights don't fit the network (partial=true takes some)\n{report}")
    own = network.state_dict()
    fitting = {t: _as_type(tensors[s], own[t].dtype, s) for s, t in report.matched.items()}
    if isinstance(network, Table) and "weight" in fitting and "seen" not in fitting:
        # Whoever filled the table doesn't tell which rows are experience: what it brings, all are.
        fitting["seen"] = torch.ones_like(network.seen)
    network.load_state_dict(fitting, strict=not partial)
    settle(left_behind(network, fitting.keys()))
    return report


def match_weights(
    network: nn.Module, tensors: Mapping[str, Tensor], key_map: Mapping[str, str] | None = None
) -> ImportReport:
    """Find the place of each tensor in a network, and change nothing.

    What ``key_map`` names goes where it says, another tensor to the one of its own name, and what
    is left to its position in the chain of layers, see :func:`dfdx_names`.

    Args:
        network: what the tensors are for.
        tensors: by name.
        key_map: from names in the file to names in the network, of tensors or of whole layers:
            ``{"fc1": "torso.0"}`` takes ``fc1.weight`` to ``torso.0.weight``.

    Raises:
        ValueError: ``key_map`` names what isn't there, or two tensors have the same place.
    """
    own = network.state_dict()
    targets = _targets(network, tensors, own, key_map or {})
    _check_targets(targets, own, key_map or {})
    matched, wrong_shape = {}, []
    for source, target in targets.items():
        found, expected = tuple(tensors[source].shape), tuple(own[target].shape)
        if found == expected:
            matched[source] = target
        else:
            wrong_shape.append(WrongShape(source, target, found, expected))
    placed = set(targets.values())
    return ImportReport(
        matched=matched,
        missing=tuple(name for name in own if name not in placed),
        unexpected=tuple(name for name in tensors if name not in targets),
        wrong_shape=tuple(wrong_shape),
    )


def dfdx_names(network: nn.Module) -> dict[str, str]:
    """Return dfdx's name of each tensor of a network, as ``{"torso.1.weight": "0.weight"}``.

    dfdx names the tensors of a tuple of layers by position, as ``nn.Sequential`` does. The torso's
    layers and the head count, a ``Flatten`` before them doesn't.

    Raises:
        ValueError: the network has no such names, and why.
    """
    if isinstance(network, QNetwork):
        chain = [*network.torso.named_children(), ("head", network.head)]
        prefixed = [(f"torso.{name}" if name != "head" else name, m) for name, m in chain]
    elif isinstance(network, nn.Sequential):
        prefixed = list(network.named_children())
    else:
        raise ValueError(f"{type(network).__name__} isn't a chain of layers, as dfdx names them")
    if isinstance(prefixed[0][1], nn.Flatten):
        del prefixed[0]
    names: dict[str, str] = {}
    for position, (name, layer) in enumerate(prefixed):
        if layer.state_dict() and type(layer) is not nn.Linear:
            raise ValueError(
                f"{name} is a {type(layer).__name__}: dfdx's names are known for chains of linear "
                "layers with one value for each action"
            )
        names |= {f"{name}.{key}": f"{position}.{key}" for key in layer.state_dict()}
    return names


def _targets(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    key_map: Mapping[str, str],
) -> dict[str, str]:
    targets = {}
    for name in tensors:
        mapped = _mapped(name, key_map)
        if mapped is not None:
            targets[name] = mapped
        elif name in own:
            targets[name] = name
    try:
        positions = {theirs: ours for ours, theirs in dfdx_names(network).items()}
    except ValueError:
        return targets
    taken = set(targets.values())
    for name in tensors:
        if name not in targets and positions.get(name, name) not in taken | {name}:
            targets[name] = positions[name]
    return targets


def _mapped(name: str, key_map: Mapping[str, str]) -> str | None:
    """Return where the key map's longest fitting entry takes a tensor, None if none fits."""
    for length in range(len(parts := name.split(".")), 0, -1):
        key = ".".join(parts[:length])
        if key in key_map:
            return ".".join(part for part in (key_map[key], *parts[length:]) if part)
    return None


def _check_targets(
    targets: Mapping[str, str], own: Mapping[str, Tensor], key_map: Mapping[str, str]
) -> None:
    for key in key_map:
        if not any(name == key or name.startswith(f"{key}.") for name in targets):
            raise ValueError(f"key_map: the file holds nothing of the name {key}")
    sources: dict[str, str] = {}
    for source, target in targets.items():
        if target not in own:
            raise ValueError(
                f"key_map: {source} goes to {target}, but the network holds {', '.join(own)}"
            )
        if target in sources:
            raise ValueError(f"key_map: {sources[target]} and {source} both go to {target}")
        sources[target] = source


def _as_type(tensor: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    converted = tensor.to(dtype)
    if not torch.isfinite(converted).all():
        raise ValueError(f"{name}: holds a value that isn't finite as {dtype}")
    return converted

"""How a network's output stands for action values, and what its error is: all heads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lightning_dqn.categorical_head import CategoricalHead
from lightning_dqn.head import Head, HeadLoss, ScalarHead
from lightning_dqn.quantile_heads import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)

__all__ = [
    "CategoricalHead",
    "Head",
    "HeadLoss",
    "ImplicitQuantileHead",
    "ProposedQuantileHead",
    "QuantileHead",
    "ScalarHead",
    "head_from_plain",
    "head_to_plain",
]

_HEADS = {
    kind.__name__: kind
    for kind in (
        ScalarHead,
        CategoricalHead,
        QuantileHead,
        ImplicitQuantileHead,
        ProposedQuantileHead,
    )
}


def head_to_plain(head: Head) -> dict[str, Any] | str:
    """Return a head of the package as plain values, one of the user's own as its name."""
    name = type(head).__name__
    if _HEADS.get(name) is not type(head):
        return name
    return {name: dataclasses.asdict(head)}


def head_from_plain(plain: Mapping[str, Any]) -> Head:
    """Make the head that :func:`head_to_plain` described.

    Raises:
        ValueError: no head has that name.
    """
    [(name, arguments)] = plain.items()
    if name not in _HEADS:
        raise ValueError(f"head={name!r}: choose one of {sorted(_HEADS)}")
    return _HEADS[name](**arguments)

"""A table in place of a network: one value for each discrete state and action.

Where states can be counted this is Q-learning as the textbooks have it, under the same fit. As a
network it is the list ``[{"Table": {"initial_value": 0.0}}]``, which
:class:`lightning_dqn.networks.torsos.Tabular` stands for.
Shapes: B batch, S states, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.torsos import Layer, NetworkOptions
from lightning_dqn.system.numbers import finite_number


class Table(nn.Module):
    """Looks the values of a state's actions up.

    Args:
        num_states: S.
        num_actions: A.
        initial_value: of every state and action. Above what can be reached it makes the greedy
            policy try everything once ("optimistic").

    Attributes:
        weight: float[S, A], the table.
        seen: bool[S], the states that were learned from: what ``weight`` says of another is its
            initial value and no experience.
    """

    alone_because: ClassVar[str] = (
        "each of several ranks marks other states as learned from, and none knows those of all"
    )
    seen: Tensor

    def __init__(self, num_states: int, num_actions: int, initial_value: float = 0.0) -> None:
        super().__init__()
        self.initial_value = finite_number("initial_value", initial_value)
        self.weight = nn.Parameter(torch.empty(num_states, num_actions))
        self.register_buffer("seen", torch.empty(num_states, dtype=torch.bool))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew: the initial value everywhere, no state seen."""
        nn.init.constant_(self.weight, self.initial_value)
        self.seen.zero_()

    def forward(self, observation: Tensor) -> Tensor:
        """Return the values of all actions, float[B, A]; with gradients, mark the states as seen.

        Args:
            observation: int64[B].
        """
        if self.training and torch.is_grad_enabled():
            self.seen.index_fill_(0, observation, True)
        return nn.functional.embedding(observation, self.weight)

    @torch.no_grad()
    def unseen(self, observation: np.ndarray | Tensor) -> Tensor:
        """Tell of each state whether it was never learned from, bool[B].

        Args:
            observation: int64[B].
        """
        return ~self.seen[torch.as_tensor(observation).to(self.seen.device)]


class UnseenCount:
    """Counts the decisions that a policy takes in states its table has never learned from.

    An observer of :func:`lightning_dqn.collecting.evaluation.play_episodes`.

    Args:
        table: what the policy acts by.

    Attributes:
        decisions: counted so far.
        unseen: those of them in states never learned from.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.decisions = 0
        self.unseen = 0

    def __call__(self, observation: np.ndarray, decides: np.ndarray) -> None:
        """Count the decisions of one step.

        Args:
            observation: int64[E].
            decides: bool[E], where an episode goes on that counts.
        """
        self.decisions += int(decides.sum())
        self.unseen += int(self.table.unseen(observation[decides]).sum())

    @property
    def share(self) -> float:
        """Return the share of unseen states, 0 before any decision."""
        return self.unseen / max(self.decisions, 1)

    def __str__(self) -> str:
        if not self.unseen:
            return f"all {self.decisions:,} decisions were taken in states learned from"
        return (
            f"in {self.unseen:,} of {self.decisions:,} decisions ({self.share:.1%}) the table had "
            "never learned from the state: its action there is the first legal one, not a learned "
            "one"
        )


def is_table(layers: Sequence[Layer]) -> bool:
    """Tell whether a network is a table.

    Raises:
        ValueError: a table stands among other layers.
    """
    found = any(
        layer == "Table" or (isinstance(layer, Mapping) and "Table" in layer) for layer in layers
    )
    if found and len(layers) > 1:
        raise ValueError("network=Table: a table is a whole network; remove the other layers")
    return found


def build_table(
    spec: EnvironmentSpec, layers: Sequence[Layer], head: Head, options: NetworkOptions
) -> Table:
    """Build the table that ``layers`` asks for.

    Raises:
        ValueError: observations can't be counted, or something is asked for that only networks
            have.
    """
    if spec.num_states is None or spec.frame_stack > 1:
        shape = "x".join(map(str, spec.stacked_shape))
        raise ValueError(
            f"network=Table: a table has a row for each discrete state, but the observations are "
            f"{spec.observation_dtype}[{shape}]; choose a network of layers, such as "
            "module/network=mlp, or an environment whose observation space is Discrete, unstacked"
        )
    if not isinstance(head, ScalarHead):
        raise ValueError(
            f"head={type(head).__name__}: a table holds one value for each action; "
            "choose ScalarHead (module/head=scalar)"
        )
    for name in ("dueling", "noisy", "layer_norm", "head_hidden"):
        if value := getattr(options, name):
            default = getattr(NetworkOptions(), name)
            raise ValueError(f"{name}={value}: a table has no layers; set {name}={default}")
    return Table(spec.num_states, spec.num_actions, **_arguments(layers[0]))


def _arguments(layer: Layer) -> dict[str, Any]:
    arguments = None if isinstance(layer, str) else layer["Table"]
    if arguments is None:
        return {}
    if not isinstance(arguments, Mapping) or set(arguments) - {"initial_value"}:
        raise ValueError(f"network=Table: {arguments!r}: expected {{'initial_value': 0.0}}")
    return {"initial_value": float(arguments.get("initial_value", 0.0))}

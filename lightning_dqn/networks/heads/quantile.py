"""Quantiles of return at fixed, random and learned fractions: QR-DQN, IQN, FQF.

Shapes: B batch, A actions, N outputs per action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dqn import td
from lightning_dqn.networks.heads.head import (
    Head,
    HeadLoss,
    action_layer,
    check_outputs,
    full_precision,
)
from lightning_dqn.networks.layers import (
    ImplicitQuantiles,
    LinearFactory,
    ProposedQuantiles,
    Quantiles,
    quantile_midpoints,
)
from lightning_dqn.system.numbers import keep_plain, whole_number


@dataclass(frozen=True)
class QuantileHead(Head):
    """QR-DQN: quantiles of return, Dabney et al. 2018 (arxiv.org/abs/1710.10044).

    Args:
        num_quantiles: N, at the midpoints of N equal parts.
        huber_threshold: where the quantile Huber error turns linear, in units of return; 0 is
            plain quantile regression.
    """

    num_quantiles: int = 51
    huber_threshold: float = 1.0

    def __post_init__(self) -> None:
        keep_plain(self)
        _check_counts(num_quantiles=self.num_quantiles)
        _check_threshold(self.huber_threshold)

    @property
    def outputs_per_action(self) -> int:
        """Return the number of quantiles."""
        return self.num_quantiles

    def q_values(self, output: Any) -> Tensor:
        """Return the means of the quantiles, weighted by the probability of each."""
        quantiles = self._quantiles(output)
        return (quantiles.values * quantiles.weights.unsqueeze(1)).sum(dim=2)

    def select(self, output: Any, action: Tensor) -> Quantiles:
        """Return the quantiles of the chosen actions, float[B, N]."""
        quantiles = self._quantiles(output)
        at_edges = quantiles.at_edges
        return quantiles._replace(
            values=td.select_action(quantiles.values, action),
            at_edges=None if at_edges is None else td.select_action(at_edges, action),
        )

    def mix(self, output: Any, policy: Tensor) -> Quantiles:
        """Return the mean quantiles under a policy, as Vieillard et al. 2020 do for M-IQN."""
        quantiles = self._quantiles(output)
        values = (policy.unsqueeze(2) * quantiles.values).sum(dim=1)
        return quantiles._replace(values=values, edges=None, at_edges=None)

    def loss(
        self, prediction: Quantiles, reward: Tensor, discount: Tensor, bootstrap: Quantiles
    ) -> HeadLoss:
        """Return the quantile Huber error, and the error of the fractions if they are learned."""
        target = reward.unsqueeze(1) + discount.unsqueeze(1) * bootstrap.values
        error = td.quantile_huber_error(
            prediction.values,
            target,
            prediction.fractions,
            bootstrap.weights,
            self.huber_threshold,
        )
        q_value = (prediction.values * prediction.weights).sum(dim=1)
        td_error = (target * bootstrap.weights).sum(dim=1) - q_value
        loss = error
        if prediction.edges is not None:
            assert prediction.at_edges is not None
            loss = error + td.fraction_error(
                prediction.edges, prediction.at_edges, prediction.values.detach()
            )
        return HeadLoss(loss, q_value, td_error, error)

    def _quantiles(self, output: Any) -> Quantiles:
        """Give a bare tensor [B, A, N] its fractions."""
        if isinstance(output, Quantiles):
            return output._replace(values=full_precision(output.values))
        if type(self) is not QuantileHead:
            raise ValueError(
                f"{type(self).__name__} reads Quantiles (lightning_dqn.networks.layers), with the "
                "fractions that they are at, and the network gives a tensor; a tensor (B, A, N) is "
                "for QuantileHead()"
            )
        check_outputs(output, self.num_quantiles)
        values = full_precision(output)
        fractions = quantile_midpoints(self.num_quantiles).to(values.device, values.dtype)
        fractions = fractions.expand(len(values), -1)
        return Quantiles(values, fractions, torch.full_like(fractions, 1 / self.num_quantiles))


@dataclass(frozen=True)
class ImplicitQuantileHead(QuantileHead):
    """IQN: quantiles at random fractions, Dabney et al. 2018 (arxiv.org/abs/1806.06923).

    Args:
        num_quantiles: N, fractions drawn for each minibatch.
        huber_threshold: as in :class:`QuantileHead`.
        num_evaluation_quantiles: midpoints that acting and the target network average over; the
            online network, where it chooses the next action, averages over those it drew.
        num_cosines: cosines in the embedding of a fraction.
    """

    num_quantiles: int = 32
    num_evaluation_quantiles: int = 32
    num_cosines: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_counts(
            num_evaluation_quantiles=self.num_evaluation_quantiles, num_cosines=self.num_cosines
        )

    def decoder(
        self, features: int, num_actions: int, *, dueling: bool, linear: LinearFactory = nn.Linear
    ) -> nn.Module:
        """Return the layers that give quantiles at fractions."""
        return ImplicitQuantiles(
            features,
            action_layer(features, num_actions, 1, dueling, linear),
            num_samples=self.num_quantiles,
            num_midpoints=self.num_evaluation_quantiles,
            num_cosines=self.num_cosines,
        )


@dataclass(frozen=True)
class ProposedQuantileHead(QuantileHead):
    """FQF: quantiles at learned fractions, Yang et al. 2019 (arxiv.org/abs/1911.02140).

    Args:
        num_quantiles: N, proposed fractions.
        huber_threshold: as in :class:`QuantileHead`.
        num_cosines: cosines in the embedding of a fraction.
        proposal_scale: how fast fractions move relative to the values, since one optimizer moves
            both; 0 leaves them at their start, near equal parts.
    """

    num_quantiles: int = 32
    num_cosines: int = 64
    proposal_scale: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_counts(num_cosines=self.num_cosines)
        if not self.proposal_scale >= 0:
            raise ValueError(f"proposal_scale={self.proposal_scale}: at least 0")

    def decoder(
        self, features: int, num_actions: int, *, dueling: bool, linear: LinearFactory = nn.Linear
    ) -> nn.Module:
        """Return the layers that propose fractions and give quantiles there."""
        return ProposedQuantiles(
            features,
            action_layer(features, num_actions, 1, dueling, linear),
            num_quantiles=self.num_quantiles,
            num_cosines=self.num_cosines,
            proposal_scale=self.proposal_scale,
        )


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        whole_number(name, count, least=1)


def _check_threshold(threshold: float) -> None:
    if not threshold >= 0:
        raise ValueError(f"huber_threshold={threshold}: at least 0")

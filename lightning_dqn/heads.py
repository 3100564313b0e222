"""How a network's output stands for action values, and what its error is.

A head makes the network's last layers and reads their output: it holds settings, never weights.
Shapes: B batch, A actions, N outputs per action.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lightning_dqn import td
from lightning_dqn.layers import (
    DuelingHead,
    ImplicitQuantiles,
    LinearFactory,
    ProposedQuantiles,
    Quantiles,
    quantile_midpoints,
)


class HeadLoss(NamedTuple):
    """What :meth:`Head.loss` returns.

    Attributes:
        loss: float[B], what is minimised.
        q_value: float[B], the predicted expected return.
        td_error: float[B], the target's expected return minus ``q_value``.
        priority: float[B], how much there is to learn from each transition, at least 0.
    """

    loss: Tensor
    q_value: Tensor
    td_error: Tensor
    priority: Tensor


class Head(ABC):
    """What the learner asks of a head; the output of a network is a tensor unless it says else."""

    @property
    @abstractmethod
    def outputs_per_action(self) -> int:
        """Return N, how many outputs of the network belong to one action."""

    @abstractmethod
    def q_values(self, output: Any) -> Tensor:
        """Return the action values float[B, A] that the network's output stands for."""

    @abstractmethod
    def loss(self, prediction: Any, reward: Tensor, discount: Tensor, bootstrap: Any) -> HeadLoss:
        """Return the error of a prediction against r + discount * bootstrap.

        Args:
            prediction: the online network's output for the chosen action, see :meth:`select`.
            reward: float[B].
            discount: float[B].
            bootstrap: the target network's output for the next state's value, see :meth:`mix`.
        """

    def decoder(
        self, features: int, num_actions: int, *, dueling: bool, linear: LinearFactory = nn.Linear
    ) -> nn.Module:
        """Return the layers from features float[B, F] to the output.

        Args:
            features: F.
            num_actions: A.
            dueling: split into value and advantage.
            linear: makes the linear layers.
        """
        layer = _action_layer(features, num_actions, self.outputs_per_action, dueling, linear)
        return nn.Sequential(layer, nn.Unflatten(1, (num_actions, self.outputs_per_action)))

    def select(self, output: Any, action: Tensor) -> Any:
        """Return the output for the chosen actions, int64[B]: the axis A goes."""
        return td.select_action(output, action)

    def distribution(self, output: Any) -> Any:
        """Return the output in the form in which states' values average linearly."""
        return output

    def mix(self, output: Any, policy: Tensor) -> Any:
        """Return what the next state is worth under a policy: the axis A is averaged.

        Args:
            output: of the network.
            policy: float[B, A], probabilities of the actions.
        """
        values = self.distribution(output)
        weights = policy if values.ndim == 2 else policy.unsqueeze(2)
        return (weights * values).sum(dim=1)


@dataclass(frozen=True)
class ScalarHead(Head):
    """One output per action: its expected return.

    Args:
        error: ``"mse"``, or ``"huber"``, whose gradient is the TD error clipped to
            +-``huber_threshold`` (Mnih et al. 2015).
        huber_threshold: where the Huber error turns from square to linear, in units of return.
    """

    outputs_per_action: ClassVar[int] = 1

    error: Literal["huber", "mse"] = "huber"
    huber_threshold: float = 1.0

    def __post_init__(self) -> None:
        if self.error not in ("huber", "mse"):
            raise ValueError(f"error={self.error!r}: choose 'huber' or 'mse'")
        if self.huber_threshold <= 0:
            raise ValueError(f"huber_threshold={self.huber_threshold}: must be above 0")

    def decoder(
        self, features: int, num_actions: int, *, dueling: bool, linear: LinearFactory = nn.Linear
    ) -> nn.Module:
        """Return the layer from features to float[B, A], without an axis N."""
        return _action_layer(features, num_actions, 1, dueling, linear)

    def q_values(self, output: Tensor) -> Tensor:
        """Return the output itself, float[B, A]."""
        return output

    def loss(
        self, prediction: Tensor, reward: Tensor, discount: Tensor, bootstrap: Tensor
    ) -> HeadLoss:
        """Return the error of ``prediction`` against r + discount * bootstrap, float[B]."""
        td_error = td.td_target(reward, discount, bootstrap) - prediction
        if self.error == "mse":
            loss = td.squared_error(td_error)
        else:
            loss = td.huber_error(td_error, self.huber_threshold)
        return HeadLoss(loss, prediction, td_error, td_error.abs())


@dataclass(frozen=True)
class CategoricalHead(Head):
    """C51: probabilities of fixed returns, Bellemare et al. 2017 (arxiv.org/abs/1707.06887).

    The loss is the Kullback-Leibler divergence from the projected target; its gradient is that
    of the paper's cross-entropy, and it is 0 when there is nothing left to learn.

    Args:
        num_atoms: N, returns between ``v_min`` and ``v_max``.
        v_min: the lowest return, discounted.
        v_max: the highest.
    """

    num_atoms: int = 51
    v_min: float = -100.0
    v_max: float = 100.0

    def __post_init__(self) -> None:
        if self.num_atoms < 2:
            raise ValueError(f"num_atoms={self.num_atoms}: at least 2")
        if not self.v_min < self.v_max:
            raise ValueError(f"v_min={self.v_min}: must lie below v_max={self.v_max}")

    @property
    def outputs_per_action(self) -> int:
        """Return the number of atoms."""
        return self.num_atoms

    def support(self, like: Tensor) -> Tensor:
        """Return the atoms, float[N], of the type and device of ``like``."""
        return torch.linspace(
            self.v_min, self.v_max, self.num_atoms, dtype=like.dtype, device=like.device
        )

    def distribution(self, output: Tensor) -> Tensor:
        """Return the probabilities of the atoms, float[B, A, N].

        Raises:
            ValueError: the output has another number of atoms.
        """
        _check_outputs(output, self.num_atoms)
        return _full_precision(output).softmax(dim=-1)

    def q_values(self, output: Tensor) -> Tensor:
        """Return the expected returns."""
        return self._mean(self.distribution(output))

    def loss(
        self, prediction: Tensor, reward: Tensor, discount: Tensor, bootstrap: Tensor
    ) -> HeadLoss:
        """Return the divergence of the prediction from the projected target.

        Args:
            prediction: float[B, N], logits.
            reward: float[B].
            discount: float[B].
            bootstrap: float[B, N], probabilities.
        """
        support = self.support(bootstrap)
        target = td.categorical_projection(bootstrap, reward, discount, support)
        log_prediction = _full_precision(prediction).log_softmax(dim=1)
        divergence = (torch.special.xlogy(target, target) - target * log_prediction).sum(dim=1)
        q_value = self._mean(log_prediction.exp())
        td_error = self._mean(target) - q_value
        return HeadLoss(divergence, q_value, td_error, divergence.clamp_min(0))

    def _mean(self, probabilities: Tensor) -> Tensor:
        return (probabilities * self.support(probabilities)).sum(dim=-1)


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
        _check_counts(num_quantiles=self.num_quantiles)
        _check_threshold(self.huber_threshold)

    @property
    def outputs_per_action(self) -> int:
        """Return the number of quantiles."""
        return self.num_quantiles

    def q_values(self, output: Any) -> Tensor:
        """Return the means of the quantiles, weighted with what each stands for."""
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
        """Give a bare tensor [B, A, N] the fractions that it stands for."""
        if isinstance(output, Quantiles):
            return output._replace(values=_full_precision(output.values))
        _check_outputs(output, self.num_quantiles)
        values = _full_precision(output)
        fractions = quantile_midpoints(self.num_quantiles).to(values.device, values.dtype)
        fractions = fractions.expand(len(values), -1)
        return Quantiles(values, fractions, torch.full_like(fractions, 1 / self.num_quantiles))


@dataclass(frozen=True)
class ImplicitQuantileHead(QuantileHead):
    """IQN: quantiles at random fractions, Dabney et al. 2018 (arxiv.org/abs/1806.06923).

    Args:
        num_quantiles: N, fractions drawn for each minibatch.
        huber_threshold: as in :class:`QuantileHead`.
        num_evaluation_quantiles: midpoints that acting and bootstrapping average over.
        num_cosines: size of the fractions' embedding.
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
            _action_layer(features, num_actions, 1, dueling, linear),
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
        num_cosines: size of the fractions' embedding.
        proposal_scale: how fast fractions move beside the values, as one optimizer moves both;
            0 leaves them where they begin, near equal parts.
    """

    num_quantiles: int = 32
    num_cosines: int = 64
    proposal_scale: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_counts(num_cosines=self.num_cosines)
        if self.proposal_scale < 0:
            raise ValueError(f"proposal_scale={self.proposal_scale}: at least 0")

    def decoder(
        self, features: int, num_actions: int, *, dueling: bool, linear: LinearFactory = nn.Linear
    ) -> nn.Module:
        """Return the layers that propose fractions and give quantiles there."""
        return ProposedQuantiles(
            features,
            _action_layer(features, num_actions, 1, dueling, linear),
            num_quantiles=self.num_quantiles,
            num_cosines=self.num_cosines,
            proposal_scale=self.proposal_scale,
        )


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
    """Return a head of this file as plain values, one of the user's own as its name."""
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


def _action_layer(
    features: int, num_actions: int, outputs_per_action: int, dueling: bool, linear: LinearFactory
) -> nn.Module:
    if dueling:
        return DuelingHead(features, num_actions, outputs_per_action, linear)
    return linear(features, num_actions * outputs_per_action)


def _full_precision(output: Tensor) -> Tensor:
    """Return at least float32: half precision tells neither atoms nor fractions apart."""
    return output if output.dtype == torch.float64 else output.float()


def _check_outputs(output: Tensor, outputs_per_action: int) -> None:
    """Refuse the output of a user's own network that would broadcast without a word."""
    if output.ndim != 3 or output.shape[2] != outputs_per_action:
        raise ValueError(
            f"the output has the shape {tuple(output.shape)}; the head reads "
            f"(B, A, {outputs_per_action})"
        )


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}={count}: at least 1")


def _check_threshold(threshold: float) -> None:
    if threshold < 0:
        raise ValueError(f"huber_threshold={threshold}: at least 0")

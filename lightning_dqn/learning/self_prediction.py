"""Self-prediction beside the value loss: what is minimised, and who predicts what.

Shapes: B batch, K steps to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.latents import Latents
from lightning_dqn.networks.self_prediction import (
    SelfPrediction,
    renormalised,
    self_prediction_error,
)
from lightning_dqn.system.numbers import finite_number, keep_plain
from lightning_dqn.transitions import Transitions


@dataclass(frozen=True, kw_only=True)
class SelfPredictionLoss:
    """The network predicts its own latents, Schwarzer et al. 2021 (arxiv.org/abs/2007.05929).

    Added to each transition's loss, before its importance weight, is

        weight * 1/K sum over k of |p_k - z_k|^2 = weight * 2/K sum over k of (1 - cos(p_k, z_k))

    with unit vectors p_k, predicted, and z_k, of the target network; steps after the episode's end
    count 0. This is the loss of both repositories (mila-iqia/spr, google-research/bbf), whose
    weight of 5 with K = 5 is the paper's lambda of 2 of a sum. K is the data's
    (``ReplayConfig(sequence_length=5)``).

    Args:
        weight: of this loss, added to the value loss.
    """

    weight: float = 5.0

    def __post_init__(self) -> None:
        keep_plain(self)
        if not finite_number("weight", self.weight) > 0:
            raise ValueError(f"weight={self.weight}: above 0; self_prediction=None is without it")

    @classmethod
    def of(
        cls, self_prediction: SelfPredictionLoss | Mapping[str, Any] | None
    ) -> SelfPredictionLoss | None:
        """Return the loss, whatever way it is given, None for none or an empty node.

        Raises:
            ValueError: it is no such loss.
        """
        if isinstance(self_prediction, cls):
            return self_prediction
        if self_prediction is None or self_prediction == {}:
            return None
        if not isinstance(self_prediction, Mapping):
            raise ValueError(
                f"self_prediction={self_prediction!r}: expected a SelfPredictionLoss, or None"
            )
        return cls(**self_prediction)

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, which :meth:`of` takes back."""
        return asdict(self)

    def check_fit(self, data: Any) -> None:
        """Refuse data without the steps to come.

        Args:
            data: the data module of a fit.

        Raises:
            ValueError: naming both keys.
        """
        length = getattr(getattr(data, "replay_config", None), "sequence_length", None)
        if length is None:
            raise ValueError(
                "data.replay.sequence_length=null: module/self_prediction predicts the steps to "
                "come, which minibatches don't carry; set data.replay.sequence_length=5, or "
                "module/self_prediction=none"
            )


class SelfPredictor:
    """Predicts by the online network and a model, and judges by the target network.

    Args:
        loss: what it counts for.
        online: the network that learns.
        slow: the one that gives what is to be predicted; the online one where there is no other.
        spec: of the observations.

    Attributes:
        loss: what it counts for.
        model: what learns beside the online network.

    Raises:
        ValueError: the network has no latents to predict.
    """

    def __init__(
        self,
        loss: SelfPredictionLoss,
        *,
        online: nn.Module,
        slow: nn.Module,
        spec: EnvironmentSpec,
    ) -> None:
        self.loss = loss
        self.online, self.slow = Latents(online, spec), Latents(slow, spec)
        channels, projected = self.online.shape[0], self.online.projected
        self.model = SelfPrediction(channels, spec.num_actions, projected)

    @classmethod
    def of(
        cls,
        self_prediction: SelfPredictionLoss | Mapping[str, Any] | None,
        *,
        online: nn.Module,
        slow: nn.Module,
        spec: EnvironmentSpec,
    ) -> SelfPredictor | None:
        """Return who predicts for a loss, None for none.

        Args:
            self_prediction: whatever :meth:`SelfPredictionLoss.of` takes.
            online: as of the class.
            slow: likewise.
            spec: likewise.

        Raises:
            ValueError: it is no such loss, or the network has no latents to predict.
        """
        loss = SelfPredictionLoss.of(self_prediction)
        return None if loss is None else cls(loss, online=online, slow=slow, spec=spec)

    def output(self, observation: Tensor) -> tuple[Any, Tensor]:
        """Return the online network's output, which the head reads, and its latents.

        Args:
            observation: [B, ...].
        """
        latent = self.online.encode(observation)
        return self.online.values(latent), latent

    def error(self, batch: Transitions, latent: Tensor) -> Tensor:
        """Return the mean over K steps of the squared distances of unit vectors, float[B].

        Args:
            batch: columns [B, ...], with the steps to come.
            latent: float[B, C, H, W], of the online network for ``batch.observation``.

        Raises:
            ValueError: the batch carries no steps to come.
        """
        action, within = batch.sequence_action, batch.sequence_within
        if batch.sequence_observation is None or action is None or within is None:
            raise ValueError(
                "self_prediction: the minibatch carries no steps to come; set "
                "ReplayConfig(sequence_length=5)"
            )
        predicted = self.model(latent, action, self.online.project)
        with torch.no_grad():
            to_come = renormalised(self.slow.encode(batch.sequence_observation.flatten(0, 1)))
            projected = self.slow.project(to_come).unflatten(0, action.shape)
        return self_prediction_error(predicted, projected, within) * (2 / action.shape[1])

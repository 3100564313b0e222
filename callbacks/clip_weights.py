"""Weights that are kept within a bound."""

from __future__ import annotations

from typing import Any, Unpack

from torch import Tensor

from lightning_dqn.callbacks.model_operation import ModelOperation
from lightning_dqn.callbacks.period import PeriodArguments
from lightning_dqn.dqn import DQN
from lightning_dqn.networks.alignment import Aligned, align, without_normalisations
from lightning_dqn.networks.weight_bounds import clip, clip_bound, matrices, spectral_norms
from lightning_dqn.system.numbers import whole_number

WARM_UP_ITERATIONS = 100
"""Power iterations before the first update."""


class ClipWeights(ModelOperation):
    """Projects the Q-network's weights back into a bound after updates.

    By value as in Arjovsky et al. 2017 (arxiv.org/abs/1701.07875); by the largest singular value
    as in Gouk et al. 2021 (arxiv.org/abs/1804.04368), which bounds the Lipschitz constant of a
    linear layer. That value is estimated from below, by power iteration from a vector kept for
    each weight, Miyato et al. 2018 (arxiv.org/abs/1802.05957); if weights change fast it lags a
    few percent behind. Convolutions count as matrices [out, in * height * width], as there.

    Args:
        max_value: every weight is clamped to [-max_value, max_value].
        max_norm: every tensor with a larger L2 norm is scaled down to it.
        max_spectral_norm: every matrix with a larger singular value is scaled down; vectors such
            as biases are left alone. Give exactly one of the three.
        include: a regular expression searched in the names of weights, as ``torso.0.weight``;
            None takes all but the gains and biases of normalisations, which lie around 1.
        exclude: a regular expression; weights in whose names it is found are left alone.
        power_iterations: per projection, for ``max_spectral_norm``; 1 in the paper.
        period: see :class:`lightning_dqn.callbacks.ModelOperation`; by default every update.
    """

    def __init__(
        self,
        *,
        max_value: float | None = None,
        max_norm: float | None = None,
        max_spectral_norm: float | None = None,
        include: str | None = None,
        exclude: str | None = None,
        power_iterations: int = 2,
        **period: Unpack[PeriodArguments],
    ) -> None:
        self.bound = clip_bound(max_value, max_norm, max_spectral_norm)
        super().__init__(**period)
        self.power_iterations = whole_number("power_iterations", power_iterations, least=1)
        self.include = include
        self.exclude = exclude
        self._weights: Aligned | None = None
        self._vectors: list[Tensor] = []

    @property
    def state_key(self) -> str:
        """Key of this callback's state in a checkpoint, one for each choice of weights."""
        [name] = self.bound
        return self._generate_state_key(bound=name, include=self.include, exclude=self.exclude)

    def state_dict(self) -> dict[str, Any]:
        """Return the vectors of the power iteration, if there are any."""
        return {"vectors": self._vectors} if self._vectors else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self._vectors = state_dict["vectors"]

    def join(self, module: DQN) -> None:
        """Choose the weights, and start the power iteration unless a checkpoint restored it.

        Raises:
            ValueError: none is chosen.
        """
        chosen = align(module.q_network, include=self.include, exclude=self.exclude, buffers="skip")
        self._weights = without_normalisations(chosen) if self.include is None else chosen
        if "max_spectral_norm" not in self.bound:
            return
        found = matrices(self._weights.tensors[0])
        if not found:
            raise ValueError(
                f"include={self.include!r}, exclude={self.exclude!r}: there is no matrix among the "
                "weights"
            )
        if module.updates > 0 and list(map(len, self._vectors)) == list(map(len, found)):
            self._vectors = [vector.to(module.device) for vector in self._vectors]
            return
        _, self._vectors = spectral_norms(self._weights, iterations=WARM_UP_ITERATIONS)

    def operate(self, module: DQN) -> None:
        """Clip."""
        assert self._weights is not None
        norms = None
        if "max_spectral_norm" in self.bound:
            norms, self._vectors = spectral_norms(
                self._weights, vectors=self._vectors, iterations=self.power_iterations
            )
        clip(self._weights, **self.bound, norms=norms)

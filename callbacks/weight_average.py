"""The running mean of the Q-network's weights: average <- average + (online - average) / n."""

from __future__ import annotations

from typing import ClassVar, Unpack

import pytorch_lightning as pl

from lightning_dqn.callbacks.learner import dqn_of
from lightning_dqn.callbacks.model_operation import CountedOperation
from lightning_dqn.callbacks.period import PeriodArguments
from lightning_dqn.dqn import DQN
from lightning_dqn.networks import operations
from lightning_dqn.networks.alignment import Aligned, BufferPolicy, align


class WeightAverage(CountedOperation):
    """Keeps the equal-weight mean of all snapshots of the Q-network since ``start``.

    Stochastic weight averaging, Izmailov et al. 2018 (arxiv.org/abs/1803.05407).
    :class:`lightning_dqn.callbacks.EMATargetNetwork` forgets the past at a fixed rate; here the
    n-th snapshot has the weight 1/n. Until the first one the Q-network itself acts in evaluation.

    Args:
        buffers: what happens to buffers, see :func:`lightning_dqn.networks.operations.align`.
        network: name of the copy that holds the mean; made if the module doesn't have it yet.
        evaluate: let it act in evaluation and be exported, from the first snapshot on.
        period: see :class:`lightning_dqn.callbacks.ModelOperation`; by default every 1,000 updates.
    """

    default_period: ClassVar[int] = 1000

    def __init__(
        self,
        *,
        buffers: BufferPolicy = "copy",
        network: str = "average_network",
        evaluate: bool = True,
        **period: Unpack[PeriodArguments],
    ) -> None:
        super().__init__(**period)
        self.buffers = buffers
        self.network = network
        self.evaluate = evaluate
        self._aligned: Aligned | None = None

    @property
    def state_key(self) -> str:
        """Key of this callback's state in a checkpoint, one for each network."""
        return self._generate_state_key(network=self.network)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the copy if the module doesn't have it."""
        dqn_of(self, pl_module).agent.add_network(self.network)

    def join(self, module: DQN) -> None:
        """Put the copy beside the online network, which acts until there is a snapshot."""
        super().join(module)
        if self.evaluate and self.times_acted == 0:
            module.agent.evaluation_network = "q_network"
        self._aligned = align(
            module.agent.get_submodule(self.network), module.q_network, buffers=self.buffers
        )

    def act(self, module: DQN) -> None:
        """Add a snapshot to the mean."""
        assert self._aligned is not None
        operations.lerp(self._aligned, weight=1 / (self.times_acted + 1))
        if self.evaluate:
            module.agent.evaluation_network = self.network

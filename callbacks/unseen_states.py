"""Counts decisions that a table takes in states it has never learned from."""

from __future__ import annotations

from collections.abc import Iterator

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.callbacks.learner import dqn_of
from lightning_dqn.dqn import DQN
from lightning_dqn.networks.table import Table, UnseenCount


class UnseenStates(pl.Callback):
    """Logs the share of evaluation's decisions taken in states never learned from.

    A table knows nothing about such a state: its values are the initial ones, and the action is
    the first legal one. ``eval/unseen_states`` and ``test/unseen_states`` are that share; a test
    with such decisions warns. Does nothing if the network isn't a table.
    """

    def __init__(self) -> None:
        self._count: UnseenCount | None = None

    def unread(self, trainer: pl.Trainer, module: DQN) -> Iterator[tuple[str, str]]:
        """Yield what nothing reads in a run, see :meth:`ModelOperation.unread`."""
        if _acting_table(module) is None:
            yield "", "the network is no table"

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count."""
        table = _acting_table(dqn_of(self, pl_module))
        if table is not None:
            self._count = UnseenCount(table)
            trainer.datamodule.observers.append(self._count)  # type: ignore[attr-defined]

    on_test_start = on_validation_start

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the share."""
        if self._count is not None and not trainer.sanity_checking:
            pl_module.log("eval/unseen_states", self._count.share)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the share, and warn if there is one."""
        if self._count is not None:
            pl_module.log("test/unseen_states", self._count.share)
            if self._count.unseen:
                rank_zero_warn(str(self._count))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look away."""
        if self._count is not None:
            trainer.datamodule.observers.remove(self._count)  # type: ignore[attr-defined]
            self._count = None

    on_test_end = on_validation_end

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Look away."""
        self.on_validation_end(trainer, pl_module)


def _acting_table(module: DQN) -> Table | None:
    network = module.agent.get_submodule(module.agent.evaluation_network)
    return network if isinstance(network, Table) else None

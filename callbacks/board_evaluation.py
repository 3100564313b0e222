"""Base of callbacks that measure the player of a board game after each evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from gymnasium.vector import VectorEnv

from lightning_dqn.callbacks.learner import dqn_of
from lightning_dqn.callbacks.period import follows_evaluation
from lightning_dqn.dqn import DQN
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.games.environment import BoardGameVectorEnv
from lightning_dqn.games.opponents.policy import check_plays
from lightning_dqn.reporting.telling import tell_values
from lightning_dqn.system.numbers import whole_number


class BoardEvaluation(pl.Callback, ABC):
    """Measures the greedy policy of an agent of a board game after validation and test.

    A subclass prepares in :meth:`prepare` and measures in :meth:`measure`.

    Args:
        every_n_epochs: measure after the validations of every n-th epoch of a fit.

    Attributes:
        environment: one like those of training.
    """

    environment: BoardGameVectorEnv

    def __init__(self, *, every_n_epochs: int = 1) -> None:
        self.every_n_epochs = whole_number("every_n_epochs", every_n_epochs, least=1)

    @abstractmethod
    def measure(self, trainer: pl.Trainer, module: DQN) -> Mapping[str, float]:
        """Return what is logged, by key without ``eval/`` or ``test/``."""

    def prepare(self, trainer: pl.Trainer, module: DQN, stage: str) -> None:
        """Prepare; called once per fit or test, once ``environment`` is set."""

    def seed_from(self, trainer: pl.Trainer, seed: int | None) -> int:
        """Return ``seed``, or the data module's where it is None."""
        data: Any = getattr(trainer, "datamodule", None)
        return data.seed if seed is None else seed

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the game, and refuse a module that doesn't play it."""
        module = dqn_of(self, pl_module)
        self.environment = self._environment_of(trainer)
        check_plays(module.spec, self.environment.game, "the module")
        self.prepare(trainer, module, stage)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log ``eval/``."""
        if follows_evaluation(trainer, self.every_n_epochs):
            self._tell(trainer, pl_module, "eval")

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log ``test/``."""
        self._tell(trainer, pl_module, "test")

    def _tell(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        row = self.measure(trainer, dqn_of(self, pl_module))
        tell_values(pl_module, {f"{stage}/{name}": value for name, value in row.items()})

    def _environment_of(self, trainer: pl.Trainer) -> BoardGameVectorEnv:
        data: Any = getattr(trainer, "datamodule", None)
        factory = getattr(data, "environment", None)
        name = type(self).__name__
        if not isinstance(factory, EnvironmentFactory):
            raise ValueError(f"{name} needs a ReplayDataModule that plays a board game")
        is_given = isinstance(factory.id, VectorEnv)
        environment = factory.make(None if is_given else 1).unwrapped
        if not is_given:
            environment.close()
        if not isinstance(environment, BoardGameVectorEnv):
            raise ValueError(f"{name}: {factory.name} isn't a board game of lightning_dqn.games")
        return environment

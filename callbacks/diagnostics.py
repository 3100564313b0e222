"""Logs diagnostics of values, exploration, replay and networks while a DQN learns."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from lightning_dqn.callbacks.learner import dqn_of
from lightning_dqn.diagnostics.evaluated import EvaluatedStates
from lightning_dqn.diagnostics.exploration import exploration_diagnostics
from lightning_dqn.diagnostics.network import network_diagnostics
from lightning_dqn.diagnostics.percentiles import percentiles
from lightning_dqn.diagnostics.reading import as_row
from lightning_dqn.diagnostics.replay import replay_diagnostics
from lightning_dqn.diagnostics.values import value_diagnostics
from lightning_dqn.dqn import DQN
from lightning_dqn.networks.q_network import QNetwork
from lightning_dqn.networks.units import Units, find_units
from lightning_dqn.reporting.telling import tell_look, tell_values
from lightning_dqn.system.numbers import whole_number
from lightning_dqn.transitions import Iteration

OF_RETURNS = (0, 25, 50, 75, 100)
"""Percentiles of evaluation returns: from the worst episode to the best."""


class Diagnostics(pl.Callback):
    """Logs diagnostics of values, exploration, replay and networks, and more about evaluations.

    The glossary describes the keys and the values of a healthy run. It reads the newest iteration
    and its last minibatch and changes nothing: what is learned is the same bit for bit. What
    doesn't apply, such as the age of transitions without replay, is left out.

    Args:
        every_n_env_steps: measure after the first iteration at or past every multiple of it.
        values: the networks' values of a minibatch, and in evaluations how true they came, unless
            only one of training and evaluation is self-play.
        exploration: which actions were taken.
        replay: what was learned from.
        network: norms of weights and gradients, distance to the target network, dormant units.
        evaluation: percentiles of the returns of evaluation episodes.
    """

    def __init__(
        self,
        *,
        every_n_env_steps: int = 5_000,
        values: bool = True,
        exploration: bool = True,
        replay: bool = True,
        network: bool = True,
        evaluation: bool = True,
    ) -> None:
        self.every_n_env_steps = whole_number("every_n_env_steps", every_n_env_steps, least=1)
        self.values = values
        self.exploration = exploration
        self.replay = replay
        self.network = network
        self.evaluation = evaluation
        self._units: list[Units] | None = None
        self._evaluated: EvaluatedStates | None = None

    @property
    def measured(self) -> list[str]:
        """How the keys begin that come every ``every_n_env_steps``."""
        kinds = ("values", "exploration", "replay", "network")
        return [f"{kind}/" for kind in kinds if getattr(self, kind)]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look for the network's units anew when they are next counted."""
        dqn_of(self, pl_module)
        self._units = None

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Iteration,
        batch_idx: int,
    ) -> None:
        """Look and tell, if a period is over."""
        before = batch.env_steps - batch.new_env_steps
        if batch.env_steps // self.every_n_env_steps == before // self.every_n_env_steps:
            return
        module = dqn_of(self, pl_module)
        row = as_row(self._look(trainer, module, batch, outputs["priority"]))
        if row:
            tell_look(module, {**row, "time/env_steps": module.env_steps})

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to note what the policy meets."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if self.values and hasattr(data, "step_observers") and _steps_are_alike(data):
            self._evaluated = EvaluatedStates()
            data.observers.append(self._evaluated.before_step)
            data.step_observers.append(self._evaluated.after_step)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell of the episodes."""
        if trainer.sanity_checking:
            return
        module = dqn_of(self, pl_module)
        row: dict[str, float] = {}
        if self.evaluation:
            returns = module.report.evaluation_return.values
            row |= as_row(percentiles("eval/return", returns, OF_RETURNS, least=1))
        if self._evaluated is not None:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            reading = data.replay_config
            gamma = reading.gamma_at(module.env_steps)
            found = self._evaluated.overestimation(module.agent, gamma, reading.reward_clip)
            row |= {f"eval/{name}": value for name, value in found.items()}
        tell_values(module, row)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look away."""
        if self._evaluated is not None:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            data.observers.remove(self._evaluated.before_step)
            data.step_observers.remove(self._evaluated.after_step)
            self._evaluated = None

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Look away."""
        self.on_validation_end(trainer, pl_module)

    def _look(
        self, trainer: pl.Trainer, module: DQN, iteration: Iteration, priority: Tensor
    ) -> dict[str, Tensor | float]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        assert module.minibatch is not None
        found: dict[str, Tensor | float] = {}
        if self.values:
            found |= value_diagnostics(module, module.minibatch)
        if self.exploration:
            found |= exploration_diagnostics(data.replay)
        if self.replay:
            found |= replay_diagnostics(data.sampler, iteration, priority)
        if self.network:
            observation = module.minibatch.observation
            found |= network_diagnostics(module, observation, self._known_units(module))
        return found

    def _known_units(self, module: DQN) -> list[Units]:
        if self._units is None:
            self._units = []
            if isinstance(module.q_network, QNetwork):
                example = module.spec.example_observations(1).to(module.device)
                self._units, _ = find_units(module.q_network, example)
        return self._units


def _steps_are_alike(data: Any) -> bool:
    """Tell whether a step is in evaluation what it is in training.

    A move in the one and a move with its answer in the other are discounted otherwise.
    """
    training, evaluation = data.environment.spec, data.evaluation_environment.spec
    return bool(training.zero_sum_turns == evaluation.zero_sum_turns)

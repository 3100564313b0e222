"""Base of callbacks that act on whole networks after updates: how they join, and when they act."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Unpack

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.callbacks.learner import dqn_of
from lightning_dqn.callbacks.period import Period, PeriodArguments
from lightning_dqn.dqn import DQN
from lightning_dqn.learning.run_length import iterations_of


class ModelOperation(pl.Callback, ABC):
    """Acts on the module's networks after each update at which a period ends.

    A subclass acts in :meth:`operate` and prepares in :meth:`join`. Several operations act in the
    order of the Trainer's callbacks, each on the result of the one before.

    Args:
        period: when it acts, see :class:`lightning_dqn.callbacks.period.PeriodArguments`:
            ``every_n_updates`` or ``every_n_env_steps``, ``start`` and ``until``.
    """

    logs_metrics: ClassVar[bool] = False
    default_period: ClassVar[int] = 1

    def __init__(self, **period: Unpack[PeriodArguments]) -> None:
        if unknown := [name for name in period if name not in PeriodArguments.__annotations__]:
            raise TypeError(
                f"{type(self).__name__}: has no argument {unknown[0]!r}; its period takes "
                f"{', '.join(PeriodArguments.__annotations__)}"
            )
        self.period = Period.of(period, default=self.default_period)
        self._periods_done = 0

    @abstractmethod
    def operate(self, module: DQN) -> None:
        """Change the networks; called when a period ends."""

    def applies_to(self, module: DQN) -> bool:
        """Return whether there is something to act on; if not, it stays out of the loop."""
        return True

    def unread(self, trainer: pl.Trainer, module: DQN) -> Iterator[tuple[str, str]]:
        """Yield settings that are valid but have no effect in a run.

        Args:
            trainer: of the run, with its data module.
            module: the module that would learn.

        Yields:
            A key of this callback, "" for the whole callback, and the reason.
        """
        first, data = self.period.first, trainer.datamodule  # type: ignore[attr-defined]
        if first is None:
            yield "", f"there is no multiple of {self.period.length:,} from start to until"
            return
        iterations, pace = iterations_of(trainer, data.iterations_per_epoch), data.pace
        if not iterations or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        # A fit before this one counts; where a checkpoint is gone on from, it counts twice.
        updates = module.updates + iterations * pace.updates_per_iteration
        new_env_steps = pace.warmup_env_steps + iterations * pace.env_steps_per_iteration
        env_steps = module.env_steps + new_env_steps
        counts = self.period.counts_env_steps
        length, unit = (env_steps, "env steps") if counts else (updates, "updates")
        if first > length:
            yield "", f"it acts after {first:,} {unit}, and the run has {length:,}"

    def join(self, module: DQN) -> None:
        """Prepare; called once per fit, when the module is on its device."""

    def leave(self, module: DQN) -> None:
        """Undo what must not outlast the fit."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse a module that isn't a DQN."""
        dqn_of(self, pl_module)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Join the loop."""
        module = dqn_of(self, pl_module)
        if not self.applies_to(module):
            return
        is_ours = hasattr(getattr(trainer, "datamodule", None), "pace")
        for argument, why in self.unread(trainer, module) if is_ours else ():
            if not argument:
                rank_zero_warn(f"{type(self).__name__} has no effect: {why}")
        self.join(module)
        self._periods_done = self.period.number(module)
        module.after_update.append(self)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the loop."""
        self._leave(pl_module)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the loop."""
        self._leave(pl_module)

    def __call__(self, module: DQN) -> None:
        """Operate if a period has ended; called after every update."""
        number = self.period.number(module)
        if number == self._periods_done:
            return
        self._periods_done = number
        if self.period.is_in_window(number * self.period.length):
            self.operate(module)

    @property
    def acts_in_periods(self) -> bool:
        """Whether it acts only when a period ends.

        Several updates may then be compiled as one between the ends of two periods. A subclass with
        its own ``__call__`` may act after every update.
        """
        return type(self).__call__ is ModelOperation.__call__

    def quiet_at(self, updates: int, env_steps: int) -> bool:
        """Return whether no new period has ended at these counts."""
        return self.period.number_at(updates, env_steps) == self._periods_done

    def note(self, updates: int, env_steps: int) -> None:
        """Treat everything due by these counts as done."""
        self._periods_done = self.period.number_at(updates, env_steps)

    def _leave(self, pl_module: pl.LightningModule) -> None:
        module = dqn_of(self, pl_module)
        if self in module.after_update:
            module.after_update.remove(self)
            self.leave(module)


class CountedOperation(ModelOperation):
    """An operation whose checkpoint state counts how often it acted.

    Its random draws depend only on the run's initial seed and that count: a resumed run draws what
    the unbroken one would, and other draws of the run are unaffected.

    Attributes:
        times_acted: how often it acted since the module's first update.
    """

    times_acted: int = 0
    _seed: int | None = None

    @abstractmethod
    def act(self, module: DQN) -> None:
        """Change the networks; called when a period is over."""

    def operate(self, module: DQN) -> None:
        """Act, and count it."""
        self.act(module)
        self.times_acted += 1

    def join(self, module: DQN) -> None:
        """Start from zero with a module that hasn't learned yet."""
        if module.updates == 0:
            self.times_acted = 0
        if module.updates == 0 or self._seed is None:
            self._seed = torch.initial_seed()

    def seed_of_act(self) -> int:
        """Return the seed of what is drawn this time."""
        return random.Random(f"{self._seed} {self.state_key} {self.times_acted}").getrandbits(63)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of times it acted and the seed."""
        return {"times_acted": self.times_acted, "seed": self._seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self.times_acted, self._seed = state_dict["times_acted"], state_dict["seed"]

"""A target network as a callback: target <- decay * target + (1 - decay) * online."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Unpack

import pytorch_lightning as pl

from lightning_dqn.callbacks.learner import dqn_of
from lightning_dqn.callbacks.model_operation import ModelOperation
from lightning_dqn.callbacks.period import PeriodArguments
from lightning_dqn.dqn import DQN
from lightning_dqn.networks import operations
from lightning_dqn.networks.alignment import Aligned, BufferPolicy, align
from lightning_dqn.schedules import Schedule, as_schedule, ends


class EMATargetNetwork(ModelOperation):
    """Moves a copy of the Q-network toward it, after every update or less often.

    The weights are part of the module (saved, moved to the device and exported with it); only how
    they move is set here. ``tau=1`` with a period is the hard copy of Mnih et al. 2015;
    ``tau=0.005`` the moving average of Lillicrap et al. 2016 (arxiv.org/abs/1509.02971). Several
    of these may act on several networks.

    Args:
        tau: step toward the online network, network <- network + tau * (online - network); a
            number or a schedule over updates.
        decay: 1 - tau, the share of the old weights that is kept. Give exactly one of the two.
        buffers: what happens to buffers, see :func:`lightning_dqn.networks.operations.align`.
        network: the copy that moves; made if the module doesn't have it yet. With
            ``DQN(target=Target(slow_copy=False))`` no target network is made and nothing moves.
        evaluate: let this copy act in evaluation and be exported.
        collect: let this copy choose the actions of training, as in Schwarzer et al. 2023
            (arxiv.org/abs/2305.19452).
        period: see :class:`lightning_dqn.callbacks.ModelOperation`; by default every update.
    """

    def __init__(
        self,
        *,
        tau: float | Schedule | None = None,
        decay: float | Schedule | None = None,
        buffers: BufferPolicy = "copy",
        network: str = "target_network",
        evaluate: bool = False,
        collect: bool = False,
        **period: Unpack[PeriodArguments],
    ) -> None:
        given: float | Schedule
        self._name, given = operations.tau_or_decay(tau, decay)
        for name, value in ends(self._name, given):
            operations.check_share(name, value)
        super().__init__(**period)
        self.schedule = as_schedule(given)
        self.buffers = buffers
        self.network = network
        self.evaluate = evaluate
        self.collect = collect
        self._aligned: Aligned | None = None

    @property
    def state_key(self) -> str:
        """Key of this callback's state in a checkpoint, one for each network."""
        return f"EMATargetNetwork[{self.network}]"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the copy if the module doesn't have it."""
        module = dqn_of(self, pl_module)
        if not self.applies_to(module):
            return
        module.agent.add_network(self.network)
        if self.evaluate:
            module.agent.evaluation_network = self.network

    def applies_to(self, module: DQN) -> bool:
        """Tell whether the module has the network, or takes one more."""
        return self.network != "target_network" or module.target.slow_copy

    def unread(self, trainer: pl.Trainer, module: DQN) -> Iterator[tuple[str, str]]:
        """Yield what nothing reads in a run, see :meth:`ModelOperation.unread`."""
        yield from super().unread(trainer, module)
        if not self.applies_to(module):
            yield "", "module.target.slow_copy=false, so nothing is moved"
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        # A mean begins to act when it has a snapshot, a copy like this one when it is made.
        after = [
            one
            for number, one in enumerate(callbacks)
            if getattr(one, "evaluate", False)
            and (not isinstance(one, EMATargetNetwork) or number > callbacks.index(self))
        ]
        if self.evaluate and after:
            yield "evaluate", f"{after[-1].network} acts in evaluation"  # type: ignore[attr-defined]

    def join(self, module: DQN) -> None:
        """Put the copy beside the online network, and let it collect where it is to."""
        self._aligned = align(
            module.agent.get_submodule(self.network), module.q_network, buffers=self.buffers
        )
        if self.collect:
            module.agent.behaviour_network = self.network

    def leave(self, module: DQN) -> None:
        """Let the online network collect again."""
        if self.collect:
            module.agent.behaviour_network = "q_network"

    def operate(self, module: DQN) -> None:
        """Move the copy."""
        operations.lerp(self.aligned, weight=self._weight(module.updates))

    @property
    def moves_within_graphs(self) -> bool:
        """Whether a compiled update moves the copy too: where each does, and nothing settles."""
        is_plain = self.acts_in_periods and type(self).operate is EMATargetNetwork.operate
        settles = self._aligned is not None and bool(self._aligned.settling)
        is_plain = is_plain and not settles
        return is_plain and self.period.length == 1 and not self.period.counts_env_steps

    @property
    def aligned(self) -> Aligned:
        """The copy beside the online network, once a fit has begun."""
        assert self._aligned is not None
        return self._aligned

    def weight_at(self, updates: int) -> float:
        """Return the step after that update, 0 where none is due."""
        return self._weight(updates) if self.period.is_in_window(updates) else 0.0

    def _weight(self, updates: int) -> float:
        value = self.schedule(updates)
        operations.check_share(self._name, value)  # a function of the user's own may say anything
        return 1 - value if self._name == "decay" else value

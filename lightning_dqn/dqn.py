"""DQN as a LightningModule.

Shapes: U updates, B batch, A actions, N outputs per action.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, cast

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_dqn.environments.factory import EnvironmentLike
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.learning.compilation import (
    DISTRIBUTIONAL_PAYS_BACK_AFTER_UPDATES,
    PAYS_BACK_AFTER_UPDATES,
    Compile,
    Step,
    compile_step,
    same_draws,
)
from lightning_dqn.learning.optimizer_step import OptimizerStep
from lightning_dqn.learning.targets import Munchausen
from lightning_dqn.learning.update import QLearner
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.layers import draw_noise
from lightning_dqn.networks.q_network import NetworkOptions
from lightning_dqn.networks.torsos import Layer
from lightning_dqn.reporting.rows import Report, check_finite
from lightning_dqn.transitions import Episode, Iteration, Transitions

ModelOperation = Callable[["DQN"], None]


SUPPORTED_PRECISIONS = ("32-true", "bf16-mixed")


MOST_OUTSIDE_RANGE = 0.05


"""Share of the targets' probability beyond a C51's atoms that is let pass without a word."""


OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


class DQN(QLearner):
    """Deep Q-learning (Mnih et al. 2015, doi.org/10.1038/nature14236) under ``Trainer.fit``.

    The target network moves only by a callback, usually
    :class:`lightning_dqn.callbacks.EMATargetNetwork`.

    Args:
        environment: what the module learns to act in: anything :class:`EnvironmentFactory`
            takes, a factory, or an :class:`EnvironmentSpec`. Only shapes are read.
        network: the torso as a list of layers (see :mod:`lightning_dqn.networks`), or a module
            of your own from observations, as the environment gives them, to float[B, A].
        head: how the output stands for action values, and the error that is minimised.
        double: the online network chooses the next action, the target network values it (van
            Hasselt et al. 2016, arxiv.org/abs/1509.06461).
        dueling: split the last layer into value and advantage (Wang et al. 2016).
        noisy: explore by learned noise in the linear layers (Fortunato et al. 2018); collect
            with ``CollectionConfig(epsilon_greedy=False)`` then.
        noisy_sigma: the noise in the beginning.
        layer_norm: normalise the output of every linear layer and convolution of the torso.
        munchausen: add the scaled log-policy to the reward and learn the values of a softmax
            policy (Vieillard et al. 2020); with ``double`` that policy is the online network's.
        target_network: value the next state by a slower copy; False: by the online network.
        optimizer: from parameters to a torch optimizer.
        lr_scheduler: from the optimizer to a torch scheduler, stepped once an iteration.
        max_gradient_norm: gradients of all parameters together are scaled down to this L2
            norm; None leaves them.
        compile: compile loss and gradients with ``torch.compile``; ``"auto"``: where the
            number of updates pays it back.

    Attributes:
        q_network: the network that learns and explores.
        target_network: the copy that values the next state.
        after_update: functions of the module, called in order after every update. Callbacks
            append to it.
        minibatch: what the newest update learned from, for operations that look at activations.
        evaluation_network: name of the network that acts in evaluation and is exported.
        updates: optimizer steps so far.
        env_steps: env steps so far, those of this update's share of its iteration included.
    """

    def __init__(
        self,
        environment: EnvironmentLike | EnvironmentSpec | Mapping[str, Any],
        *,
        network: Sequence[Layer] | nn.Module | None = None,
        head: Head | Mapping[str, Any] | None = None,
        double: bool = True,
        dueling: bool = False,
        noisy: bool = False,
        noisy_sigma: float = 0.5,
        layer_norm: bool = False,
        munchausen: Munchausen | Mapping[str, float] | None = None,
        target_network: bool = True,
        optimizer: OptimizerFactory | None = None,
        lr_scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_gradient_norm: float | None = 10.0,
        compile: Compile = "auto",
    ) -> None:
        super().__init__(
            environment,
            network=network,
            head=head,
            options=NetworkOptions(dueling, noisy, noisy_sigma, layer_norm),
            double=double,
            munchausen=munchausen,
            target_network=target_network,
            max_gradient_norm=max_gradient_norm,
        )
        self.save_hyperparameters({"compile": compile})
        self.automatic_optimization = False
        self.compile_mode = compile
        self._make_optimizer = optimizer or partial(torch.optim.Adam, lr=1e-3, fused=True)
        self._make_lr_scheduler = lr_scheduler
        self.after_update: list[ModelOperation] = []
        self.minibatch: Transitions | None = None
        self.updates = 0
        self.env_steps = 0
        self.report = Report()
        self._has_warned_of_range = False

    # --- learning

    def training_step(self, iteration: Iteration, batch_idx: int) -> None:
        """Make the iteration's U updates: gradients, optimizer, then ``after_update``."""
        optimizer = cast(LightningOptimizer, self.optimizers())
        minibatches = iteration.transitions.minibatches()
        before = iteration.env_steps - iteration.new_env_steps
        statistics, priorities = [], []
        for index, minibatch in enumerate(minibatches, start=1):
            step = self._learning_step(minibatch)
            self._step_optimizer(step.gradients, optimizer, is_last=index == len(minibatches))
            self.minibatch = minibatch
            self.updates += 1
            self.env_steps = before + iteration.new_env_steps * index // len(minibatches)
            for operation in self.after_update:
                operation(self)
            statistics.append(step.statistics)
            priorities.append(step.priority)
        if (scheduler := self.lr_schedulers()) is not None:
            cast(LRScheduler, scheduler).step()
        self.report.count_rollout(iteration.episodes)
        self._tell(torch.stack(statistics), iteration)
        if iteration.update_priorities is not None:
            iteration.update_priorities(torch.stack(priorities))

    def configure_optimizers(self) -> Any:
        """Return the optimizer of the online network, and its scheduler if there is one."""
        optimizer = self._make_optimizer(self.q_network.parameters())
        if self._make_lr_scheduler is None:
            return optimizer
        return [optimizer], [self._make_lr_scheduler(optimizer)]

    def on_fit_start(self) -> None:
        """Check what the loop relies on, and compile."""
        if self.trainer.world_size > 1:
            raise ValueError(f"devices={self.trainer.world_size}: DQN learns on one device")
        if self.trainer.precision not in SUPPORTED_PRECISIONS:
            choice = " or ".join(SUPPORTED_PRECISIONS)
            raise ValueError(f"precision={self.trainer.precision}: choose {choice}")
        self._trainable = self.trainable_parameters()
        super().on_fit_start()
        self._compile_step()
        self.report.start_clock(self.env_steps, self.updates)

    def on_train_start(self) -> None:
        """Set the copies to evaluation mode, and warn of a target network that nothing moves."""
        optimizer = cast(LightningOptimizer, self.optimizers()).optimizer
        self._raw_step = OptimizerStep(optimizer, self._trainable)
        for name in self._copies:
            self.get_submodule(name).eval()
        if not self.uses_target_network:
            return
        draw_noise(self.get_submodule("target_network"))
        moved = [getattr(operation, "network", None) for operation in self.after_update]
        if "target_network" not in moved:
            rank_zero_warn(
                "nothing moves the target network: add EMATargetNetwork(tau=0.005) from "
                "lightning_dqn.callbacks to the Trainer's callbacks"
            )

    def on_train_end(self) -> None:
        """Give the copies back the mode that Lightning expects at the start of the next fit."""
        for name in self._copies:
            self.get_submodule(name).train()

    def refresh_trainable(self) -> None:
        """Learn the parameters whose ``requires_grad`` is set at this moment; others stay.

        Call it after changing ``requires_grad`` while training.

        Raises:
            ValueError: none is left.
        """
        self._trainable = self.trainable_parameters()
        if not self._trainable:
            raise ValueError("every parameter of q_network is frozen: nothing is left to learn")
        for parameter in self.q_network.parameters():
            if not parameter.requires_grad:
                parameter.grad = None
        optimizer = cast(LightningOptimizer, self.optimizers()).optimizer
        self._raw_step = OptimizerStep(optimizer, self._trainable)
        self._compile_step()

    def forget_moments(self, parameters: Iterable[nn.Parameter]) -> None:
        """Zero what the optimizer remembers of ``parameters``, as when they are drawn anew."""
        optimizer = cast(LightningOptimizer, self.optimizers()).optimizer
        for parameter in parameters:
            for value in optimizer.state.get(parameter, {}).values():
                if isinstance(value, Tensor):
                    value.zero_()

    # --- evaluation

    def on_validation_epoch_start(self) -> None:
        """Forget the episodes of the last evaluation."""
        self.report.start_evaluation()

    def validation_step(self, episode: Episode, batch_idx: int) -> None:
        """Count one evaluation episode."""
        self.report.count_evaluation(episode)

    def on_validation_epoch_end(self) -> None:
        """Log ``eval/``."""
        self._tell_evaluation("eval")

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        """Log ``test/``."""
        self._tell_evaluation("test")

    # --- persistence

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the counters and the names of the networks."""
        counters = {"updates": self.updates, "env_steps": self.env_steps}
        checkpoint["dqn"] = {**counters, **self.networks_description()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back, before the weights are loaded.

        Raises:
            ValueError: the checkpoint isn't one of a DQN.
        """
        if "dqn" not in checkpoint:
            raise ValueError("this checkpoint holds no DQN: it was saved from another module")
        state = checkpoint["dqn"]
        self.updates, self.env_steps = state["updates"], state["env_steps"]
        self._restore_networks(state)

    # --- inner parts

    _learning_step: Step
    _raw_step: OptimizerStep
    _trainable: list[nn.Parameter]

    def _compile_step(self) -> None:
        self._learning_step = compile_step(
            self.loss_and_gradients,
            self.compile_mode,
            expected_updates=self._expected_updates(),
            device=self.device,
            pays_back_after=(
                DISTRIBUTIONAL_PAYS_BACK_AFTER_UPDATES
                if self.head.outputs_per_action > 1
                else PAYS_BACK_AFTER_UPDATES
            ),
        )

    def _step_optimizer(
        self, gradients: Sequence[Tensor], optimizer: LightningOptimizer, *, is_last: bool
    ) -> None:
        """Step the optimizer; by Lightning's own step once an iteration, for its hooks."""
        if not is_last:
            self._raw_step(gradients)
            return
        for parameter, gradient in zip(self._trainable, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()

    def _expected_updates(self) -> int | None:
        """Return the updates of the whole run, None if it has no set end."""
        data = getattr(self.trainer, "datamodule", None)
        epochs = self.trainer.max_epochs
        if not isinstance(epochs, int) or epochs < 0 or data is None:
            return None
        return epochs * data.iterations_per_epoch * data.updates_per_iteration

    def _tell(self, statistics: Tensor, iteration: Iteration) -> None:
        """Check and log, reading from an accelerator only when a row is due."""
        is_due = self.trainer.global_step % self.trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        if is_due or statistics.device.type == "cpu":
            check_finite(statistics, self.updates, self.env_steps)
        if is_due:
            row = self.report.training_row(statistics, iteration, self.env_steps, self.updates)
            optimizer = cast(LightningOptimizer, self.optimizers())
            self._log_row({**row, "train/learning_rate": float(optimizer.param_groups[0]["lr"])})
            self._check_range()

    @torch.no_grad()
    def _check_range(self) -> None:
        """Warn once of a C51 whose atoms don't reach as far as the returns: it fails silently."""
        head, batch = self.head, self.minibatch
        if not isinstance(head, CategoricalHead) or batch is None or self._has_warned_of_range:
            return
        with same_draws(self.device):  # how often rows are logged must not change what is learned
            reward, bootstrap = self._target(batch, self.q_network(batch.observation))
        share = float(head.share_outside(reward, batch.discount, bootstrap))
        if share > MOST_OUTSIDE_RANGE:
            self._has_warned_of_range = True
            rank_zero_warn(
                f"v_min={head.v_min}, v_max={head.v_max}: {share:.0%} of what the returns may be "
                "lies beyond; widen the range of the head (value_range on the command line)"
            )

    def _tell_evaluation(self, stage: Literal["eval", "test"]) -> None:
        row = self.report.evaluation_row(stage)
        if row and not self.trainer.sanity_checking:
            self._log_row(row, is_evaluation=True)

    def _log_row(self, row: dict[str, float], *, is_evaluation: bool = False) -> None:
        """Give a row to the loggers, and its values to Lightning's callbacks.

        Training rows go to the loggers as they are: Lightning has its own idea of when to log.
        Numbers are float64, since float32 rounds counts beyond 2^24 env steps.
        """
        row = {**row, "time/env_steps": self.env_steps}
        if not is_evaluation:
            for logger in self.loggers:
                logger.log_metrics(row, step=self.trainer.global_step)
        tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in row.items()}
        with warnings.catch_warnings():
            # What goes to loggers is what Trainer.test returns, also where there is no logger.
            warnings.filterwarnings("ignore", message=".*no logger configured.*")
            self.log_dict(tensors, logger=is_evaluation)

"""Deep Q-learning, readable in one file: an agent acts, a target judges, an update learns.

Shapes: U updates, B batch, A actions, N outputs per action.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any, Self, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_dqn.acting import ActingModule
from lightning_dqn.agent import Agent
from lightning_dqn.environments.factory import EnvironmentLike
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.former_names import former_arguments
from lightning_dqn.learning.augmentation import Augmentation, AugmentationStream
from lightning_dqn.learning.blocks import counts_after_updates, one_by_one
from lightning_dqn.learning.compilation import Compile
from lightning_dqn.learning.continuation import (
    Continuation,
    add_state,
    find_whole,
    take_state,
)
from lightning_dqn.learning.first_looks import check_looks_at_episodes
from lightning_dqn.learning.hooks import hooks_before_step
from lightning_dqn.learning.leaving import BreakingOff, leave_training
from lightning_dqn.learning.lookout import Lookout
from lightning_dqn.learning.loss_output import LossOutput, check_each
from lightning_dqn.learning.optimizer_state import forget_moments
from lightning_dqn.learning.optimizers import (
    LRSchedulerFactory,
    Optimization,
    OptimizerFactory,
    check_optimizers,
)
from lightning_dqn.learning.ranks import check_together
from lightning_dqn.learning.self_prediction import SelfPredictionLoss, SelfPredictor
from lightning_dqn.learning.targets import Target
from lightning_dqn.learning.trainer import (
    FROM_A_DATA_MODULE,
    check_evaluation,
    check_fit,
    check_iteration,
    expected_iterations,
)
from lightning_dqn.learning.update import Update
from lightning_dqn.learning.warning import (
    warn_of_another_target,
    warn_of_flattened_images,
    warn_of_rounded_log_policies,
    warn_of_still_copies,
)
from lightning_dqn.networks.heads.head import Head, HeadLoss
from lightning_dqn.networks.layers import draw_noise
from lightning_dqn.networks.plain import NetworkLike, from_a_file, made_plain
from lightning_dqn.system.denormals import FlushDenormals
from lightning_dqn.system.ranks import Ranks
from lightning_dqn.transitions import Iteration, Transitions, UpdateStatistics

ModelOperation = Callable[["DQN"], None]


class DQN(ActingModule):
    """Deep Q-learning (Mnih et al. 2015, doi.org/10.1038/nature14236) under ``Trainer.fit``.

    The target network moves only by a callback, usually
    :class:`lightning_dqn.callbacks.EMATargetNetwork`.

    Args:
        environment: what the module learns to act in: anything :class:`EnvironmentFactory`
            takes, a factory, or an :class:`EnvironmentSpec`. Only shapes are read.
        network: ``MLP(hidden=[64], dueling=True)`` or another of
            :mod:`lightning_dqn.networks.torsos`, a list of layers, or a module of your own from
            observations, as the environment gives them, to float[B, A].
        head: how the network's output represents action values, and the error that is minimised.
        target: how the next state is valued: Double DQN, a slower copy, Munchausen.
        augmentation: of the images that are learned from; None: learn from them as observed.
        self_prediction: loss with which the network also predicts its own future latents; needs
            data with future steps. None: no such loss.
        optimizer: from parameters to a torch optimizer.
        lr_scheduler: from the optimizer to a torch scheduler, stepped once per iteration.
        max_gradient_norm: L2 norm that the gradients of all parameters together are scaled down
            to; None: no limit.
        compile: compile loss and gradients with ``torch.compile``; ``"auto"``: if the number of
            updates is large enough to save time.
        former: arguments of 0.1 (``double``, ``dueling``, ...), accepted for one more version.

    Attributes:
        agent: networks and acting; what is saved, exported and played with.
        target: how the next state is valued.
        augmentation: of what is learned from, with its generator.
        predictor: predicts latents and computes their error; None without self-prediction.
        self_prediction: network that predicts latents, trained beside the Q-network; None without
            self-prediction.
        update: one update of the weights.
        after_update: functions of the module, called in order after every update. Those that say
            when they act, see :class:`lightning_dqn.callbacks.ModelOperation`, are called only
            then, so that several updates can be compiled as one. Callbacks append to it.
        updates: optimizer steps so far.
        env_steps: env steps so far; within an iteration they grow evenly from update to update.
        flush_denormals: treat numbers below 1.2e-38 as zero during a fit; they can make Adam's
            step on a CPU eight times slower.
    """

    flush_denormals = True

    def __init__(
        self,
        environment: EnvironmentLike | EnvironmentSpec | Mapping[str, Any],
        *,
        network: NetworkLike | None = None,
        head: Head | Mapping[str, Any] | None = None,
        target: Target | Mapping[str, Any] | None = None,
        augmentation: Augmentation | Mapping[str, Any] | None = None,
        self_prediction: SelfPredictionLoss | Mapping[str, Any] | None = None,
        optimizer: OptimizerFactory | None = None,
        lr_scheduler: LRSchedulerFactory | None = None,
        max_gradient_norm: float | None = 10.0,
        compile: Compile = "auto",
        **former: Any,
    ) -> None:
        network, target = former_arguments(network, target, former)
        super().__init__(Agent(environment, network=network, head=head))
        self.automatic_optimization = False
        self.target = Target.of(target)
        if self.target.slow_copy:
            self.agent.add_network("target_network")
        self.augmentation = AugmentationStream.of(augmentation, self.spec)
        self.predictor = SelfPredictor.of(
            self_prediction, online=self.agent.q_network, slow=self._slow_network, spec=self.spec
        )
        self.self_prediction = None if self.predictor is None else self.predictor.model
        self.update = Update(
            self.loss,
            self._all_that_learns(),
            max_gradient_norm=max_gradient_norm,
            compile=compile,
            in_graphs=type(self).loss is DQN.loss,  # one's own may read a counter
        )
        self._optimization = Optimization(optimizer, lr_scheduler)
        self.after_update: list[ModelOperation] = []
        self._minibatch: Transitions | None = None
        self.updates = 0
        self._continuation = Continuation()
        self._lookout = Lookout()
        self.save_hyperparameters(self._hyperparameters())

    def _hyperparameters(self) -> dict[str, Any]:
        """Return the arguments as plain values, which build the same module again."""
        return {
            **self.agent.hyperparameters,
            "target": self.target.to_plain(),
            "augmentation": self.augmentation.to_plain(),
            "self_prediction": self.predictor and self.predictor.loss.to_plain(),
            "max_gradient_norm": self.update.max_gradient_norm,
            "compile": self.update.compile,
        }

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = True,  # Lightning's default isn't, for an address
        **kwargs: Any,
    ) -> Self:
        """Build a module from a checkpoint, as Lightning does; no code that it names is imported.

        A local file is checked byte for byte first.

        Args:
            checkpoint_path: the file.
            map_location: as Lightning has it.
            hparams_file: as Lightning has it.
            strict: as Lightning has it.
            weights_only: refuse all but tensors and plain values.
            kwargs: arguments that replace the module's saved ones.

        Raises:
            ValueError: there is no such file, it is damaged or of something else, or a saved
                argument names code, so it must be passed here.
        """
        whole = find_whole(checkpoint_path, weights_only=weights_only is not False)
        of_file = nullcontext() if "environment" in kwargs else from_a_file()
        with of_file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"DQN\(", FutureWarning)  # of a file, which stays
            return super().load_from_checkpoint(
                whole, map_location, hparams_file, strict, weights_only, **kwargs
            )

    # --- what is learned

    def loss(self, batch: Transitions) -> LossOutput:
        """Return the loss of one minibatch; override it for another loss.

        The prediction Q(s, a) is compared with r + discount * V(s'), which has no gradient. The
        self-prediction error is weighted like the transition, and doesn't affect its priority.

        Args:
            batch: columns [B, ...].
        """
        head, predictor = self.agent.head, self.predictor
        if predictor is None:
            output = self.agent.q_network(batch.observation)
        else:
            output, latent = predictor.output(batch.observation)
        prediction = head.select(output, batch.action)
        reward, bootstrap = self.bootstrap(batch, output)
        error = head.loss(prediction, reward, batch.discount, bootstrap)
        check_each(type(head).__name__, error, HeadLoss, batch)
        loss, of_latents = error.loss, None
        if predictor is not None:
            of_latents = predictor.error(batch, latent)
            loss = loss + predictor.loss.weight * of_latents
        weighted = loss if batch.weight is None else batch.weight * loss
        return LossOutput(
            loss=weighted.mean(),
            td_error=error.td_error.detach(),
            q_value=error.q_value.detach(),
            priority=error.priority.detach(),
            self_prediction=None if of_latents is None else of_latents.detach().mean(),
        )

    @torch.no_grad()
    def bootstrap(self, batch: Transitions, output: Any) -> tuple[Tensor, Any]:
        """Return the rewards, float[B], and the values of the next states.

        Args:
            batch: columns [B, ...].
            output: of the Q-network for ``batch.observation``.
        """
        online, slow = self.agent.q_network, self._slow_network
        return self.target(batch, output, online=online, slow=slow, head=self.agent.head)

    @property
    def minibatch(self) -> Transitions | None:
        """What the newest update learned from; None before the first."""
        if self._minibatch is not None:
            self._minibatch = self._minibatch.with_intensity()
        return self._minibatch

    @property
    def _slow_network(self) -> nn.Module:
        name = "target_network" if self.target.slow_copy else "q_network"
        return self.agent.get_submodule(name)

    @property
    def learning_networks(self) -> dict[str, nn.Module]:
        """Networks that learn, by name: the Q-network, and the one that predicts latents if any."""
        learning = {"q_network": self.agent.q_network}
        if self.self_prediction is not None:
            learning["self_prediction"] = self.self_prediction
        return learning

    def _all_that_learns(self) -> nn.Module:
        learning = self.learning_networks
        return nn.ModuleDict(learning) if len(learning) > 1 else self.agent.q_network

    # --- how learning is driven

    def training_step(self, iteration: Iteration, batch_idx: int) -> dict[str, Tensor]:
        """Make the iteration's U updates, and call ``after_update`` after each.

        Returns:
            ``priority``, float[U, B]: how much there was to learn from each transition; ``loss``,
            float[]: the mean over the updates.

        Raises:
            ValueError: the batch isn't an iteration.
        """
        check_iteration(iteration)
        optimizer = cast(LightningOptimizer, self.optimizers())
        minibatches = self.augmentation(iteration.transitions).minibatches()
        counts = counts_after_updates(iteration, len(minibatches), self.updates)
        columns = []  # not the gradients, whose memory is reused
        for done, step in self.update.in_turn(minibatches, counts, self.after_update, optimizer):
            self._minibatch = minibatches[done - 1]
            self.updates, self.env_steps = counts[done - 1]
            for operation in self.after_update:
                operation(self)
            columns.append(step[1:])
        if (scheduler := self.lr_schedulers()) is not None:
            self.lr_scheduler_step(cast(LRScheduler, scheduler), None)
        self.report.count_rollout(iteration.episodes)
        statistics, priority, squares = map(one_by_one, zip(*columns, strict=True))
        self._lookout.look(self, iteration, statistics, priority, squares)
        return {"loss": UpdateStatistics.of(statistics).loss.mean(), "priority": priority}

    def train_dataloader(self) -> Any:
        """Refuse a fit without a data module; Lightning then asks the module for its data."""
        raise ValueError(f"trainer.fit(module): {FROM_A_DATA_MODULE}")

    def configure_optimizers(self) -> Any:
        """Return the optimizer of all networks that learn, and its scheduler if there is one.

        Raises:
            ValueError: they don't work here.
        """
        is_scheduled = self._optimization.is_scheduled
        return self.make_optimizers(expected_iterations(self.trainer) if is_scheduled else None)

    def make_optimizers(self, iterations: int | None) -> Any:
        """Return new ones, for a run of ``iterations``; None: without an end.

        Raises:
            ValueError: they don't work here.
        """
        return self._optimization.make(self.update.network, iterations)

    def configure_callbacks(self) -> list[pl.Callback]:
        """Return the callbacks that a fit adds; as the first hook, also check the fit."""
        if self.trainer.state.fn == "fit":
            check_fit(self, is_users=type(self) is not DQN)
        else:
            check_evaluation(self)
        brought = [BreakingOff, *([FlushDenormals] if self.flush_denormals else [])]
        there = set(map(type, self.trainer.callbacks))  # type: ignore[attr-defined]
        return [kind() for kind in brought if kind not in there]

    def on_fit_start(self) -> None:
        """Check it again, since a subclass may add callbacks of its own, and compile."""
        check_fit(self, is_users=type(self) is not DQN)
        check_optimizers(self.trainer, self.update.network, expected_iterations(self.trainer))
        ranks = Ranks.of(self.trainer)
        self.agent.noise_user = ("noise",) if ranks.is_first else ("noise", ranks.rank)
        self.agent.forget_behaviour()
        self.report.begin(self.env_steps, self.updates)
        self._continuation.begin_fit(self)
        self._prepare_update()
        self.report.start_clock(self.env_steps, self.updates)

    def on_train_start(self) -> None:
        """Set the copies to evaluation mode, and warn of likely mistakes."""
        if self._optimization.is_scheduled:
            self._optimization.keep_length(self.lr_schedulers())
        warn_of_flattened_images(self)
        warn_of_rounded_log_policies(self)
        self.update.drive(self._optimizer())
        self.update.before_step = hooks_before_step(self)
        for name in self.agent.copies:
            self.agent.get_submodule(name).eval()
        if self.target.slow_copy:
            draw_noise(self.agent.get_submodule("target_network"))
        warn_of_still_copies(self)
        warn_of_another_target(self)
        self._continuation.begin_training(self.device)

    def on_train_epoch_end(self) -> None:
        """Raise if an update since the last row wasn't finite, or a monitor has nothing to see."""
        self._lookout.sound_alarm(self)
        check_looks_at_episodes(self.trainer, after_training=True)

    def on_validation_epoch_end(self) -> None:
        """Log ``eval/``, and raise if a monitor that looks next has nothing to see."""
        super().on_validation_epoch_end()
        check_looks_at_episodes(self.trainer, after_training=False)

    def on_train_end(self) -> None:
        """End the report, and whatever is only for training."""
        self.report.end(self.env_steps)
        leave_training(self)

    def refresh_trainable(self) -> None:
        """Train the parameters whose ``requires_grad`` is set now, and freeze the others.

        Call it after changing ``requires_grad`` while training.

        Raises:
            ValueError: none is left.
        """
        for parameter in self.update.network.parameters():
            if not parameter.requires_grad:
                parameter.grad = None
        self._prepare_update()
        self.update.drive(self._optimizer())

    def forget_moments(self, parameters: Iterable[nn.Parameter]) -> None:
        """Reset the optimizer's moments of ``parameters``, which got new initial values."""
        forget_moments(self._optimizer(), parameters)

    def _prepare_update(self) -> None:
        iterations = expected_iterations(self.trainer)
        data: Any = getattr(self.trainer, "datamodule", None)
        self.update.prepare(
            expected_updates=iterations and iterations * data.updates_per_iteration,
            device=self.device,
            is_distributional=self.agent.head.outputs_per_action > 1,
            ranks=Ranks.of(self.trainer),
        )

    def _optimizer(self) -> Optimizer:
        return cast(LightningOptimizer, self.optimizers()).optimizer

    # --- persistence

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the counters, the names of the networks, and the state that a resumed run needs.

        Raises:
            NonFiniteError: an update since the last row wasn't finite, so nothing is saved.
            RanksApart: the ranks' weights differ.
        """
        self._lookout.sound_alarm(self)
        kept = [*self.update.parameters, *self.update.network.buffers()]
        check_together(self.update.ranks, kept, self.updates)
        saved = checkpoint.get(self.CHECKPOINT_HYPER_PARAMS_KEY, {})
        plain = made_plain(saved, self._hyperparameters())
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = plain
        add_state(self, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back, before the weights are loaded.

        Raises:
            ValueError: the checkpoint isn't one of a DQN, or its data module's state is lost.
        """
        is_continued = self._trainer is not None and self.trainer.state.fn == "fit"
        self._continuation.hold(take_state(self, checkpoint, is_continued=is_continued))

"""One update of the weights: loss -> gradients -> safe -> optimizer.

Shapes: B batch, P parameters that learn, C statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from lightning_dqn.learning.blocks import Blocks, Counts, LearningStep
from lightning_dqn.learning.compilation import (
    CheckedCompiledStep,
    Compile,
    Step,
    compile_step,
    pays_back_after,
    updates_in_a_graph,
)
from lightning_dqn.learning.gradients import SafeGradients, laid_out_like, make_safe
from lightning_dqn.learning.hooks import BeforeStep
from lightning_dqn.learning.loss_output import Loss, LossOutput, check_each
from lightning_dqn.learning.optimizer_layout import OptimizerLayout
from lightning_dqn.learning.optimizer_state import lay_out_state
from lightning_dqn.learning.optimizer_step import OptimizerStep
from lightning_dqn.learning.ranks import Bucket
from lightning_dqn.learning.unused import naming_unused
from lightning_dqn.system.heap import keep_freed_memory
from lightning_dqn.system.ranks import ALONE, Ranks
from lightning_dqn.transitions import Transitions, UpdateStatistics


class Update:
    """Updates the weights of a network along the gradients of a loss.

    Args:
        loss: of a minibatch.
        network: its parameters whose ``requires_grad`` is set learn.
        max_gradient_norm: gradients of all parameters together are scaled down to this L2 norm;
            None leaves them.
        compile: compile :meth:`step` with ``torch.compile``, see :mod:`compilation
            <lightning_dqn.learning.compilation>`.
        in_graphs: whether several updates may be compiled as one graph, for which the loss's
            Python is read once: what it reads there besides tensors stays as it was.

    Attributes:
        parameters: those that learn.
        was_compiled: what ``"auto"`` came to before a restart, for a longer run would decide
            otherwise and round otherwise.
        most_in_a_graph: so many updates at most are compiled as one graph with the optimizer's
            steps; 0: each by itself, without.
        had_in_a_graph: the same before a restart.
        ranks: the processes over which gradients are averaged, as :meth:`prepare` is told.
        before_step: functions of the optimizer, called before each of its steps but an
            iteration's last, before which Lightning calls them itself. The gradients stand in
            ``.grad`` then.
    """

    def __init__(
        self,
        loss: Loss,
        network: nn.Module,
        *,
        max_gradient_norm: float | None = None,
        compile: Compile = "auto",
        in_graphs: bool = True,
    ) -> None:
        if max_gradient_norm is not None:
            max_gradient_norm = float(max_gradient_norm)
            if not max_gradient_norm > 0:
                raise ValueError(f"max_gradient_norm={max_gradient_norm}: above 0, or None")
        self.loss = loss
        self.network = network
        self.max_gradient_norm = max_gradient_norm
        self.compile = compile
        self.in_graphs = in_graphs
        self.was_compiled: bool | None = None
        self.most_in_a_graph = 0
        self.had_in_a_graph: int | None = None
        self.parameters = trainable_parameters(network)
        self.ranks = ALONE
        self.before_step: list[BeforeStep] = []
        self._step: Step = self.step
        self._bucket: Bucket | None = None
        self._optimizer_step: OptimizerStep
        self._device = torch.device("cpu")
        self._blocks: Blocks | None = None

    def step(self, batch: Transitions) -> LearningStep:
        """Return gradients that are safe to apply, and what is told of the update.

        One pure function of the weights and the minibatch, compiled as a whole.
        """
        output, gradients = self.gradients(batch)
        return self.safe_step(output, gradients)

    def shared_step(self, batch: Transitions) -> LearningStep:
        """Return the same where several ranks learn, each of which has a part of the minibatch.

        Gradients, loss and statistics are averaged over the ranks before anything is made of them.
        """
        assert self._bucket is not None, "prepared for several ranks"
        numbers, priority, gradients = self._step(batch)
        shared, averaged = self._bucket.average(gradients, numbers)
        statistics = UpdateStatistics.of(averaged, gradient_norm=None)
        safe, norm, squares = self._made_safe(statistics.loss, shared)
        statistics = statistics._replace(gradient_norm=norm)
        return LearningStep(safe, statistics.stacked(), priority, squares)

    def unsafe_step(self, batch: Transitions) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Return what a rank has for the others, and its own part.

        Returns:
            The statistics but the gradient norm, float[C - 1]; priorities float[B]; gradients as
            they come.
        """
        output, gradients = self.gradients(batch)
        statistics, priority = _described(output)
        # One that isn't finite is to be heard of by all ranks.
        td_error = statistics.td_error + 0.0 * priority.sum()
        return statistics._replace(td_error=td_error).stacked(), priority, gradients

    def gradients(self, batch: Transitions) -> tuple[LossOutput, tuple[Tensor, ...]]:
        """Return the loss of a minibatch and its gradients, as they come."""
        output = self.loss(batch.with_intensity())
        check_each("loss", output, LossOutput, batch)
        return output, torch.autograd.grad(output.loss, self.parameters)

    def safe_step(self, output: LossOutput, gradients: Sequence[Tensor]) -> LearningStep:
        """Return the gradients clipped, zeroed if anything is not finite, and what is told."""
        safe, norm, squares = self._made_safe(output.loss.detach(), gradients)
        statistics, priority = _described(output, gradient_norm=norm)
        return LearningStep(safe, statistics.stacked(), priority, squares)

    def _made_safe(self, loss: Tensor, gradients: Sequence[Tensor]) -> SafeGradients:
        safe = make_safe(loss, gradients, self.max_gradient_norm)
        return safe._replace(gradients=laid_out_like(self.parameters, safe.gradients))

    def prepare(
        self,
        *,
        expected_updates: int | None,
        device: torch.device,
        is_distributional: bool,
        ranks: Ranks = ALONE,
    ) -> None:
        """Look anew for what learns, and compile.

        Args:
            expected_updates: of the whole run; None means without end.
            device: where the weights are.
            is_distributional: every action has many outputs, so compiling soon pays.
            ranks: who learn together. Of several what is compiled ends where they average, so
                each update is a graph by itself.

        Raises:
            ValueError: nothing is left to learn.
        """
        if device.type == "cpu":
            keep_freed_memory()
        self.parameters = trainable_parameters(self.network)
        if not self.parameters:
            raise ValueError("every parameter of q_network is frozen: nothing is left to learn")
        self.ranks = ranks
        self._bucket = Bucket(ranks, self.parameters) if ranks.are_several else None
        self._step = compile_step(
            self.step if self._bucket is None else self.unsafe_step,
            self._mode(),
            expected_updates=expected_updates,
            device=device,
            pays_back_after=pays_back_after(is_distributional),
            buffers=list(self.network.buffers()),
        )
        self._device, self._blocks = device, None
        decided = updates_in_a_graph(
            expected_updates,
            num_weights=sum(p.numel() for p in self.network.parameters()),
            is_distributional=is_distributional,
        )
        if self.had_in_a_graph is not None:
            decided = self.had_in_a_graph
        in_graphs = self.in_graphs and self.is_compiled and not ranks.are_several
        self.most_in_a_graph = decided if in_graphs else 0

    @property
    def is_compiled(self) -> bool:
        """Whether the step that learns is a compiled one."""
        return isinstance(self._step, CheckedCompiledStep)

    def _mode(self) -> Compile:
        """Return how to compile: as before a restart, where that was left to be decided."""
        decided = self.compile == "auto" and self.was_compiled is not None
        return bool(self.was_compiled) if decided else self.compile

    def drive(self, optimizer: torch.optim.Optimizer) -> None:
        """Step this optimizer from now on."""
        lay_out_state(optimizer, self.parameters)
        layout = OptimizerLayout(optimizer, self.parameters)
        self._optimizer_step = OptimizerStep(layout)
        self._blocks = None
        if self.most_in_a_graph:
            self._blocks = Blocks(
                self.step,
                layout,
                most=self.most_in_a_graph,
                device=self._device,
                buffers=list(self.network.buffers()),
            )

    def in_turn(
        self,
        minibatches: Sequence[Transitions],
        counts: Sequence[Counts],
        operations: Sequence[Any],
        optimizer: LightningOptimizer,
    ) -> Iterator[tuple[int, LearningStep]]:
        """Make an iteration's updates, several at once where nothing acts between them.

        Args:
            minibatches: U of columns [B, ...].
            counts: where the run stands after each update.
            operations: that are called after the update, or the updates, of each turn.
            optimizer: Lightning's wrapper, whose own step runs once an iteration.

        Yields:
            After each turn the updates made so far, and what is told of the newest; of several,
            with a leading K.

        Raises:
            ValueError: the loss doesn't depend on a parameter that learns.
        """
        with naming_unused(self.loss, minibatches[0], self.network):
            done, blocks, is_ready = 0, None, False
            while done < len(minibatches):
                if blocks is not self._blocks:  # at first, and where others learn from now on
                    blocks = self._blocks
                    is_ready = (
                        blocks is not None
                        and not self.before_step
                        and blocks.is_worth_it(operations, len(minibatches))
                    )
                if blocks is None or not is_ready:
                    step = self(minibatches[done], optimizer, is_last=done + 1 == len(minibatches))
                    done += 1
                    yield done, step
                    continue
                size = blocks.size(counts[done:], operations, len(minibatches))
                turn = slice(done, done + size)
                step = blocks(minibatches[turn], counts[turn], operations)
                done += size
                if done == len(minibatches):
                    self._count_step(step.gradients, optimizer)
                yield done, step

    def _count_step(self, gradients: Sequence[Tensor], optimizer: LightningOptimizer) -> None:
        """Let Lightning count an iteration whose last step is made, and show its gradients."""
        for parameter in self.parameters:
            parameter.grad = None  # without gradients a step changes nothing
        optimizer.step()
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient

    def __call__(
        self, batch: Transitions, optimizer: LightningOptimizer, *, is_last: bool
    ) -> LearningStep:
        """Update the weights.

        Args:
            batch: columns [B, ...].
            optimizer: Lightning's wrapper, whose own step runs once an iteration.
            is_last: this is the iteration's last update.
        """
        step = self.learn(batch)
        self.apply(step.gradients, optimizer, is_last=is_last)
        return step

    def learn(self, batch: Transitions) -> LearningStep:
        """Return what :meth:`step` returns, by the compiled step where there is one."""
        return self._step(batch) if self._bucket is None else self.shared_step(batch)

    def apply(
        self, gradients: Sequence[Tensor], optimizer: LightningOptimizer, *, is_last: bool
    ) -> None:
        """Step the optimizer; by Lightning's own step once an iteration, which it counts."""
        if not is_last and not self.before_step:
            self._optimizer_step(gradients)
            return
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        if is_last:
            optimizer.step()
            return
        for function in self.before_step:
            function(optimizer.optimizer)
        self._optimizer_step([cast(Tensor, parameter.grad) for parameter in self.parameters])


def _described(
    output: LossOutput, gradient_norm: Tensor | None = None
) -> tuple[UpdateStatistics, Tensor]:
    """Return the statistics of an update, and its priorities float[B]."""
    size = output.td_error.abs()
    statistics = UpdateStatistics(
        loss=output.loss.detach(),
        q_value=output.q_value.mean(),
        td_error=size.mean(),
        gradient_norm=gradient_norm,
        self_prediction_loss=output.self_prediction,
    )
    return statistics, size if output.priority is None else output.priority


def trainable_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a network that learn."""
    return [p for p in network.parameters() if p.requires_grad]

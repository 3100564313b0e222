"""Updates as one graph each, or several: loss, gradients, check, optimizer and moving average.

What has to act after an update acts between graphs. A graph is one function of tensors that stay
where they are, so that it can be recorded and replayed as a whole.

Shapes: K updates of a graph, B batch, P parameters that learn, C statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_dqn.learning.compilation import CheckedCompiledStep, keep_in_place
from lightning_dqn.learning.optimizer_layout import OptimizerLayout
from lightning_dqn.learning.repeating import Repeated
from lightning_dqn.learning.rules import GroupTensors, Rule
from lightning_dqn.learning.traced_optimizer import TracedOptimizer, can_be_traced
from lightning_dqn.networks.alignment import Aligned
from lightning_dqn.transitions import Iteration, Transitions


class Counts(NamedTuple):
    """Where a run stands after an update.

    Attributes:
        updates: optimizer steps so far.
        env_steps: env steps so far, those of this update's share of its iteration included.
    """

    updates: int
    env_steps: int


def counts_after_updates(iteration: Iteration, num_updates: int, updates: int) -> list[Counts]:
    """Return where a run stands after each update of an iteration.

    Args:
        iteration: whose env steps are spread over its updates.
        num_updates: U.
        updates: before it.
    """
    new = iteration.new_env_steps
    before = iteration.env_steps - new
    return [Counts(updates + u, before + new * u // num_updates) for u in range(1, num_updates + 1)]


class LearningStep(NamedTuple):
    """What is told of one update, or with a leading K of several.

    Attributes:
        gradients: of every trainable parameter, clipped; all zero if the loss or one of them was
            not finite. Of several updates the last one's.
        statistics: float[C], :meth:`UpdateStatistics.stacked`.
        priority: float[B].
        squares: float[P], of each parameter's gradient the sum of squares, as it came.
    """

    gradients: list[Tensor]
    statistics: Tensor
    priority: Tensor
    squares: Tensor


def one_by_one(parts: Sequence[Tensor]) -> Tensor:
    """Return what was told of each of U updates, [U, N].

    Args:
        parts: [N] of one update, or [K, N] of several. Where N grew or shrank on the way, as where
            others learn from some update on, rows are filled up with zeros.
    """
    sizes = {part.shape[-1] for part in parts}
    if len(sizes) == 1:
        return torch.cat([part.flatten() for part in parts]).view(-1, *sizes)
    rows = [row for part in parts for row in part.view(-1, part.shape[-1])]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


class Move(NamedTuple):
    """A moving average that is taken within a graph: average <- average + weight * (online - it).

    Attributes:
        averages: tensors that move.
        onlines: tensors that they move toward.
        copies: buffers that become what ``originals`` are, where the weight isn't 0.
        originals: buffers of the online network.
        weights: float32[K], of each update; 0 leaves all as it is.
    """

    averages: list[Tensor]
    onlines: list[Tensor]
    copies: list[Tensor]
    originals: list[Tensor]
    weights: Tensor


class Graph:
    """K updates, one after the other, as one function that changes tensors in place.

    Args:
        step: from a minibatch to what is told, gradients among it.
        rules: how each group of the optimizer steps.
        places: of each group's parameters among the gradients.
    """

    def __init__(
        self,
        step: Callable[[Transitions], LearningStep],
        rules: Sequence[Rule],
        places: Sequence[Sequence[int]],
    ) -> None:
        self.step = step
        self.parts = list(zip(rules, places, strict=True))

    def __call__(
        self, batches: Sequence[Transitions], groups: Sequence[GroupTensors], moves: Sequence[Move]
    ) -> LearningStep:
        """Make the updates.

        Args:
            batches: K of columns [B, ...].
            groups: of the optimizer, in the order of the rules.
            moves: taken after each update.
        """
        shared = (groups, moves)
        steps = [self.update(own, shared) for own in _of_each(batches, moves)]
        others = (torch.stack(values) for values in list(zip(*steps, strict=True))[1:])
        return LearningStep(steps[-1].gradients, *others)

    def update(
        self,
        own: tuple[Transitions, Sequence[Tensor]],
        shared: tuple[Sequence[GroupTensors], Sequence[Move]],
    ) -> LearningStep:
        """Make one of the updates.

        Args:
            own: its minibatch, and its weight float32[] in each move.
            shared: the optimizer's groups and the moves.
        """
        (batch, weights), (groups, moves) = own, shared
        step = self.step(batch)
        with torch.no_grad():
            for (rule, places), group in zip(self.parts, groups, strict=True):
                rule(group, [step.gradients[place] for place in places])
            for move, weight in zip(moves, weights, strict=True):
                _take(move, weight)
        return step

    def compiled(self, options: Mapping[str, Any]) -> Callable[..., LearningStep]:
        """Return the same function, compiled from a single update."""
        repeated = Repeated(self.update, options)

        def updates(
            batches: Sequence[Transitions], groups: Sequence[GroupTensors], moves: Sequence[Move]
        ) -> LearningStep:
            gradients, *others = repeated(_of_each(batches, moves), (groups, moves))
            return LearningStep([each[-1] for each in gradients], *others)

        return updates


def _of_each(
    batches: Sequence[Transitions], moves: Sequence[Move]
) -> list[tuple[Transitions, list[Tensor]]]:
    """Return what is an update's own, of each."""
    weights = [move.weights.unbind() for move in moves]
    return [(batch, [own[n] for own in weights]) for n, batch in enumerate(batches)]


class Blocks:
    """Makes the updates of an iteration by graphs, as many in one as nothing acts between.

    Args:
        step: from a minibatch to what is told, gradients among it.
        layout: of the optimizer, and of what learns.
        most: K is at most so much; 1 is for who wants graphs of single updates.
        device: where the weights are.
        buffers: of the network, which the loss may change.
    """

    def __init__(
        self,
        step: Callable[[Transitions], LearningStep],
        layout: OptimizerLayout,
        *,
        most: int,
        device: torch.device,
        buffers: Sequence[Tensor] = (),
    ) -> None:
        self._step = step
        self._layout = layout
        self._most = most
        self._least = min(most, 2)
        self._device = device
        self._buffers = list(buffers)
        self._traced: TracedOptimizer | None = None
        self._graphs: dict[int, CheckedCompiledStep] = {}
        self._weights: dict[tuple[int, int], tuple[list[float], Tensor]] = {}
        self._has_failed = False

    def is_worth_it(self, operations: Sequence[Any], in_all: int) -> bool:
        """Tell whether graphs can be used now, and for several updates at once.

        The optimizer's options are constants of a graph; where they change on the way, no graph is
        worth it. One of a single update saves next to nothing.

        Args:
            operations: as in :meth:`size`.
            in_all: updates of the iteration, U.
        """
        if self._has_failed or not can_be_traced(self._layout.optimizer):
            return False
        if size_of_graphs(in_all, between_graphs(operations), self._most) < self._least:
            return False
        self._has_failed = self._traced is not None and not self._traced.has_its_rules()
        return not self._has_failed

    def size(self, ahead: Sequence[Counts], operations: Sequence[Any], in_all: int) -> int:
        """Return how many of the updates ahead are made by the next graph, at least 1.

        Args:
            ahead: where the run stands after each.
            operations: that are called after an update, see
                :class:`lightning_dqn.callbacks.ModelOperation` for what they tell of themselves.
            in_all: updates of the iteration, U.
        """
        others = between_graphs(operations)
        size = size_of_graphs(in_all, others, self._most)
        if size > len(ahead) or size == 1:
            return 1
        return size if all(o.quiet_at(*ahead[size - 2]) for o in others) else 1

    def __call__(
        self, batches: Sequence[Transitions], counts: Sequence[Counts], operations: Sequence[Any]
    ) -> LearningStep:
        """Make K updates by one graph, and what acts within it.

        Args:
            batches: K of columns [B, ...].
            counts: where the run stands after each.
            operations: as in :meth:`size`; those that acted within the graph are told so.
        """
        traced = self._lay_out()
        others = between_graphs(operations)
        movers = [o for o in operations if o not in others]
        # What else acts after the last update may come before an average: in the usual order then.
        within = all(acts_in_periods(o) and o.quiet_at(*counts[-1]) for o in others)
        moved = counts if within else counts[:-1]
        moves = [self._move(mover, len(counts), moved) for mover in movers]
        graph = self._graph(len(batches), traced)
        result: LearningStep = graph(batches, traced.groups, moves)
        self._has_failed = graph.has_failed
        for mover in movers if moved else ():
            mover.note(*moved[-1])
        return result

    def _lay_out(self) -> TracedOptimizer:
        if self._traced is None or not self._traced.has_its_tensors():
            self._traced = TracedOptimizer(self._layout)
            keep_in_place(self._traced.tensors)
        self._traced.refresh()
        return self._traced

    def _graph(self, size: int, traced: TracedOptimizer) -> CheckedCompiledStep:
        if size not in self._graphs:
            graph = Graph(self._step, traced.rules, traced.places)
            self._graphs[size] = CheckedCompiledStep(
                graph,
                self._device,
                # Not tried where launches are recorded: there the compiler reads all updates.
                compiled=graph.compiled if self._device.type == "cpu" else None,
                changed=self._changed,
                instead="the optimizer steps by itself",
            )
        return self._graphs[size]

    def _move(self, mover: Any, size: int, moved: Sequence[Counts]) -> Move:
        """Return what a mover does in a graph of so many updates, after the first of them."""
        weights = [mover.weight_at(count.updates) for count in moved]
        weights += [0.0] * (size - len(moved))
        aligned: Aligned = mover.aligned
        (averages, onlines), (copies, originals) = aligned.tensors, aligned.copied
        key = (id(mover), size)
        if key not in self._weights:
            self._weights[key] = ([], torch.zeros(size, device=self._device))
            keep_in_place([*averages, *copies])
        known, tensor = self._weights[key]
        if known != weights:
            tensor.copy_(torch.tensor(weights))
            known[:] = weights
        return Move(averages, onlines, copies, originals, tensor)

    def _changed(
        self, batches: Sequence[Transitions], groups: Sequence[GroupTensors], moves: Sequence[Move]
    ) -> list[Tensor]:
        assert self._traced is not None
        averages = [t for move in moves for t in (*move.averages, *move.copies)]
        return [*self._traced.tensors, *self._buffers, *averages]


def between_graphs(operations: Sequence[Any]) -> list[Any]:
    """Return the operations that don't act within a graph."""
    return [o for o in operations if not getattr(o, "moves_within_graphs", False)]


def acts_in_periods(operation: Any) -> bool:
    """Tell whether an operation does nothing but when a period is over, and says when that is."""
    return bool(getattr(operation, "acts_in_periods", False))


def size_of_graphs(updates: int, operations: Sequence[Any], most: int) -> int:
    """Return the largest number up to ``most`` that divides U and each period in updates.

    Args:
        updates: of an iteration, U.
        operations: that act between graphs, see :func:`between_graphs`.
        most: at least 1.
    """
    if not all(map(acts_in_periods, operations)):
        return 1
    periods = [o.period.length for o in operations if not o.period.counts_env_steps]
    common = math.gcd(updates, *periods)
    return max(size for size in range(1, most + 1) if common % size == 0)


def _take(move: Move, weight: Tensor) -> None:
    for average, online in zip(move.averages, move.onlines, strict=True):
        average.lerp_(online, weight)
    for copy, original in zip(move.copies, move.originals, strict=True):
        copy.copy_(torch.where(weight > 0, original, copy))

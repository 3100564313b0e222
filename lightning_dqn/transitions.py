"""What travels through the house: rows into the replay ring, transitions out of it.

Shapes: T time, E environments, U updates, B batch, A actions, K steps to come, C statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

NO_ACTION = -1
"""The action of a row that holds an episode's final observation: no action was taken there."""


class Rows(NamedTuple):
    """Consecutive rows of every environment, as the environments gave them.

    A row is one observation and what followed from it. The row after an episode's end holds
    the final observation with the action ``NO_ACTION``; the next row starts a new episode.

    Attributes:
        observation: [T, E, *shape], the environment's dtype (float64 is stored as float32).
        action: int64[T, E], ``NO_ACTION`` in a row that holds a final observation.
        reward: float32[T, E].
        terminated: bool[T, E], the action ended the episode: nothing is to be expected after.
        truncated: bool[T, E], the episode was cut off: the future has a value all the same.
        action_mask: bool[T, E, A], the legal actions at this observation, or None.
        life_lost: bool[T, E], the action cost a life: nothing is learned to be expected after,
            though the episode goes on; None where environments tell of none.
        extra: what else was declared of each row by its name, [T, E, ...], see
            :mod:`lightning_dqn.extra_columns`; None where nothing was.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    action_mask: np.ndarray | None
    life_lost: np.ndarray | None = None
    extra: Mapping[str, np.ndarray] | None = None

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Rows:
        """Return rows with every column changed; one that is absent stays so."""
        *own, extra = self
        columns = (None if column is None else change(column) for column in own)
        return Rows._make((*columns, _by_name(extra, change)))


def joined(parts: Sequence[Rows], axis: int) -> Rows:
    """Return rows after each other (axis 0), or beside each other (axis 1)."""
    if len(parts) == 1:
        return parts[0]
    *own, extra = zip(*parts, strict=True)
    columns = [None if c[0] is None else np.concatenate(c, axis=axis) for c in own]
    names = [] if extra[0] is None else list(extra[0])
    together = {name: np.concatenate([one[name] for one in extra], axis=axis) for name in names}
    return Rows._make((*columns, together or None))


def rows_to_plain(rows: Rows) -> dict[str, Any]:
    """Return rows as tensors by the names of their columns."""
    plain: Any = rows.each(lambda column: torch.from_numpy(np.array(column)))  # type: ignore[arg-type,return-value]
    columns: dict[str, Any] = plain._asdict()
    return columns


def rows_from_plain(columns: Mapping[str, Any]) -> Rows:
    """Return the rows that :func:`rows_to_plain` gave."""
    return Rows(**columns).each(lambda column: column.numpy().copy())  # type: ignore[attr-defined]


def truncated_where_cut(rows: Rows) -> Rows:
    """Return rows in which an episode ends as truncated where a final observation follows.

    A source that lost an environment knows of it too late to say so in the row before. What the
    first rows follow isn't here; the ring sees to that.
    """
    is_final = rows.action == NO_ACTION
    if not is_final.any():
        return rows
    cut = is_final[1:] & ~(is_final | rows.terminated | rows.truncated)[:-1]
    if not cut.any():
        return rows
    truncated = np.array(rows.truncated)  # theirs may be read-only
    truncated[:-1] |= cut
    return rows._replace(truncated=truncated)


def truncated_by(rows: Rows, last: Rows) -> Rows:
    """Return rows with ``last`` after them, before which the open episodes end as truncated."""
    return truncated_where_cut(joined([rows, last], axis=0))


def _unbound(column: Any) -> Iterable[Any]:
    """Yield a column's parts along U; of one that is absent, itself without end."""
    if isinstance(column, Tensor):
        return column.unbind(0)
    if not column:
        return repeat(column)
    parts = zip(*(one.unbind(0) for one in column.values()), strict=True)
    return (dict(zip(column, part, strict=True)) for part in parts)


def _by_name(columns: Mapping[str, Any] | None, change: Callable[[Any], Any]) -> Any:
    return None if columns is None else {name: change(one) for name, one in columns.items()}


def _multiplied(images: Tensor, factor: Tensor) -> Tensor:
    """Return images [..., *shape] as floats, each multiplied with its factor, float[...]."""
    # By eager torch two passes of one type each take a third of the time of one that mixes types.
    floats = images.to(factor.dtype)
    return floats * factor.view(*factor.shape, *[1] * (images.ndim - factor.ndim))


class Transitions(NamedTuple):
    """Minibatches for learning; leading dimensions [U, B], or [B] for one minibatch.

    Attributes:
        observation: [U, B, *shape], the environment's dtype; [U, B, S, *shape] with frame stacks.
        action: int64[U, B].
        reward: float32[U, B], the discounted sum over the n-step chain.
        discount: float32[U, B], the product of the chain's discounts: what the value of
            ``next_observation`` is multiplied with; 0 where the chain ended in termination.
        next_observation: like ``observation``, where the chain ends; None where ``reward`` is
            the whole target and the discount 0, as with lambda-returns.
        next_action_mask: bool[U, B, A], the legal actions there, or None.
        action_mask: bool[U, B, A], the legal actions at ``observation``, or None.
        weight: float32[U, B], what each loss is multiplied with, at most 1, or None for 1.
        sequence_observation: [U, B, K, *shape] or [U, B, K, S, *shape], the observations of the K
            steps to come, or None where none were asked for. A step that isn't within shows the
            newest one that is once more.
        sequence_action: int64[U, B, K], the actions that lead from each step to the next; the
            first is ``action``.
        sequence_within: bool[U, B, K], the step to come belongs to the same life of the episode
            and is stored.
        extra: what else was declared of the row that each starts in, by its name, [U, B, ...], see
            :mod:`lightning_dqn.extra_columns`; None where nothing was.
        sequence_extra: likewise of the steps to come, [U, B, K, ...]; None where none were asked
            for.
        intensity: what images are to be multiplied with before a loss sees them, by the name of
            their column, float32[U, B] or [U, B, K]; None: they stay. See :meth:`with_intensity`.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_observation: Tensor | None
    next_action_mask: Tensor | None
    action_mask: Tensor | None = None
    weight: Tensor | None = None
    sequence_observation: Tensor | None = None
    sequence_action: Tensor | None = None
    sequence_within: Tensor | None = None
    extra: Mapping[str, Tensor] | None = None
    sequence_extra: Mapping[str, Tensor] | None = None
    intensity: Mapping[str, Tensor] | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> Transitions:
        """Return transitions with every column changed; one that is absent stays so."""
        *own, extra, to_come, intensity = self
        columns = (None if column is None else change(column) for column in own)
        by_name = (_by_name(named, change) for named in (extra, to_come, intensity))
        return Transitions._make((*columns, *by_name))

    def unflatten(self, num_updates: int, batch_size: int) -> Transitions:
        """Split [U * B, ...] into [U, B, ...] that share its memory."""
        return self.each(lambda column: column.unflatten(0, (num_updates, batch_size)))

    def minibatches(self) -> list[Transitions]:
        """Split [U, B, ...] into U minibatches [B, ...] that share its memory."""
        columns = map(_unbound, self)
        return [Transitions._make(minibatch) for minibatch in zip(*columns, strict=False)]

    def with_intensity(self) -> Transitions:
        """Return transitions whose images are multiplied with their intensity, as floats.

        Within a compiled update the floats are never written to memory as such.
        """
        if self.intensity is None:
            return self
        images: dict[str, Any] = {
            name: _multiplied(getattr(self, name), factor)
            for name, factor in self.intensity.items()
        }
        return self._replace(**images, intensity=None)


class Episode(NamedTuple):
    """A finished episode.

    Attributes:
        episode_return: undiscounted sum of the environment's own rewards.
        episode_length: in env steps.
        wrapped_return: the sum of the rewards as wrappers made them, which are learned from; None
            where no wrapper stands between.
        is_cut: evaluation ended it at its limit, not the environment.
    """

    episode_return: float
    episode_length: int
    wrapped_return: float | None = None
    is_cut: bool = False


class Iteration(NamedTuple):
    """What the train loader yields: Lightning's batch.

    Attributes:
        transitions: U minibatches.
        env_steps: env steps taken since the beginning of the run, those of this iteration included.
        new_env_steps: env steps that this iteration's collection took.
        epsilon: the exploration rate of its last step.
        episodes: training episodes that ended in it.
        worker_restarts: of the training environments so far; None where none has a worker.
        metrics: further ones of the source, by their keys.
    """

    transitions: Transitions
    env_steps: int
    new_env_steps: int
    epsilon: float
    episodes: list[Episode]
    worker_restarts: int | None = None
    metrics: Mapping[str, float] = MappingProxyType({})


class UpdateStatistics(NamedTuple):
    """What is told of every update; each a number, or float[U] of U updates.

    Attributes:
        loss: what was minimised.
        q_value: mean predicted value of the actions learned from.
        td_error: mean absolute TD error.
        gradient_norm: L2 norm of all gradients together, before clipping.
        self_prediction_loss: what the self-prediction adds to the loss comes from, unweighted;
            None where no latents are predicted.
    """

    loss: Any
    q_value: Any
    td_error: Any
    gradient_norm: Any
    self_prediction_loss: Any = None

    @classmethod
    def of(cls, stacked: Tensor, **others: Any) -> UpdateStatistics:
        """Return the statistics that :meth:`stacked` put into one tensor.

        Args:
            stacked: [C], or [U, C] of U updates.
            others: by their names and in their order, what wasn't among them.
        """
        values = list(stacked.unbind(-1))
        for name, value in others.items():
            values.insert(cls._fields.index(name), value)
        return cls(*values)

    def stacked(self) -> Tensor:
        """Return those that are present in one tensor, float32[C], or [U, C] of U updates."""
        return torch.stack([value.float() for value in self if value is not None], dim=-1)

    def present(self) -> dict[str, Any]:
        """Return those that there are, by their names."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class Policy(Protocol):
    """Who chooses the actions: all that the collecting side knows of the learning side.

    One that explores by itself may say so by a true attribute ``explores``. One that can tell how
    much there is to learn has ``priorities(observation, action, reward, discount,
    next_observation, next_action_mask)``, of arrays [M, ...] as in :class:`Transitions`, which
    returns float32[M], at least 0.
    """

    def act(
        self,
        observation: np.ndarray,
        action_mask: np.ndarray | None = None,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the greedy legal action of every environment, int64[E], as it takes them.

        Args:
            observation: [E, *shape], or [E, S, *shape] with frame stacks.
            action_mask: bool[E, A], True where legal, or None where all are.
            noise: float32[E, A], added to the values before the best is chosen.
        """
        ...


class Valuer(Protocol):
    """Who values observations, where the collecting side needs that."""

    def greedy_value(self, observation: Tensor, action_mask: Tensor | None = None) -> Tensor:
        """Return the value of each observation's best legal action, float[M].

        Args:
            observation: [M, *shape], or [M, S, *shape] with frame stacks.
            action_mask: bool[M, A], True where legal, or None where all are.
        """
        ...


class Learner(Policy, Valuer, Protocol):
    """A policy that learns: ``act`` is how it is evaluated, the behaviour policy collects.

    Attributes:
        env_steps: that it has learned from; 0: it is new.
    """

    env_steps: int

    def behaviour_policy(self) -> Policy:
        """Return the policy that collects, with the weights of this moment.

        They stay as they are until the next call, whatever updates follow.
        """
        ...

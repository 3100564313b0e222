"""Prioritised replay: transitions with more to learn are drawn more often.

Shapes: U updates, B batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_dqn.extra_columns import INITIAL_PRIORITY
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.sampler import Pace, Sampler, Upcoming
from lightning_dqn.replay.samplers.uniform import replay_pace
from lightning_dqn.replay.sum_tree import SumTree, tree_bytes
from lightning_dqn.schedules import LinearSchedule, Schedule, as_schedule, ends
from lightning_dqn.system import devices
from lightning_dqn.system.faults import NonFiniteError
from lightning_dqn.system.numbers import check_finite, keep_plain
from lightning_dqn.transitions import NO_ACTION, Transitions, Valuer


@dataclass(frozen=True)
class PrioritizedSampling:
    """Proportional prioritised replay, Schaul et al. 2016 (arxiv.org/abs/1511.05952), algorithm 1.

    A transition is drawn with a probability proportional to (priority + epsilon)^alpha. Its loss
    is weighted by (number of transitions * probability)^-beta over the largest of the minibatch.
    New transitions get the largest value so far, or that of the priority in their row, see
    :data:`lightning_dqn.extra_columns.INITIAL_PRIORITY`. With several ranks, all of this refers to
    the transitions of all ranks.

    Args:
        alpha: 0 is uniform, 1 fully proportional.
        beta: how far the weights correct the bias, a number or a schedule over env steps; 1: fully.
        epsilon: added to each priority, so that transitions without an error are still drawn.
    """

    gives_whole_targets: ClassVar[bool] = False
    can_be_shared: ClassVar[bool] = True
    takes_initial_priorities: ClassVar[bool] = True

    alpha: float = 0.6
    beta: float | Schedule = field(default_factory=lambda: LinearSchedule(0.4, 1.0, 100_000))
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        keep_plain(self)
        check_finite(self, "alpha", "epsilon")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha}: between 0 and 1")
        for name, value in ends("beta", self.beta):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value}: between 0 and 1")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon={self.epsilon}: must be above 0")

    def pace(self, asked: Pace) -> Pace:
        """Return the configured pace, with a warm-up of at least one transition."""
        return replay_pace(asked)

    def bytes_beside_ring(self, num_rows: int) -> int:
        """Return the bytes that the priorities of ``num_rows`` rows take."""
        return tree_bytes(num_rows)

    def make(self, replay: ReplayBuffer, upcoming: Upcoming) -> PrioritizedSampler:
        """Return the sampler."""
        return PrioritizedSampler(replay, self)


class PrioritizedSampler(Sampler):
    """Draws transitions by priority; priorities are kept beside the ring, one for each cell.

    Args:
        replay: an empty ring.
        config: how priorities are used.
    """

    uses_priorities = True

    def __init__(self, replay: ReplayBuffer, config: PrioritizedSampling) -> None:
        super().__init__(replay)
        self.config = config
        self.beta = as_schedule(config.beta, "beta", most=1.0)
        self.tree = SumTree(replay.num_times * replay.num_envs, replay.device)
        self._largest = torch.ones((), dtype=self.tree.dtype, device=replay.device)
        self._are_finite = torch.ones((), dtype=torch.bool, device=replay.device)
        self._has_initial = INITIAL_PRIORITY in replay.extra_columns
        self._newest: int | None = None
        self._drawn: Tensor | None = None
        replay.after_write.append(self._follow_write)

    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return minibatches [U, B, ...] with their importance weights.

        Raises:
            ValueError: no row is a start yet.
        """
        num_starts = self.replay.num_starts
        if num_starts < 1:
            raise ValueError("the replay ring holds no transition yet: collect some rows first")
        cells = self.tree.sample(num_updates, batch_size, self.replay.generator)
        self._drawn = cells
        transitions = self.replay.transitions_at(cells).unflatten(num_updates, batch_size)
        shape = (num_updates, batch_size)
        beta = self.beta(env_steps)
        if self.ranks.are_several:
            weight = self._weight_over_ranks(cells.unflatten(0, shape), beta)
        else:
            odds = (self.tree[cells] * (num_starts / self.tree.total)).unflatten(0, shape)
            weight = odds.pow(-beta)
            weight = weight / weight.amax(dim=1, keepdim=True)
        return transitions._replace(weight=weight.float())

    def update_priorities(self, priority: Tensor) -> None:
        """Set the priorities of the newest sample's transitions.

        If a transition was drawn more than once, the largest priority counts.

        Args:
            priority: float[U, B], whose sign is ignored.

        Raises:
            NonFiniteError: one isn't finite. On an accelerator, where checking would wait for the
                device, it counts as 0 until :meth:`state_dict` raises.
        """
        assert self._drawn is not None, "priorities of nothing: sample comes first, extend after"
        given = priority.to(self.tree.device, self.tree.dtype)
        self._are_finite &= given.isfinite().all()
        if devices.is_read_freely(given):
            self._check_finite()
        value = self._value(given.nan_to_num(0.0, 0.0, 0.0).abs()).flatten()
        self.tree.update(self._drawn, value)
        self._largest = torch.maximum(self._largest, value.max())
        if self.ranks.are_several:
            self._largest = self.ranks.gather(self._largest).max()

    def stored_priorities(self, cells: Tensor) -> Tensor:
        """Return (priority + epsilon)^alpha of cells, as the tree holds them, float[M]."""
        return self.tree[cells]

    def state_dict(self) -> dict[str, Any]:
        """Return the priorities; an iteration's have come back before it is saved.

        Raises:
            NonFiniteError: one that came since the last call wasn't finite.
        """
        self._check_finite()
        priorities = self.tree[:].cpu().clone()
        return {"priorities": priorities, "largest": float(self._largest), "newest": self._newest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back."""
        self.tree.fill(0, self.tree.size, state["priorities"].to(self.tree.device))
        self._largest.fill_(state["largest"])
        self._newest = state["newest"]
        self._drawn = None

    def _weight_over_ranks(self, cells: Tensor, beta: float) -> Tensor:
        """Return the weights of one rank's part of minibatches, float[U, B].

        Each rank draws as many as the others, though the priorities of its ring may come to less.
        So that every transition of all rings is drawn in proportion to its priority, a rank drops
        some of what it drew, with the probability that its total lacks of the largest one's; they
        get no weight, and the others of the minibatch so much more that its mean is theirs.
        """
        replay = self.replay
        own = torch.stack([self.tree.total, torch.full_like(self.tree.total, replay.num_starts)])
        totals, starts = self.ranks.gather(own).unbind(dim=1)
        chance = torch.rand(cells.shape, generator=replay.generator, device=replay.device)
        is_kept = chance < self.tree.total / totals.max()
        odds = self.tree[cells.flatten()].view_as(cells) * (starts.sum() / totals.sum())
        weight = odds.pow(-beta) * is_kept
        own = torch.stack([weight.amax(dim=1), is_kept.sum(dim=1).to(weight.dtype)])
        largest, kept = self.ranks.gather(own).unbind(dim=1)
        num_drawn = cells.shape[1] * self.ranks.size
        return weight * (num_drawn / (kept.sum(dim=0) * largest.amax(dim=0)))[:, None]

    def _check_finite(self) -> None:
        if not bool(self._are_finite):
            self._are_finite.fill_(True)
            raise NonFiniteError(
                "sampler: a priority that came back from learning isn't finite; it was kept out "
                "of the sum tree. Lower the learning rate, or look at the loss's priority"
            )

    def _follow_write(self, begin: int, end: int) -> None:
        """Give new starts a priority, once their successor is stored, and others none."""
        replay = self.replay
        self._drawn = None  # what was drawn may be overwritten
        if self._newest is not None:
            self._fill(self._newest, self._newest + 1)
        self._fill(begin, end)
        self._clear(end - 1)
        for time in replay.oldest_incomplete_times():
            self._clear(int(time))
        self._newest = end - 1

    def _fill(self, begin: int, end: int) -> None:
        first, last = begin * self.replay.num_envs, end * self.replay.num_envs
        is_start = self.replay.read("action", slice(first, last)) != NO_ACTION
        self.tree.fill(first, last, is_start * self._first_values(first, last))

    def _first_values(self, first: int, last: int) -> Tensor:
        """Return what starts in cells [first, last) have before they were learned from.

        The largest value there has been, or that of the priority which their row came with.
        """
        if not self._has_initial:
            return self._largest
        given = self.replay.read(INITIAL_PRIORITY, slice(first, last)).to(self.tree.dtype)
        is_known = (given >= 0) & given.isfinite()
        value = self._value(given.where(is_known, 0.0))
        self._largest = torch.maximum(self._largest, value.where(is_known, 0.0).max())
        return value.where(is_known, self._largest)

    def _value(self, priority: Tensor) -> Tensor:
        return (priority + self.config.epsilon).pow(self.config.alpha)

    def _clear(self, time: int) -> None:
        num_envs = self.replay.num_envs
        self.tree.fill(time * num_envs, (time + 1) * num_envs, 0.0)

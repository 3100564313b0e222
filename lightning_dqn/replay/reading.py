"""Transitions from rows, by index arithmetic: successors, n-step chains, stacks of frames.

A ring of T times and E environments, with the newest row of each environment at time ``newest``;
a cell is numbered time * E + environment. A row holds one observation and what followed from it:

    time      3     4     5     6     7
    row      o a   o a   o -   o a   o a        "-": the final observation, no action
    ended           ^                           the action of time 4 ended the episode
    chain     3 --> 4 --> 5                     of two steps from 3; it bootstraps from row 5,
                                                unless time 4 was a termination
    stack           3 3 4      6 6 7            of three frames at 4 and 7: never across a start

If environments report lives, the end of a life closes a chain like a termination, and a new stack
begins after it, though the game continues and no row is final.

Pure functions of tensors. Shapes: M cells, S stacked frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.schedules import Schedule, ends
from lightning_dqn.system.numbers import finite_number, keep_plain, keep_whole
from lightning_dqn.transitions import NO_ACTION


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a transition is: its n-step length, and its discount.

    Args:
        gamma: discount of one env step, or a schedule of it over env steps; negative in zero-sum
            games in which the next state is the opponent's.
        n_step: rewards summed before bootstrapping: a number, a schedule of it over env steps,
            or a range [low, high] from which each sample draws its own.
        reward_clip: rewards are clipped to [-reward_clip, reward_clip] for learning (Mnih et al.
            2015: 1); the stored rewards and the logged returns aren't. None: no clipping.
        sequence_length: future steps that a minibatch has for each transition, see
            :mod:`lightning_dqn.replay.sequences`; None: none.
    """

    gamma: float | Schedule = 0.99
    n_step: int | Sequence[int] | Schedule = 1
    reward_clip: float | None = None
    sequence_length: int | None = None

    def __post_init__(self) -> None:
        keep_plain(self)
        for name, value in ends("gamma", self.gamma):
            _check_gamma(name, value)
        for name, value in ends("n_step", self.n_step) if callable(self.n_step) else ():
            if not value > 0.5:  # what is rounded to 1
                raise ValueError(f"{name}={value}: at least 1")
        self.gamma_at(0)
        self.n_step_at(0)
        if self.reward_clip is not None and not finite_number("reward_clip", self.reward_clip) > 0:
            raise ValueError(f"reward_clip={self.reward_clip}: above 0, or null")
        if self.sequence_length is not None:
            keep_whole(self, sequence_length=1)

    def gamma_at(self, env_steps: int) -> float:
        """Return the discount after ``env_steps`` env steps."""
        gamma = float(self.gamma(env_steps) if callable(self.gamma) else self.gamma)
        _check_gamma("gamma", gamma)
        return gamma

    def n_step_at(self, env_steps: int) -> tuple[int, int]:
        """Return the smallest and largest n after ``env_steps`` env steps."""
        n_step = self.n_step
        if callable(n_step):
            n_step = round(n_step(env_steps))
        bounds = tuple(n_step) if isinstance(n_step, Sequence) else (n_step, n_step)
        if len(bounds) != 2 or not all(isinstance(bound, int) for bound in bounds):
            raise ValueError(f"n_step={self.n_step}: a whole number, or a range [low, high]")
        if not 1 <= bounds[0] <= bounds[1]:
            raise ValueError(f"n_step={n_step}: at least 1, and the range must rise")
        return bounds


def _check_gamma(name: str, value: float) -> None:
    if not -1 <= value <= 1:
        raise ValueError(f"{name}={value}: must lie between -1 and 1")


class Cells(NamedTuple):
    """A ring to read from.

    Attributes:
        columns: name -> [T * E, ...], by cell.
        num_envs: E.
        newest: time of the newest rows.
        oldest: time of the oldest.
        reward_clip: see :class:`Reading`.
    """

    columns: Mapping[str, Tensor]
    num_envs: int
    newest: int
    oldest: int
    reward_clip: float | None = None

    def successor(self, cells: Tensor) -> Tensor:
        """Return the cells one time later, int64[M]."""
        return (cells + self.num_envs) % len(self.columns["action"])

    def time(self, cells: Tensor) -> Tensor:
        """Return the times of cells, int64[M]."""
        return cells.div(self.num_envs, rounding_mode="floor")

    def reward(self, cells: Tensor) -> Tensor:
        """Return the rewards of cells, clipped for learning, float32[M]."""
        reward = self.columns["reward"][cells]
        clip = self.reward_clip
        return reward if clip is None else reward.clamp(-clip, clip)

    def closed(self, cells: Tensor) -> Tensor:
        """Return whether the action of a cell terminated its episode or ended a life, bool[M]."""
        terminated = self.columns["terminated"][cells]
        life_lost = self.columns.get("life_lost")
        return terminated if life_lost is None else terminated | life_lost[cells]

    def ended(self, cells: Tensor) -> Tensor:
        """Return whether a chain ends with the action of a cell, bool[M]."""
        return self.closed(cells) | self.columns["truncated"][cells]


class Chain(NamedTuple):
    """The n-step returns from some cells.

    Attributes:
        reward: float32[M], the discounted sum of rewards.
        discount: float32[M], of the value of ``last``; 0 after termination or the end of a life.
        last: int64[M], the cells bootstrapped from.
    """

    reward: Tensor
    discount: Tensor
    last: Tensor


def follow_chain(
    ring: Cells, cells: Tensor, gamma: float, longest: int, length: int | Tensor
) -> Chain:
    """Follow actions for up to ``length`` steps.

    A chain stops at the end of its episode or life, and at the newest stored row.

    Args:
        ring: what is read.
        cells: int64[M], starts.
        gamma: discount of one env step.
        longest: the largest length.
        length: of each chain, int64[M], or one for all.
    """
    if longest == 1:
        return Chain(ring.reward(cells), gamma * (~ring.closed(cells)), ring.successor(cells))
    steps = torch.arange(longest, device=cells.device).unsqueeze(1)
    path = (cells + steps * ring.num_envs) % len(ring.columns["action"])
    closed = ring.closed(path)
    goes_on = torch.ones_like(closed)
    goes_on[1:] = ~(closed | ring.columns["truncated"][path])[:-1]
    goes_on[1:] &= ring.time(path[1:]) != ring.newest
    goes_on &= length > steps
    goes_on = goes_on.cumprod(0, dtype=torch.int8).bool()
    factor = torch.where(goes_on, gamma * (~closed), 1.0)
    reward = torch.where(goes_on, ring.reward(path), 0.0)
    total, discount = reward[0], factor[0]
    for step in range(1, longest):
        total = total + discount * reward[step]
        discount = discount * factor[step]
    last = path.gather(0, goes_on.sum(0, keepdim=True) - 1)[0]
    return Chain(total, discount, ring.successor(last))


def stacked_cells(ring: Cells, cells: Tensor, num_frames: int) -> Tensor:
    """Return the cells of each stack's frames, oldest first, int64[M, S].

    Frames before the first of the episode, or of the life, repeat that first frame, as in acting.
    """
    frames = [cells]
    for _ in range(num_frames - 1):
        cells = _frame_before(ring, cells)
        frames.append(cells)
    return torch.stack(frames[::-1], dim=1)


def _frame_before(ring: Cells, cells: Tensor) -> Tensor:
    action, life_lost = ring.columns["action"], ring.columns.get("life_lost")
    before = (cells - ring.num_envs) % len(action)
    is_first = (ring.time(cells) == ring.oldest) | (action[before] == NO_ACTION)
    if life_lost is not None:
        is_first = is_first | life_lost[before]
    return torch.where(is_first, cells, before)


def check_discount(spec: EnvironmentSpec, reading: Reading) -> None:
    """Refuse a discount that adds an opponent's value to the learner's, or subtracts its own.

    Raises:
        ValueError: the sign is wrong.
    """
    for name, value in list(ends("gamma", reading.gamma)) or [("gamma", reading.gamma_at(0))]:
        if value < 0 and not spec.zero_sum_turns:
            raise ValueError(
                f"{name}={value}: in this environment the next state is the learner's own, whose "
                f"value counts for it; set {name}={-value}. Where the opponent moves next, the "
                'environment says so: metadata["zero_sum_turns"] = True'
            )
        if value > 0 and spec.zero_sum_turns:
            raise ValueError(
                f"{name}={value}: in this environment the next state is the opponent's, whose gain "
                f"is the learner's loss; set {name}={-value}"
            )

"""Learning from the newest rollout only, without replay: lambda-returns, and plain online learning.

Shapes: T time indices, E environments, U updates, B batch, A actions, M transitions.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lightning_dqn import td
from lightning_dqn.replay import ReplayBuffer
from lightning_dqn.sampler import Sampler
from lightning_dqn.transitions import NO_ACTION, Transitions, Valuer

Upcoming = Callable[[], tuple[np.ndarray, np.ndarray | None]]


@dataclass(frozen=True)
class LambdaReturns:
    """Learning from the newest rollout only, by lambda-returns: no replay, no target network.

    As PQN, Gallici et al. 2024 (arxiv.org/abs/2407.04811): an iteration collects
    ``rollout_length`` steps of every environment, values them with the weights of that moment,
    and goes ``epochs`` times over them in ``minibatches`` parts.

    Args:
        trace: lambda; 0 bootstraps after one step, 1 is Monte Carlo.
        rollout_length: T, env steps of each environment in an iteration.
        epochs: passes over the rollout.
        minibatches: parts of it, an update each.
    """

    trace: float = 0.65
    rollout_length: int = 32
    epochs: int = 2
    minibatches: int = 16

    def __post_init__(self) -> None:
        if not 0 <= self.trace <= 1:
            raise ValueError(f"trace={self.trace}: between 0 and 1")
        for name in ("rollout_length", "epochs", "minibatches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: at least 1")


@dataclass(frozen=True)
class OnlineTransitions:
    """Learning from every transition once, in order, as soon as it was made: no replay.

    Q-learning as Watkins 1989 has it: with ``rollout_length=1`` and one environment the next
    action is chosen by what the transition just made has left. Each transition is an update of
    its own, also where several environments or steps make an iteration: time goes first, then
    the environments in their order. There is no warm-up; n-step returns are refused.

    Args:
        rollout_length: env steps of each environment in an iteration. Above 1 the actions of an
            iteration come from the values at its start.
    """

    rollout_length: int = 1

    def __post_init__(self) -> None:
        if self.rollout_length < 1:
            raise ValueError(f"rollout_length={self.rollout_length}: at least 1")


class RolloutSampler(Sampler, ABC):
    """Serves what was collected since it served last, and nothing older.

    Args:
        replay: a ring that holds an iteration, rows of final observations included.
    """

    def __init__(self, replay: ReplayBuffer) -> None:
        super().__init__(replay)
        self._new_times = 0
        replay.after_write.append(self._count_write)

    def take_new_times(self) -> int:
        """Return how many times were written since the last call."""
        taken, self._new_times = self._new_times, 0
        return taken

    def starts_among(self, cells: Tensor) -> Tensor:
        """Return which of cells int64[T, E] are starts, bool[T, E].

        Raises:
            ValueError: none is.
        """
        is_start = self.replay.read("action", cells) != NO_ACTION
        if not is_start.any():
            raise ValueError("the replay ring holds no transition yet: collect some rows first")
        return is_start

    def _count_write(self, begin: int, end: int) -> None:
        self._new_times += end - begin


class LambdaReturnSampler(RolloutSampler):
    """Serves the newest rollout with its lambda-returns, shuffled anew in each epoch.

    Args:
        replay: a ring that holds a rollout, rows of final observations included.
        config: lambda.
    """

    def __init__(self, replay: ReplayBuffer, config: LambdaReturns) -> None:
        super().__init__(replay)
        self.config = config

    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return minibatches [U, B, ...] whose reward is the whole target."""
        replay = self.replay
        # The row before the new ones has its successor only now.
        cells = replay.newest_cells(self.take_new_times() + 1)
        is_start = self.starts_among(cells[:-1])
        starts = cells[:-1][is_start]
        targets = self._returns(cells, valuer)[is_start]
        draw = self._shuffled(len(starts), num_updates * batch_size)
        chosen = starts[draw]
        target = targets[draw]
        return Transitions(
            observation=replay.observations(chosen),
            action=replay.read("action", chosen),
            reward=target,
            discount=torch.zeros_like(target),
            next_observation=None,
            next_action_mask=None,
        ).unflatten(num_updates, batch_size)

    def _returns(self, cells: Tensor, valuer: Valuer) -> Tensor:
        """Return the lambda-return of every row but the newest, float[T, E]."""
        replay = self.replay
        num_times, num_envs = cells.shape
        following = cells[1:]
        mask = None
        if replay.spec.has_action_mask:
            mask = replay.read("action_mask", following.flatten())
        value = valuer.greedy_value(replay.observations(following.flatten()), mask)
        terminated = replay.read("terminated", cells[:-1])
        ended = terminated | replay.read("truncated", cells[:-1])
        continues = ~ended
        continues[-1] = False
        return td.lambda_returns(
            replay.read("reward", cells[:-1]),
            float(replay.gamma) * (~terminated),
            value.to(replay.device).unflatten(0, (num_times - 1, num_envs)),
            continues,
            self.config.trace,
        )

    def _shuffled(self, number: int, wanted: int) -> Tensor:
        """Return ``wanted`` places below ``number``: permutation after permutation."""
        generator, device = self.replay.generator, self.replay.device
        passes = -(-wanted // number)
        order = [torch.randperm(number, generator=generator, device=device) for _ in range(passes)]
        return torch.cat(order)[:wanted]


class OnlineSampler(RolloutSampler):
    """Serves every new transition, oldest first, in minibatches of one.

    Args:
        replay: a ring that holds an iteration, rows of final observations included.
        upcoming: returns the observations [E, *shape] (or [E, S, *shape]) that follow the newest
            rows, and their legal actions bool[E, A] or None.
    """

    def __init__(self, replay: ReplayBuffer, upcoming: Upcoming) -> None:
        super().__init__(replay)
        self._upcoming = upcoming

    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return as many minibatches as there are new transitions, [U, 1, ...]."""
        replay = self.replay
        cells = replay.newest_cells(self.take_new_times())
        is_start = self.starts_among(cells)
        starts = cells[is_start]
        transitions = replay.transitions_at(starts)
        self._complete(transitions, is_start[-1])
        return transitions.unflatten(len(starts), 1)

    def _complete(self, transitions: Transitions, is_newest: Tensor) -> None:
        """Fill in what follows the newest rows: it isn't in the ring yet.

        Args:
            transitions: [M, ...], in order of time, changed in place.
            is_newest: bool[E], the environments whose newest row is a start.
        """
        observation, action_mask = self._upcoming()
        begin = len(transitions.action) - int(is_newest.sum())
        assert transitions.next_observation is not None
        environments = is_newest.cpu().numpy()
        transitions.next_observation[begin:] = torch.from_numpy(observation[environments]).to(
            transitions.next_observation
        )
        if transitions.next_action_mask is not None:
            mask = torch.ones(1, dtype=torch.bool)
            if action_mask is not None:
                mask = torch.from_numpy(action_mask[environments])
            transitions.next_action_mask[begin:] = mask.to(transitions.next_action_mask)

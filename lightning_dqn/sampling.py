"""Which rows of the replay ring are learned from: samplers other than the ring's own uniform one.

Shapes: T time indices, E environments, U updates, B batch, A actions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lightning_dqn import td
from lightning_dqn.replay import ReplayBuffer
from lightning_dqn.schedules import LinearSchedule, Schedule, as_schedule
from lightning_dqn.sum_tree import SumTree
from lightning_dqn.transitions import NO_ACTION, Transitions, Valuer


@dataclass(frozen=True)
class PrioritizedSampling:
    """Proportional prioritised replay, Schaul et al. 2016 (arxiv.org/abs/1511.05952), algorithm 1.

    A transition is drawn with a probability proportional to (priority + epsilon)^alpha, its loss
    multiplied with (number of transitions * probability)^-beta over the largest of the minibatch.
    New transitions get the largest value there has been.

    Args:
        alpha: 0 is uniform, 1 fully proportional.
        beta: how far the weights undo the bias, a number or a schedule over env steps; 1 wholly.
        epsilon: keeps transitions without error from never being seen again.
    """

    alpha: float = 0.6
    beta: float | Schedule = field(default_factory=lambda: LinearSchedule(0.4, 1.0, 100_000))
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha}: between 0 and 1")
        if isinstance(self.beta, int | float) and not 0 <= self.beta <= 1:
            raise ValueError(f"beta={self.beta}: between 0 and 1")
        if self.epsilon <= 0:
            raise ValueError(f"epsilon={self.epsilon}: must be above 0")


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


SamplerConfig = PrioritizedSampling | LambdaReturns | OnlineTransitions
Upcoming = Callable[[], tuple[np.ndarray, np.ndarray | None]]


class Sampler(ABC):
    """Draws minibatches from a ring.

    Args:
        replay: an empty ring.

    Attributes:
        uses_priorities: sampling goes by what :meth:`update_priorities` is given.
    """

    uses_priorities = False

    def __init__(self, replay: ReplayBuffer) -> None:
        assert replay.num_rows == 0, "a sampler sees every row that is written"
        self.replay = replay

    @abstractmethod
    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return minibatches [U, B, ...].

        Args:
            num_updates: U.
            batch_size: B.
            env_steps: so far, for schedules.
            valuer: values observations with the weights of this moment.

        Raises:
            ValueError: no row is a start yet.
        """

    def update_priorities(self, priority: Tensor) -> None:
        """Take what there was to learn from the newest sample's transitions, float[U, B].

        Raises:
            RuntimeError: sampling doesn't go by that.
        """
        raise RuntimeError(f"{type(self).__name__} keeps no priorities")


class UniformSampler(Sampler):
    """Every transition of the ring is equally likely."""

    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return minibatches [U, B, ...]."""
        return self.replay.sample(num_updates, batch_size)


class PrioritizedSampler(Sampler):
    """Draws transitions by priority; priorities live beside the ring, one for each of its cells.

    Args:
        replay: an empty ring.
        config: how priorities count.
    """

    uses_priorities = True

    def __init__(self, replay: ReplayBuffer, config: PrioritizedSampling) -> None:
        super().__init__(replay)
        self.config = config
        self.beta = as_schedule(config.beta)
        self.tree = SumTree(replay.num_times * replay.num_envs, replay.device)
        self._largest = torch.ones((), dtype=self.tree.dtype, device=replay.device)
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
        odds = (self.tree[cells] * (num_starts / self.tree.total)).unflatten(
            0, (num_updates, batch_size)
        )
        weight = odds.pow(-self.beta(env_steps))
        weight = weight / weight.amax(dim=1, keepdim=True)
        return transitions._replace(weight=weight.float())

    def update_priorities(self, priority: Tensor) -> None:
        """Take what there was to learn from the newest sample's transitions.

        Where a transition was drawn more than once the largest priority holds.

        Args:
            priority: float[U, B], its sign doesn't count; what isn't finite counts as 0.
        """
        assert self._drawn is not None, "priorities of nothing: sample comes first, extend after"
        finite = priority.to(self.tree.device, self.tree.dtype).nan_to_num(0.0, 0.0, 0.0)
        value = (finite.abs() + self.config.epsilon).pow(self.config.alpha).flatten()
        self.tree.update(self._drawn, value)
        self._largest = torch.maximum(self._largest, value.max())

    def _follow_write(self, begin: int, end: int) -> None:
        """Give new starts the largest priority, once their successor is stored, and others none."""
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
        self.tree.fill(first, last, is_start * self._largest)

    def _clear(self, time: int) -> None:
        num_envs = self.replay.num_envs
        self.tree.fill(time * num_envs, (time + 1) * num_envs, 0.0)


class LambdaReturnSampler(Sampler):
    """Serves the newest rollout with its lambda-returns, shuffled anew in each epoch.

    Args:
        replay: a ring that holds a rollout, rows of final observations included.
        config: lambda.
    """

    def __init__(self, replay: ReplayBuffer, config: LambdaReturns) -> None:
        super().__init__(replay)
        self.config = config
        self._new_times = 0
        replay.after_write.append(self._count_write)

    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return minibatches [U, B, ...] whose reward is the whole target."""
        replay = self.replay
        # The row before the new ones has its successor only now.
        cells = replay.newest_cells(self._new_times + 1)
        self._new_times = 0
        is_start = replay.read("action", cells[:-1]) != NO_ACTION
        starts = cells[:-1][is_start]
        if len(starts) < 1:
            raise ValueError("the replay ring holds no transition yet: collect some rows first")
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

    def _count_write(self, begin: int, end: int) -> None:
        self._new_times += end - begin

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


class OnlineSampler(Sampler):
    """Serves every new transition, oldest first, in minibatches of one.

    Args:
        replay: a ring that holds an iteration, rows of final observations included.
        upcoming: returns the observations [E, *shape] (or [E, S, *shape]) that follow the newest
            rows, and their legal actions bool[E, A] or None.
    """

    def __init__(self, replay: ReplayBuffer, upcoming: Upcoming) -> None:
        super().__init__(replay)
        self._upcoming = upcoming
        self._new_times = 0
        replay.after_write.append(self._count_write)

    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return as many minibatches as there are new transitions, [U, 1, ...]."""
        replay = self.replay
        cells = replay.newest_cells(self._new_times)
        self._new_times = 0
        is_start = replay.read("action", cells) != NO_ACTION
        starts = cells[is_start]
        if len(starts) < 1:
            raise ValueError("the replay ring holds no new transition: collect some rows first")
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

    def _count_write(self, begin: int, end: int) -> None:
        self._new_times += end - begin


def make_sampler(
    replay: ReplayBuffer, config: SamplerConfig | None, upcoming: Upcoming | None = None
) -> Sampler:
    """Return the sampler that a configuration describes; None samples uniformly.

    Args:
        replay: an empty ring.
        config: which transitions are learned from.
        upcoming: what follows the newest rows, for :class:`OnlineSampler`.
    """
    if isinstance(config, OnlineTransitions):
        assert upcoming is not None, "online learning needs what follows the newest rows"
        return OnlineSampler(replay, upcoming)
    if isinstance(config, PrioritizedSampling):
        return PrioritizedSampler(replay, config)
    if isinstance(config, LambdaReturns):
        return LambdaReturnSampler(replay, config)
    return UniformSampler(replay)

"""Lambda-returns of the newest rollout.

Shapes: T time indices, E environments, U updates, B batch, M transitions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from lightning_dqn import td
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.rollout import RolloutSampler, rollout_pace
from lightning_dqn.replay.samplers.sampler import Pace, Upcoming
from lightning_dqn.system import devices
from lightning_dqn.system.faults import NonFiniteError
from lightning_dqn.system.numbers import finite_number, keep_plain, keep_whole
from lightning_dqn.transitions import Transitions, Valuer


@dataclass(frozen=True)
class LambdaReturns:
    """Learning from the newest rollout only, by lambda-returns: no replay, no target network.

    As in PQN, Gallici et al. 2024 (arxiv.org/abs/2407.04811): an iteration collects
    ``rollout_length`` steps of every environment, values them with the current weights, and learns
    from them ``epochs`` times in ``minibatches`` parts.

    Args:
        trace: lambda; 0 bootstraps after one step, 1 is Monte Carlo.
        rollout_length: T, env steps of each environment in an iteration.
        epochs: passes over the rollout.
        minibatches: parts of the rollout, with one update each.
    """

    gives_whole_targets: ClassVar[bool] = True
    can_be_shared: ClassVar[bool] = True

    trace: float = 0.65
    rollout_length: int = 32
    epochs: int = 2
    minibatches: int = 16

    def __post_init__(self) -> None:
        keep_plain(self)
        if not 0 <= finite_number("trace", self.trace) <= 1:
            raise ValueError(f"trace={self.trace}: between 0 and 1")
        keep_whole(self, rollout_length=1, epochs=1, minibatches=1)

    def pace(self, asked: Pace) -> Pace:
        """Return the pace of a rollout, learned from ``epochs`` times in ``minibatches`` parts.

        Raises:
            ValueError: rows would be collected in a thread, by an older policy.
        """
        if asked.overlap:
            raise ValueError(
                "overlap=True: lambda-returns need rows of the policy that learns from them; "
                "set overlap=False (of actors elsewhere synchronous=True) or sample from replay"
            )
        paced = rollout_pace(asked, self.rollout_length)
        return replace(
            paced,
            updates_per_iteration=self.epochs * self.minibatches,
            batch_size=max(1, paced.env_steps_per_iteration // self.minibatches),
            warmup_env_steps=2 * asked.num_envs,
            n_step=None,
        )

    def make(self, replay: ReplayBuffer, upcoming: Upcoming) -> LambdaReturnSampler:
        """Return the sampler."""
        return LambdaReturnSampler(replay, self)


class LambdaReturnSampler(RolloutSampler):
    """Serves the newest rollout with its lambda-returns, shuffled anew in each epoch.

    Args:
        replay: a ring that holds a rollout, including rows of final observations.
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
            extra=replay.extra(chosen),
        ).unflatten(num_updates, batch_size)

    def _returns(self, cells: Tensor, valuer: Valuer) -> Tensor:
        """Return the lambda-return of every row but the newest, float[T, E].

        Raises:
            NonFiniteError: a state's value isn't finite.
        """
        replay = self.replay
        num_times, num_envs = cells.shape
        following = cells[1:]
        mask = None
        if replay.spec.has_action_mask:
            mask = replay.read("action_mask", following.flatten())
        value = valuer.greedy_value(replay.observations(following.flatten()), mask)
        value = value.to(replay.device)
        _check_finite(value)
        ring, times = replay.cells, cells[:-1]
        continues = ~ring.ended(times)
        continues[-1] = False
        return td.lambda_returns(
            ring.reward(times),
            float(replay.gamma) * (~ring.closed(times)),
            value.unflatten(0, (num_times - 1, num_envs)),
            continues,
            self.config.trace,
        )

    def _shuffled(self, number: int, wanted: int) -> Tensor:
        """Return ``wanted`` places below ``number``: permutation after permutation."""
        generator, device = self.replay.generator, self.replay.device
        passes = -(-wanted // number)
        order = [torch.randperm(number, generator=generator, device=device) for _ in range(passes)]
        return torch.cat(order)[:wanted]


def _check_finite(value: Tensor) -> None:
    """Refuse values, float[M], that aren't finite; not even a discount of 0 would remove one.

    On an accelerator, where this check would wait for the device, the loss reports them instead.
    """
    if not devices.is_read_freely(value):
        return
    finite = torch.isfinite(value)
    if not bool(finite.all()):
        place = int((~finite).nonzero()[0])
        raise NonFiniteError(
            f"sampler=LambdaReturns: the network values observation {place} of {len(value)} of "
            f"the rollout at {value[place].item()}, so its returns would not be finite; lower the "
            "learning rate, or scale the rewards down"
        )

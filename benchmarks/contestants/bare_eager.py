"""A plain loop in eager PyTorch: one environment, one NumPy replay buffer, no framework."""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from work_unit import WORK_UNIT, Result, argument_parser, last_100_return

IMPORTED = time.perf_counter()

Policy = Callable[[np.ndarray], int]
"""Chooses the greedy action of one observation[4]."""


class Batch(NamedTuple):
    """A minibatch of transitions; observations are [B, 4], the rest [B, 1]."""

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    terminated: Tensor


class Replay:
    """A ring of the latest transitions in NumPy arrays, sampled uniformly."""

    def __init__(self, capacity: int, rng: np.random.Generator) -> None:
        """Allocate room for `capacity` transitions."""
        self._observation = np.zeros((capacity, 4), dtype=np.float32)
        self._action = np.zeros((capacity, 1), dtype=np.int64)
        self._reward = np.zeros((capacity, 1), dtype=np.float32)
        self._next_observation = np.zeros((capacity, 4), dtype=np.float32)
        self._terminated = np.zeros((capacity, 1), dtype=np.float32)
        self._capacity, self._count, self._rng = capacity, 0, rng

    def add(self, observation, action, reward, next_observation, terminated) -> None:
        """Overwrite the oldest transition."""
        row = self._count % self._capacity
        self._observation[row] = observation
        self._action[row] = action
        self._reward[row] = reward
        self._next_observation[row] = next_observation
        self._terminated[row] = terminated
        self._count += 1

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` transitions with replacement."""
        rows = self._rng.integers(min(self._count, self._capacity), size=batch_size)
        return Batch(
            torch.from_numpy(self._observation[rows]),
            torch.from_numpy(self._action[rows]),
            torch.from_numpy(self._reward[rows]),
            torch.from_numpy(self._next_observation[rows]),
            torch.from_numpy(self._terminated[rows]),
        )


def build_q_network() -> nn.Sequential:
    """Build the work unit's network, float[B, 4] -> float[B, 2]."""
    first, second = WORK_UNIT.hidden_sizes
    return nn.Sequential(
        nn.Linear(4, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, 2)
    )


class Learner:
    """Two networks, an optimizer and the Q-learning update."""

    def __init__(self, *, fused: bool) -> None:
        """Build the networks, alike at the start, and Adam."""
        self.q_network, self.target_network = build_q_network(), build_q_network()
        self.copy_target()
        self.num_updates = 0
        self._optimizer = torch.optim.Adam(
            self.q_network.parameters(), lr=WORK_UNIT.learning_rate, fused=fused
        )

    def copy_target(self) -> None:
        """Copy the online network to the target network."""
        self.target_network.load_state_dict(self.q_network.state_dict())

    def update(self, batch: Batch) -> None:
        """Take one optimizer step on the mean squared TD error."""
        with torch.no_grad():
            next_value = self.target_network(batch.next_observation).amax(dim=1, keepdim=True)
            td_target = batch.reward + WORK_UNIT.gamma * (1.0 - batch.terminated) * next_value
        q_value = self.q_network(batch.observation).gather(1, batch.action)
        loss = nn.functional.mse_loss(q_value, td_target)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.num_updates += 1

    @torch.no_grad()
    def act(self, observation: np.ndarray) -> int:
        """Choose the greedy action of one observation[4]."""
        return int(self.q_network(torch.from_numpy(observation)).argmax())


class Player:
    """Plays one environment and remembers what happened."""

    def __init__(self, policy: Policy, replay: Replay, seed: int) -> None:
        """Make the environment and reset it."""
        self.episode_returns: list[float] = []
        self.env_steps = 0
        self._env = gymnasium.make(WORK_UNIT.env_id)
        self._observation, _ = self._env.reset(seed=seed)
        self._episode_return = 0.0
        self._policy, self._replay = policy, replay
        self._rng = np.random.default_rng(seed)

    def step(self) -> None:
        """Take one env step, random in the warm-up and epsilon-greedy after it."""
        action = self._choose_action()
        next_observation, reward, terminated, truncated, _ = self._env.step(action)
        self._replay.add(self._observation, action, reward, next_observation, terminated)
        self._observation = next_observation
        self._episode_return += float(reward)
        self.env_steps += 1
        if terminated or truncated:
            self.episode_returns.append(self._episode_return)
            self._observation, _ = self._env.reset()
            self._episode_return = 0.0

    def _choose_action(self) -> int:
        warming_up = self.env_steps < WORK_UNIT.warmup_env_steps
        if warming_up or self._rng.random() < WORK_UNIT.epsilon(self.env_steps):
            return int(self._rng.integers(2))
        return self._policy(self._observation)


def learn(player: Player, replay: Replay, learner: Learner) -> None:
    """Play and update until the work unit's env steps are spent."""
    while player.env_steps < WORK_UNIT.env_steps:
        player.step()
        if player.env_steps % WORK_UNIT.env_steps_per_update == 0:
            learner.update(replay.sample(WORK_UNIT.batch_size))
        if player.env_steps % WORK_UNIT.target_every_env_steps == 0:
            learner.copy_target()


def run(
    *,
    name: str,
    started: float,
    imported: float,
    learner: Learner,
    policy: Policy,
    seed: int,
) -> None:
    """Run the work unit and print its result; the clock's marks come from the main program."""
    replay = Replay(WORK_UNIT.replay_capacity, np.random.default_rng(seed + 1))
    player = Player(policy, replay, seed)
    while player.env_steps < WORK_UNIT.warmup_env_steps:
        player.step()
    learning_started = time.perf_counter()
    learn(player, replay, learner)
    learning_s = time.perf_counter() - learning_started
    Result(
        name=name,
        imports_s=imported - started,
        warmup_s=learning_started - imported,
        learning_s=learning_s,
        env_steps=player.env_steps,
        updates=learner.num_updates,
        last_100_return=last_100_return(player.episode_returns),
    ).print_json()


def main() -> None:
    """Run with the network itself as the policy."""
    seed = argument_parser().parse_args().seed
    torch.manual_seed(seed)
    learner = Learner(fused=False)
    run(
        name="bare_eager",
        started=STARTED,
        imported=IMPORTED,
        learner=learner,
        policy=learner.act,
        seed=seed,
    )


if __name__ == "__main__":
    main()

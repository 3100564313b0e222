"""A plain loop in eager PyTorch on frames: ALE's vector environment, whole stacks in NumPy arrays.

The algorithm is that of CleanRL's `dqn_atari.py`; its environment steps one game at a time by
Python wrappers, this one eight at a time in C++.
"""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

from typing import Any

import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv
from torch import Tensor, nn
from work_unit import WORK_UNIT, Result, argument_parser, last_100_return

IMPORTED = time.perf_counter()

NUM_ENVS, STACK, SIDE = 8, 4, 84


class QNetwork(nn.Module):
    """Mnih et al.'s three convolutions and one hidden layer, uint8[B, 4, 84, 84] to float[B, A]."""

    def __init__(self, num_actions: int) -> None:
        """Build the layers."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(STACK, 32, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(3_136, 512),
            nn.ReLU(),
            nn.Linear(512, num_actions),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Return the value of every action."""
        return self.layers(frames / 255.0)


class Replay:
    """A ring of the latest transitions, each stack twice, sampled uniformly."""

    def __init__(self, seed: int) -> None:
        """Allocate."""
        capacity = WORK_UNIT.replay_capacity // NUM_ENVS
        frames = (capacity, NUM_ENVS, STACK, SIDE, SIDE)
        small = (capacity, NUM_ENVS)
        self.columns = [
            np.zeros(frames, np.uint8),
            np.zeros(frames, np.uint8),
            np.zeros(small, np.int64),
            np.zeros(small, np.float32),
            np.zeros(small, np.float32),
        ]
        self.count, self.rng = 0, np.random.default_rng(seed)

    def add(self, *values: np.ndarray) -> None:
        """Overwrite the oldest transition of every environment."""
        for column, value in zip(self.columns, values, strict=True):
            column[self.count % len(column)] = value
        self.count += 1

    def sample(self) -> list[Tensor]:
        """Draw stacks before and after, actions, rewards, terminations."""
        time_index = self.rng.integers(
            min(self.count, len(self.columns[0])), size=WORK_UNIT.batch_size
        )
        environment = self.rng.integers(NUM_ENVS, size=WORK_UNIT.batch_size)
        return [torch.from_numpy(column[time_index, environment]) for column in self.columns]


class Learner:
    """Two networks, an optimizer and the Q-learning update."""

    def __init__(self, num_actions: int) -> None:
        """Build."""
        self.q_network, self.target_network = QNetwork(num_actions), QNetwork(num_actions)
        self.copy_target()
        self.num_updates = 0
        self.optimizer = torch.optim.Adam(
            self.q_network.parameters(), lr=WORK_UNIT.learning_rate, eps=1.5e-4, fused=True
        )

    def copy_target(self) -> None:
        """Copy the online network to the target network."""
        self.target_network.load_state_dict(self.q_network.state_dict())

    def update(self, batch: list[Tensor]) -> None:
        """Take one optimizer step on the mean squared TD error."""
        before, after, action, reward, terminated = batch
        with torch.no_grad():
            value = self.target_network(after).amax(dim=1)
            target = reward + WORK_UNIT.gamma * (1.0 - terminated) * value
        q_value = self.q_network(before).gather(1, action[:, None])[:, 0]
        loss = nn.functional.mse_loss(q_value, target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.num_updates += 1

    @torch.no_grad()
    def act(self, frames: np.ndarray) -> np.ndarray:
        """Choose greedy actions."""
        return self.q_network(torch.from_numpy(frames)).argmax(dim=1).numpy()


class Player:
    """Plays all games and remembers what happened."""

    def __init__(self, replay: Replay, seed: int) -> None:
        """Make and reset them."""
        self.environment = AtariVectorEnv(
            WORK_UNIT.env_id.lower(), NUM_ENVS, num_threads=1, stack_num=STACK
        )
        self.num_actions = int(self.environment.single_action_space.n)
        self.frames, _ = self.environment.reset(seed=seed)
        self.replay, self.rng, self.env_steps = replay, np.random.default_rng(seed), 0
        self.returns, self.open_returns = [], np.zeros(NUM_ENVS)

    def step(self, learner: Learner) -> None:
        """Take one step of every game; the row after an end, a reset, is learned from as well."""
        action: Any = self.rng.integers(self.num_actions, size=NUM_ENVS)
        if self.env_steps >= WORK_UNIT.warmup_env_steps:
            is_random = self.rng.random(NUM_ENVS) < WORK_UNIT.epsilon(self.env_steps)
            action = np.where(is_random, action, learner.act(self.frames))
        after, reward, terminated, truncated, _ = self.environment.step(action)
        self.replay.add(self.frames, after, action, reward, terminated)
        self.frames = after
        self.env_steps += NUM_ENVS
        self.open_returns += reward
        for number in np.flatnonzero(terminated | truncated):
            self.returns.append(float(self.open_returns[number]))
            self.open_returns[number] = 0.0


def learn(player: Player, learner: Learner) -> None:
    """Play and update until the work unit's env steps are spent."""
    while player.env_steps < WORK_UNIT.env_steps:
        player.step(learner)
        for _ in range(NUM_ENVS // WORK_UNIT.env_steps_per_update):
            learner.update(player.replay.sample())
        if player.env_steps % WORK_UNIT.target_every_env_steps < NUM_ENVS:
            learner.copy_target()


def main() -> None:
    """Run the work unit and print its result."""
    seed = argument_parser().parse_args().seed
    torch.manual_seed(seed)
    player = Player(Replay(seed + 1), seed)
    learner = Learner(player.num_actions)
    while player.env_steps < WORK_UNIT.warmup_env_steps:
        player.step(learner)
    learning_started = time.perf_counter()
    learn(player, learner)
    learning_s = time.perf_counter() - learning_started
    Result(
        name="bare_frames",
        imports_s=IMPORTED - STARTED,
        warmup_s=learning_started - IMPORTED,
        learning_s=learning_s,
        env_steps=player.env_steps,
        updates=learner.num_updates,
        last_100_return=last_100_return(player.returns),
    ).print_json()


if __name__ == "__main__":
    main()

"""The style of pytorch-lightning's own DQN example, at its leanest.

The environment is stepped inside `training_step`, one batch is one update, and an IterableDataset
draws transitions from a deque. No logger, checkpoints, progress bar or logged values. The example's
every-step target copy, ad-hoc epsilon and old gym interface are replaced by the work unit's.
"""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

import logging
import random
import warnings
from collections import deque
from collections.abc import Iterator

import gymnasium
import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from work_unit import WORK_UNIT, Result, argument_parser, last_100_return

IMPORTED = time.perf_counter()

Transition = tuple[np.ndarray, int, float, bool, np.ndarray]
"""observation, action, reward, terminated, next_observation."""


class ReplayDataset(IterableDataset):
    """An endless stream of single transitions, drawn anew for each batch."""

    def __init__(self, buffer: deque[Transition]) -> None:
        """Stream from `buffer`, which grows meanwhile."""
        self._buffer = buffer

    def __iter__(self) -> Iterator[Transition]:
        """Yield transitions; the DataLoader collates them."""
        while True:
            yield from random.sample(self._buffer, WORK_UNIT.batch_size)


class Agent:
    """Plays one environment into the replay buffer."""

    def __init__(self, buffer: deque[Transition], seed: int) -> None:
        """Make the environment and reset it."""
        self.env_steps = 0
        self.episode_returns: list[float] = []
        self._buffer = buffer
        self._env = gymnasium.make(WORK_UNIT.env_id)
        self._observation, _ = self._env.reset(seed=seed)
        self._episode_return = 0.0

    @torch.no_grad()
    def _choose_action(self, q_network: nn.Module, epsilon: float) -> int:
        if random.random() < epsilon:
            return random.randrange(2)
        return int(q_network(torch.from_numpy(self._observation)).argmax())

    def play_step(self, q_network: nn.Module, epsilon: float) -> None:
        """Take one env step, random with probability `epsilon`."""
        action = self._choose_action(q_network, epsilon)
        next_observation, reward, terminated, truncated, _ = self._env.step(action)
        self._buffer.append((self._observation, action, reward, terminated, next_observation))
        self._observation = next_observation
        self._episode_return += float(reward)
        self.env_steps += 1
        if terminated or truncated:
            self.episode_returns.append(self._episode_return)
            self._observation, _ = self._env.reset()
            self._episode_return = 0.0


def build_q_network() -> nn.Sequential:
    """Build the work unit's network, float[B, 4] -> float[B, 2]."""
    first, second = WORK_UNIT.hidden_sizes
    return nn.Sequential(
        nn.Linear(4, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, 2)
    )


class ExampleDQN(pl.LightningModule):
    """Network, environment, buffer and loss in one module, as the example has them."""

    def __init__(self, seed: int) -> None:
        """Build everything and fill the buffer with random play."""
        super().__init__()
        self.q_network, self.target_network = build_q_network(), build_q_network()
        self.target_network.load_state_dict(self.q_network.state_dict())
        self.learning_started = self.learning_ended = 0.0
        self._buffer: deque[Transition] = deque(maxlen=WORK_UNIT.replay_capacity)
        self.agent = Agent(self._buffer, seed)
        for _ in range(WORK_UNIT.warmup_env_steps):
            self.agent.play_step(self.q_network, epsilon=1.0)

    def _loss(self, batch: list[Tensor]) -> Tensor:
        observation, action, reward, terminated, next_observation = batch
        q_value = self.q_network(observation).gather(1, action.unsqueeze(1)).squeeze(1)
        with torch.no_grad():
            next_value = self.target_network(next_observation).amax(dim=1)
            next_value[terminated] = 0.0
        td_target = reward.float() + WORK_UNIT.gamma * next_value
        return nn.functional.mse_loss(q_value, td_target)

    def training_step(self, batch: list[Tensor], batch_index: int) -> Tensor:
        """Play, then return the loss of the batch; Lightning does the rest."""
        for _ in range(WORK_UNIT.env_steps_per_update):
            self.agent.play_step(self.q_network, WORK_UNIT.epsilon(self.agent.env_steps))
        loss = self._loss(batch)
        if self.global_step % WORK_UNIT.target_every_n_updates == 0:
            self.target_network.load_state_dict(self.q_network.state_dict())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over the online network."""
        return torch.optim.Adam(self.q_network.parameters(), lr=WORK_UNIT.learning_rate)

    def train_dataloader(self) -> DataLoader:
        """Return the stream of batches."""
        return DataLoader(ReplayDataset(self._buffer), batch_size=WORK_UNIT.batch_size)

    def on_train_start(self) -> None:
        """Start the clock; Lightning's set-up is over."""
        self.learning_started = time.perf_counter()

    def on_train_end(self) -> None:
        """Stop the clock."""
        self.learning_ended = time.perf_counter()


def build_trainer() -> pl.Trainer:
    """Build a Trainer with everything optional switched off."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    return pl.Trainer(
        max_steps=WORK_UNIT.updates,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def main() -> None:
    """Run the work unit and print its result."""
    seed = argument_parser().parse_args().seed
    pl.seed_everything(seed, verbose=False)
    trainer, module = build_trainer(), ExampleDQN(seed)
    trainer.fit(module)
    Result(
        name="lightning_example",
        imports_s=IMPORTED - STARTED,
        warmup_s=module.learning_started - IMPORTED,
        learning_s=module.learning_ended - module.learning_started,
        env_steps=module.agent.env_steps,
        updates=trainer.global_step,
        last_100_return=last_100_return(module.agent.episode_returns),
    ).print_json()


if __name__ == "__main__":
    main()

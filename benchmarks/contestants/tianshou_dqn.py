"""Tianshou's DQN, or another --algorithm of its family, on one or several environments.

With --num-envs above the env steps of an update, an iteration makes as many updates as its one
step of all environments is worth, so that the totals stay.
"""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

import gymnasium
import numpy as np
import torch
from tianshou.algorithm.modelfree.dqn import QLearningOffPolicyAlgorithm
from tianshou.data import Collector, CollectStats, PrioritizedVectorReplayBuffer, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainer, OffPolicyTrainerParams
from tianshou_algorithms import ALGORITHMS, ALPHA, BETA_END, BETA_START, build_algorithm
from work_unit import WORK_UNIT, Result, argument_parser, last_100_return

IMPORTED = time.perf_counter()


class RecordingTrainer(OffPolicyTrainer):
    """Tianshou's trainer, which also keeps the training episodes' returns and counts updates."""

    def __init__(
        self, algorithm: QLearningOffPolicyAlgorithm, params: OffPolicyTrainerParams
    ) -> None:
        """Start with nothing recorded."""
        super().__init__(algorithm, params)
        self.episode_returns: list[float] = []
        self.num_updates = self.num_env_steps = 0

    def _collect_training_data(self) -> CollectStats:
        stats = super()._collect_training_data()
        self.episode_returns.extend(stats.returns)
        self.num_env_steps += stats.n_collected_steps
        return stats

    def _sample_and_update(self, buffer: VectorReplayBuffer):
        self.num_updates += 1
        return super()._sample_and_update(buffer)


def build_buffer(name: str, num_envs: int) -> VectorReplayBuffer | PrioritizedVectorReplayBuffer:
    """Build the replay buffer that the algorithm of that name samples from."""
    if name not in ALPHA:
        return VectorReplayBuffer(WORK_UNIT.replay_capacity, num_envs)
    return PrioritizedVectorReplayBuffer(
        WORK_UNIT.replay_capacity, num_envs, alpha=ALPHA[name], beta=BETA_START
    )


def build_collector(
    algorithm: QLearningOffPolicyAlgorithm, name: str, num_envs: int, seed: int
) -> Collector:
    """Build the environments, the replay buffer and the collector between them."""
    envs = DummyVectorEnv([lambda: gymnasium.make(WORK_UNIT.env_id)] * num_envs)
    envs.seed(seed)
    return Collector(algorithm, envs, build_buffer(name, num_envs), exploration_noise=True)


def build_trainer(algorithm: QLearningOffPolicyAlgorithm, collector: Collector) -> RecordingTrainer:
    """Build a trainer without tests, logs and progress bars."""
    buffer = collector.buffer
    steps = max(WORK_UNIT.env_steps_per_update, collector.env_num)
    if steps % WORK_UNIT.env_steps_per_update or steps % collector.env_num:
        raise ValueError(
            f"--num-envs is {collector.env_num}: a divisor or a multiple of "
            f"{WORK_UNIT.env_steps_per_update} is needed"
        )

    def follow_schedules(_epoch: int, env_step: int) -> None:
        env_step += WORK_UNIT.warmup_env_steps
        algorithm.policy.set_eps_training(WORK_UNIT.epsilon(env_step))
        if isinstance(buffer, PrioritizedVectorReplayBuffer):
            progress = env_step / WORK_UNIT.env_steps
            buffer.set_beta(BETA_START + progress * (BETA_END - BETA_START))

    params = OffPolicyTrainerParams(
        training_collector=collector,
        max_epochs=1,
        epoch_num_steps=WORK_UNIT.learning_env_steps,
        collection_step_num_env_steps=steps,
        batch_size=WORK_UNIT.batch_size,
        update_step_num_gradient_steps_per_sample=1 / WORK_UNIT.env_steps_per_update,
        training_fn=follow_schedules,
        verbose=False,
        show_progress=False,
    )
    return RecordingTrainer(algorithm, params)


def main() -> None:
    """Run the work unit and print its result."""
    parser = argument_parser()
    parser.add_argument("--algorithm", choices=ALGORITHMS, default="dqn")
    parser.add_argument("--num-envs", type=int, default=1)
    arguments = parser.parse_args()
    np.random.seed(arguments.seed)  # noqa: NPY002 - Tianshou draws from the global generator
    torch.manual_seed(arguments.seed)
    name = arguments.algorithm
    algorithm = build_algorithm(name)
    collector = build_collector(algorithm, name, arguments.num_envs, arguments.seed)
    collector.reset()
    warmup = collector.collect(n_step=WORK_UNIT.warmup_env_steps, random=True)
    trainer = build_trainer(algorithm, collector)
    learning_started = time.perf_counter()
    trainer.run()
    learning_s = time.perf_counter() - learning_started
    Result(
        name=f"tianshou {name}",
        imports_s=IMPORTED - STARTED,
        warmup_s=learning_started - IMPORTED,
        learning_s=learning_s,
        env_steps=warmup.n_collected_steps + trainer.num_env_steps,
        updates=trainer.num_updates,
        last_100_return=last_100_return([*warmup.returns, *trainer.episode_returns]),
    ).print_json()


if __name__ == "__main__":
    main()

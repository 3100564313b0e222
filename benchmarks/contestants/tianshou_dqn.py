"""Tianshou's DQN on one environment or, with --num-envs, on several in one process."""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

import gymnasium
import numpy as np
import torch
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, CollectStats, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainer, OffPolicyTrainerParams
from tianshou.utils.net.common import Net
from work_unit import WORK_UNIT, Result, argument_parser, last_100_return

IMPORTED = time.perf_counter()


class RecordingTrainer(OffPolicyTrainer):
    """Tianshou's trainer, which also keeps the training episodes' returns and counts updates."""

    def __init__(self, algorithm: DQN, params: OffPolicyTrainerParams) -> None:
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


def build_algorithm() -> DQN:
    """Build the learner with the work unit's constants."""
    env = gymnasium.make(WORK_UNIT.env_id)
    network = Net(state_shape=4, action_shape=2, hidden_sizes=WORK_UNIT.hidden_sizes)
    policy = DiscreteQLearningPolicy(
        model=network, action_space=env.action_space, observation_space=env.observation_space
    )
    return DQN(
        policy=policy,
        optim=AdamOptimizerFactory(lr=WORK_UNIT.learning_rate),
        gamma=WORK_UNIT.gamma,
        target_update_freq=WORK_UNIT.target_every_n_updates,
        is_double=False,
    )


def build_collector(algorithm: DQN, num_envs: int, seed: int) -> Collector:
    """Build the environments, the replay buffer and the collector between them."""
    envs = DummyVectorEnv([lambda: gymnasium.make(WORK_UNIT.env_id)] * num_envs)
    envs.seed(seed)
    buffer = VectorReplayBuffer(WORK_UNIT.replay_capacity, num_envs)
    return Collector(algorithm, envs, buffer, exploration_noise=True)


def build_trainer(algorithm: DQN, collector: Collector) -> RecordingTrainer:
    """Build a trainer without tests, logs and progress bars."""

    def set_epsilon(_epoch: int, env_step: int) -> None:
        algorithm.policy.set_eps_training(WORK_UNIT.epsilon(WORK_UNIT.warmup_env_steps + env_step))

    params = OffPolicyTrainerParams(
        training_collector=collector,
        max_epochs=1,
        epoch_num_steps=WORK_UNIT.learning_env_steps,
        collection_step_num_env_steps=WORK_UNIT.env_steps_per_update,
        batch_size=WORK_UNIT.batch_size,
        update_step_num_gradient_steps_per_sample=1 / WORK_UNIT.env_steps_per_update,
        training_fn=set_epsilon,
        verbose=False,
        show_progress=False,
    )
    return RecordingTrainer(algorithm, params)


def main() -> None:
    """Run the work unit and print its result."""
    parser = argument_parser()
    parser.add_argument("--num-envs", type=int, default=1)
    arguments = parser.parse_args()
    np.random.seed(arguments.seed)  # noqa: NPY002 - Tianshou draws from the global generator
    torch.manual_seed(arguments.seed)
    algorithm = build_algorithm()
    collector = build_collector(algorithm, arguments.num_envs, arguments.seed)
    collector.reset()
    warmup = collector.collect(n_step=WORK_UNIT.warmup_env_steps, random=True)
    trainer = build_trainer(algorithm, collector)
    learning_started = time.perf_counter()
    trainer.run()
    learning_s = time.perf_counter() - learning_started
    Result(
        name="tianshou_dqn",
        imports_s=IMPORTED - STARTED,
        warmup_s=learning_started - IMPORTED,
        learning_s=learning_s,
        env_steps=warmup.n_collected_steps + trainer.num_env_steps,
        updates=trainer.num_updates,
        last_100_return=last_100_return(trainer.episode_returns),
    ).print_json()


if __name__ == "__main__":
    main()

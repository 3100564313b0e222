"""Tianshou's DQN on frames: its network, gymnasium's preprocessing, stacks made by its buffer."""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

import ale_py
import gymnasium
import numpy as np
import torch
from gymnasium.wrappers import AtariPreprocessing, ClipReward, FrameStackObservation
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.env.atari.atari_network import DQNet
from tianshou_dqn import build_trainer
from work_unit import WORK_UNIT, Result, argument_parser, last_100_return

IMPORTED = time.perf_counter()

NUM_ENVS, STACK = 8, 4


def make() -> gymnasium.Env:
    """Make one game as NoFrameskip-v4 environments are preprocessed."""
    game = gymnasium.make(f"{WORK_UNIT.env_id}NoFrameskip-v4")
    game = AtariPreprocessing(game, terminal_on_life_loss=True)
    return FrameStackObservation(ClipReward(game, -1.0, 1.0), STACK)


def build_algorithm() -> DQN:
    """Build the learner with the work unit's constants."""
    space = make().action_space
    return DQN(
        policy=DiscreteQLearningPolicy(model=DQNet(STACK, 84, 84, space.n), action_space=space),
        optim=AdamOptimizerFactory(lr=WORK_UNIT.learning_rate, eps=1.5e-4),
        gamma=WORK_UNIT.gamma,
        target_update_freq=WORK_UNIT.target_every_n_updates,
        is_double=False,
    )


def main() -> None:
    """Run the work unit and print its result."""
    seed = argument_parser().parse_args().seed
    gymnasium.register_envs(ale_py)
    np.random.seed(seed)  # noqa: NPY002 - Tianshou draws from the global generator
    torch.manual_seed(seed)
    algorithm = build_algorithm()
    games = DummyVectorEnv([make] * NUM_ENVS)
    games.seed(seed)
    buffer = VectorReplayBuffer(
        WORK_UNIT.replay_capacity,
        NUM_ENVS,
        stack_num=STACK,
        ignore_obs_next=True,
        save_only_last_obs=True,
    )
    collector = Collector(algorithm, games, buffer, exploration_noise=True)
    collector.reset()
    warmup = collector.collect(n_step=WORK_UNIT.warmup_env_steps, random=True)
    trainer = build_trainer(algorithm, collector)
    learning_started = time.perf_counter()
    trainer.run()
    learning_s = time.perf_counter() - learning_started
    Result(
        name="tianshou frames",
        imports_s=IMPORTED - STARTED,
        warmup_s=learning_started - IMPORTED,
        learning_s=learning_s,
        env_steps=warmup.n_collected_steps + trainer.num_env_steps,
        updates=trainer.num_updates,
        last_100_return=last_100_return([*warmup.returns, *trainer.episode_returns]),
    ).print_json()


if __name__ == "__main__":
    main()

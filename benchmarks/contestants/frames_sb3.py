"""Stable-Baselines3's DQN with its CNN on frames, with its own Atari wrappers.

Its loss is smooth L1 and its gradients are clipped to a norm of 10, as `DQN` has it.
"""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

import ale_py
import gymnasium
from sb3_dqn import Stopwatch
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecFrameStack, VecTransposeImage
from work_unit import WORK_UNIT, Result, argument_parser, last_100_return

IMPORTED = time.perf_counter()

NUM_ENVS = 8


def build(seed: int) -> DQN:
    """Build the learner with the work unit's constants."""
    gymnasium.register_envs(ale_py)
    games = make_atari_env(f"{WORK_UNIT.env_id}NoFrameskip-v4", n_envs=NUM_ENVS, seed=seed)
    return DQN(
        "CnnPolicy",
        VecTransposeImage(VecFrameStack(games, n_stack=4)),
        learning_rate=WORK_UNIT.learning_rate,
        buffer_size=WORK_UNIT.replay_capacity,
        optimize_memory_usage=True,
        replay_buffer_kwargs={"handle_timeout_termination": False},
        learning_starts=WORK_UNIT.warmup_env_steps,
        batch_size=WORK_UNIT.batch_size,
        gamma=WORK_UNIT.gamma,
        train_freq=1,
        gradient_steps=NUM_ENVS // WORK_UNIT.env_steps_per_update,
        target_update_interval=WORK_UNIT.target_every_env_steps,
        exploration_fraction=WORK_UNIT.epsilon_decay_env_steps / WORK_UNIT.env_steps,
        exploration_initial_eps=WORK_UNIT.epsilon_start,
        exploration_final_eps=WORK_UNIT.epsilon_end,
        seed=seed,
        device="cpu",
    )


def main() -> None:
    """Run the work unit and print its result."""
    model = build(argument_parser().parse_args().seed)
    stopwatch = Stopwatch()
    model.learn(WORK_UNIT.env_steps, callback=stopwatch, log_interval=None)
    learning_s = time.perf_counter() - stopwatch.learning_started
    Result(
        name="sb3 frames",
        imports_s=IMPORTED - STARTED,
        warmup_s=stopwatch.learning_started - IMPORTED,
        learning_s=learning_s,
        env_steps=model.num_timesteps,
        updates=model._n_updates,
        last_100_return=last_100_return([episode["r"] for episode in model.ep_info_buffer]),
    ).print_json()


if __name__ == "__main__":
    main()

"""Stable-Baselines3's DQN on one environment or, with --num-envs, on several in one process.

Its loss is smooth L1 and no option changes that; with the work unit's constants it often learns
nothing. --mse puts the mean squared error in its place, so that the work is the same as the
others'. Its gradient clipping to a norm of 10 stays. --algorithm qr_dqn is that of sb3-contrib,
without clipping.
"""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

from types import SimpleNamespace
from typing import Any

import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.dqn import dqn
from torch.nn.functional import mse_loss
from work_unit import WORK_UNIT, Result, argument_parser, last_100_return

IMPORTED = time.perf_counter()


NUM_QUANTILES = 51  # as in conf/module/head/quantile.yaml


class Stopwatch(BaseCallback):
    """Notes when the warm-up ends."""

    def __init__(self) -> None:
        """Start without a time."""
        super().__init__()
        self.learning_started = 0.0

    def _on_step(self) -> bool:
        if self.num_timesteps == WORK_UNIT.warmup_env_steps:
            self.learning_started = time.perf_counter()
        return True


def build(algorithm: str, num_envs: int, seed: int) -> OffPolicyAlgorithm:
    """Build the learner with the work unit's constants."""
    per_update = WORK_UNIT.env_steps_per_update
    if per_update % num_envs and num_envs % per_update:
        raise ValueError(
            f"--num-envs is {num_envs}: a divisor or a multiple of {per_update} is needed"
        )
    policy: dict[str, Any] = {"net_arch": list(WORK_UNIT.hidden_sizes)}
    learner = DQN
    if algorithm == "qr_dqn":
        from sb3_contrib import QRDQN as learner

        policy["n_quantiles"] = NUM_QUANTILES
        # Named, since it would set Adam's epsilon to 0.01 / batch size otherwise.
        policy |= {"optimizer_class": torch.optim.Adam, "optimizer_kwargs": {"eps": 1e-8}}
    return learner(
        "MlpPolicy",
        make_vec_env(WORK_UNIT.env_id, n_envs=num_envs, seed=seed),
        learning_rate=WORK_UNIT.learning_rate,
        buffer_size=WORK_UNIT.replay_capacity,
        learning_starts=WORK_UNIT.warmup_env_steps,
        batch_size=WORK_UNIT.batch_size,
        gamma=WORK_UNIT.gamma,
        train_freq=max(1, per_update // num_envs),
        gradient_steps=max(1, num_envs // per_update),
        target_update_interval=WORK_UNIT.target_every_env_steps,
        exploration_fraction=WORK_UNIT.epsilon_decay_env_steps / WORK_UNIT.env_steps,
        exploration_initial_eps=WORK_UNIT.epsilon_start,
        exploration_final_eps=WORK_UNIT.epsilon_end,
        policy_kwargs=policy,
        seed=seed,
        device="cpu",
    )


def main() -> None:
    """Run the work unit and print its result."""
    parser = argument_parser()
    parser.add_argument("--algorithm", choices=("dqn", "qr_dqn"), default="dqn")
    parser.add_argument("--num-envs", type=int, default=1)
    parser.add_argument("--mse", action="store_true", help="mean squared error, not smooth L1")
    arguments = parser.parse_args()
    if arguments.mse:
        dqn.F = SimpleNamespace(smooth_l1_loss=mse_loss)
    model = build(arguments.algorithm, arguments.num_envs, arguments.seed)
    stopwatch = Stopwatch()
    model.learn(WORK_UNIT.env_steps, callback=stopwatch, log_interval=None)
    learning_s = time.perf_counter() - stopwatch.learning_started
    Result(
        name=f"sb3 {arguments.algorithm}",
        imports_s=IMPORTED - STARTED,
        warmup_s=stopwatch.learning_started - IMPORTED,
        learning_s=learning_s,
        env_steps=model.num_timesteps,
        updates=model._n_updates,
        last_100_return=last_100_return([episode["r"] for episode in model.ep_info_buffer]),
    ).print_json()


if __name__ == "__main__":
    main()

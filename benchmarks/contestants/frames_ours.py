"""lightning-dqn on frames: the DQN of `conf/algorithm/atari`, with the work unit's constants."""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

import argparse
import os

import ours
import pytorch_lightning as pl
import torch
from work_unit import WORK_UNIT, argument_parser

from lightning_dqn.learning.devices import SUPPORTED_PRECISIONS
from lightning_dqn.runs.build import build
from lightning_dqn.runs.compose import compose

IMPORTED = time.perf_counter()

NUM_ENVS = 8
UPDATES_PER_ITERATION = 4


def overrides(compiles: bool) -> list[str]:
    """Return the work unit's constants as arguments of the command line."""
    return [
        "+experiment=atari",
        "algorithm=atari/dqn_adam_mse",
        "environment.protocol=nature",
        "environment.num_threads=1",
        f"environment.game={WORK_UNIT.env_id}",
        f"environment.num_envs={NUM_ENVS}",
        f"module.compile={compiles}",
        f"module.optimizer.lr={WORK_UNIT.learning_rate}",
        f"data.batch_size={WORK_UNIT.batch_size}",
        f"data.updates_per_iteration={UPDATES_PER_ITERATION}",
        f"data.env_steps_per_iteration={UPDATES_PER_ITERATION * WORK_UNIT.env_steps_per_update}",
        f"data.env_steps_per_epoch={WORK_UNIT.learning_env_steps}",
        f"data.replay.capacity={WORK_UNIT.replay_capacity}",
        f"data.replay.gamma={WORK_UNIT.gamma}",
        f"data.collection.warmup_env_steps={WORK_UNIT.warmup_env_steps}",
        f"data.collection.epsilon.start={WORK_UNIT.epsilon_start}",
        f"data.collection.epsilon.end={WORK_UNIT.epsilon_end}",
        f"data.collection.epsilon.duration={WORK_UNIT.epsilon_decay_env_steps}",
        f"env_steps={WORK_UNIT.env_steps}",
    ]


def main() -> None:
    """Run the work unit and print its result."""
    parser = argument_parser()
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--precision", choices=SUPPORTED_PRECISIONS, default="32-true")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    pl.seed_everything(options.seed, verbose=False)
    config = compose(overrides(options.compile))
    environment = build(config, "environment")
    module = build(config, "module", environment=environment)
    data = build(config, "data", environment=environment, seed=options.seed)
    ours.run("ours", module, data, started=STARTED, imported=IMPORTED, precision=options.precision)


if __name__ == "__main__":
    main()

"""PureJaxRL's DQN: environments, replay and learning in one compiled JAX program.

It is run from a clone of the repository, whose folder the variable PUREJAXRL names:

    git clone https://github.com/luchris429/purejaxrl
    pip install jax flax optax chex distrax flashbax gymnax==0.0.8
    PUREJAXRL=purejaxrl python benchmarks/contestants/purejaxrl_dqn.py

Its CartPole is gymnax's, its network has the work unit's sizes. All env steps are one program, so
the learning part is timed with the warm-up in it. Its return is that of the last 100 iterations,
a mean over the environments of each one's newest episode.
"""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

import os
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from work_unit import WORK_UNIT, Result, argument_parser, last_100_return

if not hasattr(jax, "tree_map"):  # by which the program calls what JAX has renamed since
    jax.tree_map = jax.tree.map
sys.path.append(str(Path(os.environ.get("PUREJAXRL", "purejaxrl"), "purejaxrl")))
import dqn

IMPORTED = time.perf_counter()

NUM_ENVS = 10


def settings() -> dict[str, Any]:
    """Return the program's own names for the work unit's constants."""
    return {
        "ENV_NAME": WORK_UNIT.env_id,
        "NUM_ENVS": NUM_ENVS,
        "TOTAL_TIMESTEPS": WORK_UNIT.env_steps,
        "LEARNING_STARTS": WORK_UNIT.warmup_env_steps,
        "TRAINING_INTERVAL": WORK_UNIT.env_steps_per_update,
        "BUFFER_SIZE": WORK_UNIT.replay_capacity,
        "BUFFER_BATCH_SIZE": WORK_UNIT.batch_size,
        "LR": WORK_UNIT.learning_rate,
        "GAMMA": WORK_UNIT.gamma,
        "TARGET_UPDATE_INTERVAL": WORK_UNIT.target_every_env_steps,
        "TAU": 1.0,
        "EPSILON_START": WORK_UNIT.epsilon_start,
        "EPSILON_FINISH": WORK_UNIT.epsilon_end,
        "EPSILON_ANNEAL_TIME": WORK_UNIT.epsilon_decay_env_steps,
    }


def main() -> None:
    """Run the work unit and print its result."""
    seed = jax.random.PRNGKey(argument_parser().parse_args().seed)
    program = jax.jit(dqn.make_train(settings())).lower(seed).compile()
    compiled = time.perf_counter()
    metrics = jax.block_until_ready(program(seed))["metrics"]
    learning_s = time.perf_counter() - compiled
    Result(
        name="purejaxrl dqn",
        imports_s=IMPORTED - STARTED,
        warmup_s=0.0,
        learning_s=learning_s,
        env_steps=int(metrics["timesteps"][-1]),
        updates=int(metrics["updates"][-1]),
        last_100_return=last_100_return(np.asarray(metrics["returns"]).tolist()),
        compile_s=compiled - IMPORTED,
    ).print_json()


if __name__ == "__main__":
    main()

"""lightning-dqn: Trainer.fit drives the work unit, in iterations of several updates.

With --preset the learner and its data are built from that preset's configuration, on which the
work unit's constants are put as a command line would do it. What the preset itself is made of
(head, sizes, sampler, n-step, noise) stays.

`compile_s` is the check of each compiled step, which compiles it: from a filled cache, loads it.
"""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

import argparse
import logging
import os
from collections.abc import Callable
from functools import partial

from lightning_dqn.system.startup import uncollected

with uncollected(freeze=True):  # as the command line does
    import pytorch_lightning as pl
    import torch
    from work_unit import WORK_UNIT, Result, argument_parser, last_100_return

    from lightning_dqn import (
        DQN,
        CollectionConfig,
        EnvironmentFactory,
        LinearSchedule,
        ReplayConfig,
        ReplayDataModule,
    )
    from lightning_dqn.callbacks import EMATargetNetwork
    from lightning_dqn.learning import update
    from lightning_dqn.learning.compilation import CheckedCompiledStep
    from lightning_dqn.learning.targets import Target
    from lightning_dqn.networks.heads.scalar import ScalarHead
    from lightning_dqn.networks.torsos import mlp

IMPORTED = time.perf_counter()


class Stopwatch(pl.Callback):
    """Times the learning part from the end of the warm-up, without the compilation."""

    def __init__(self) -> None:
        """Start with nothing measured."""
        self.learning_started = self.learning_ended = self.compile_s = 0.0
        self.episode_returns: list[float] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: DQN) -> None:
        """Watch the collected env steps for the end of the warm-up."""
        trainer.datamodule.after_collection.append(self._after_collection)

    def _after_collection(self, env_steps: int) -> None:
        if env_steps <= WORK_UNIT.warmup_env_steps:
            self.learning_started = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: DQN, batch: object, batch_idx: int
    ) -> None:
        """Note the returns."""
        self.episode_returns += [episode.episode_return for episode in batch.episodes]

    def watch_compiling(self) -> None:
        """Count apart the check of a compiled step, which compiles it and changes nothing."""
        check = CheckedCompiledStep.check

        def timed(step: CheckedCompiledStep, *arguments: object) -> None:
            before = time.perf_counter()
            check(step, *arguments)
            self.compile_s += time.perf_counter() - before

        CheckedCompiledStep.check = timed

    def on_train_end(self, trainer: pl.Trainer, pl_module: DQN) -> None:
        """Stop."""
        self.learning_ended = time.perf_counter()


def build(options: argparse.Namespace) -> tuple[DQN, ReplayDataModule]:
    """Build the learner and its data for the work unit."""
    if options.preset:
        return build_preset(options)
    environment = EnvironmentFactory(WORK_UNIT.env_id, num_envs=options.num_envs)
    updates = options.updates_per_iteration
    data = ReplayDataModule(
        environment,
        batch_size=WORK_UNIT.batch_size,
        updates_per_iteration=updates,
        env_steps_per_iteration=updates * WORK_UNIT.env_steps_per_update,
        env_steps_per_epoch=WORK_UNIT.learning_env_steps,
        replay=ReplayConfig(capacity=WORK_UNIT.replay_capacity, gamma=WORK_UNIT.gamma),
        collection=CollectionConfig(
            warmup_env_steps=WORK_UNIT.warmup_env_steps,
            epsilon=LinearSchedule(
                WORK_UNIT.epsilon_start, WORK_UNIT.epsilon_end, WORK_UNIT.epsilon_decay_env_steps
            ),
            overlap=options.overlap,
        ),
        seed=options.seed,
    )
    module = DQN(
        environment,
        network=mlp(WORK_UNIT.hidden_sizes),
        head=ScalarHead(error="mse"),
        target=Target(double=False),
        optimizer=partial(torch.optim.Adam, lr=WORK_UNIT.learning_rate, fused=True),
        max_gradient_norm=None,
        compile=options.compile,
    )
    return module, data


def build_preset(options: argparse.Namespace) -> tuple[DQN, ReplayDataModule]:
    """Build the same from a preset's configuration."""
    from lightning_dqn.runs.build import build as build_node
    from lightning_dqn.runs.compose import compose

    config = compose(overrides(options))
    environment = build_node(config, "environment")
    module = build_node(config, "module", environment=environment)
    return module, build_node(config, "data", environment=environment, seed=options.seed)


def overrides(options: argparse.Namespace) -> list[str]:
    """Return the work unit's constants as arguments of the command line."""
    updates = options.updates_per_iteration
    value_min, value_max = WORK_UNIT.value_range
    return [
        f"algorithm={options.preset}",
        f"module.network.hidden={list(WORK_UNIT.hidden_sizes)}",
        f"module.optimizer.lr={WORK_UNIT.learning_rate}",
        "module.max_gradient_norm=null",
        f"module.compile={options.compile}",
        "hints.td_error=mse",
        f"hints.value_range.min={value_min}",
        f"hints.value_range.max={value_max}",
        f"environment.id={WORK_UNIT.env_id}",
        f"environment.num_envs={options.num_envs}",
        f"data.batch_size={WORK_UNIT.batch_size}",
        f"data.updates_per_iteration={updates}",
        f"data.env_steps_per_iteration={updates * WORK_UNIT.env_steps_per_update}",
        f"data.env_steps_per_epoch={WORK_UNIT.learning_env_steps}",
        f"data.replay.capacity={WORK_UNIT.replay_capacity}",
        f"data.replay.gamma={WORK_UNIT.gamma}",
        f"data.collection.warmup_env_steps={WORK_UNIT.warmup_env_steps}",
        f"data.collection.overlap={options.overlap}",
        f"data.collection.epsilon.start={WORK_UNIT.epsilon_start}",
        f"data.collection.epsilon.end={WORK_UNIT.epsilon_end}",
        f"data.collection.epsilon.duration={WORK_UNIT.epsilon_decay_env_steps}",
        "trainer.max_epochs=1",
    ]


def build_trainer(stopwatch: Stopwatch, precision: str = "32-true") -> pl.Trainer:
    """Build a Trainer of one epoch without evaluation, logger or checkpoints."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    target = EMATargetNetwork(tau=1.0, every_n_updates=WORK_UNIT.target_every_n_updates)
    return pl.Trainer(
        max_epochs=1,
        limit_val_batches=0,
        accelerator="cpu",
        precision=precision,
        callbacks=[target, stopwatch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def parse_options() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argument_parser()
    flag: Callable[..., argparse.Action] = partial(
        parser.add_argument, action=argparse.BooleanOptionalAction
    )
    parser.add_argument("--preset", help="a file of conf/algorithm; none: the plain DQN in Python")
    parser.add_argument("--num-envs", type=int, default=100)
    parser.add_argument("--updates-per-iteration", type=int, default=100)
    parser.add_argument(
        "--updates-in-a-graph", type=int, help="at most; none: as a run of this length has it"
    )
    flag("--compile", default=True)
    flag("--overlap", default=False)
    return parser.parse_args()


def run(
    name: str,
    module: DQN,
    data: ReplayDataModule,
    *,
    started: float,
    imported: float,
    precision: str = "32-true",
) -> None:
    """Fit and print the result; the clock's marks come from the main program."""
    stopwatch = Stopwatch()
    stopwatch.watch_compiling()
    build_trainer(stopwatch, precision).fit(module, data)
    learning_s = stopwatch.learning_ended - stopwatch.learning_started - stopwatch.compile_s
    Result(
        name=name,
        imports_s=imported - started,
        warmup_s=stopwatch.learning_started - imported,
        compile_s=stopwatch.compile_s,
        learning_s=learning_s,
        env_steps=module.env_steps,
        updates=module.updates,
        last_100_return=last_100_return(stopwatch.episode_returns),
    ).print_json()


def main() -> None:
    """Run the work unit and print its result."""
    options = parse_options()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    pl.seed_everything(options.seed, verbose=False)
    module, data = build(options)
    if options.updates_in_a_graph is not None:
        update.updates_in_a_graph = lambda *_, **__: options.updates_in_a_graph
    name = f"ours {options.preset}" if options.preset else "ours"
    run(name, module, data, started=STARTED, imported=IMPORTED)


if __name__ == "__main__":
    main()

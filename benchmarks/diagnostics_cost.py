"""Print what looking on costs: learning with all diagnostics over learning with none.

    python benchmarks/diagnostics_cost.py
    python benchmarks/diagnostics_cost.py --pairs 6 --presets plain,rainbow --evaluate

The CartPole work unit at the default period, in pairs of fresh processes of one thread that take
turns in going first; both write metrics.csv. Seconds are the process's own, from the end of the
warm-up, without the compilation, to the end of learning, so that other work on the machine disturbs
little. ``plain`` is built in Python, a preset from its configuration. With --evaluate both also
play validation episodes every 5,000 env steps, and what diagnostics add there is counted; without,
the looks alone are.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from contestants.work_unit import WORK_UNIT
from text_table import format_table
from two_commits import interval

HERE = Path(__file__).resolve().parent
EPOCH = 5_000
"""Env steps between two evaluations, as data has it by default."""


def measure(preset: str, *, looks: bool, evaluates: bool) -> float:
    """Return the processor seconds of learning the work unit, in this process."""
    sys.path.insert(0, str(HERE / "contestants"))
    import ours
    import pytorch_lightning as pl
    import torch

    from lightning_dqn.callbacks import Diagnostics, EMATargetNetwork
    from lightning_dqn.reporting.csv_logger import csv_logger

    class Clock(ours.Stopwatch):
        """Reads the processor's time where learning begins, once it is compiled."""

        began = 0.0

        def on_train_batch_start(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
        ) -> None:
            super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
            self.began = self.began or time.process_time()

    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.simplefilter("ignore")
    pl.seed_everything(1, verbose=False)
    sys.argv = ["ours.py", *([] if preset == "plain" else ["--preset", preset])]
    module, data = ours.build(ours.parse_options())
    data.env_steps_per_epoch = EPOCH
    clock = Clock()
    target = EMATargetNetwork(tau=1.0, every_n_updates=WORK_UNIT.target_every_n_updates)
    with tempfile.TemporaryDirectory() as folder:
        pl.Trainer(
            max_epochs=WORK_UNIT.learning_env_steps // EPOCH,
            limit_val_batches=1.0 if evaluates else 0,
            num_sanity_val_steps=0,
            accelerator="cpu",
            callbacks=[target, clock, *([Diagnostics()] if looks else [])],
            logger=csv_logger(folder),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(module, data)
    return time.process_time() - clock.began


def in_fresh_process(preset: str, *, looks: bool, evaluates: bool) -> float:
    """Return what :func:`measure` returns, of a process that does nothing else."""
    options = ["--measure", preset, *(["--looks"] if looks else [])]
    options += ["--evaluate"] if evaluates else []
    result = subprocess.run(
        [sys.executable, __file__, *options],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if result.returncode:
        sys.exit(f"{preset} ended:\n{result.stderr}")
    return float(result.stdout.split()[-1])


def row_of(preset: str, pairs: int, *, evaluates: bool) -> list[str]:
    """Return a preset's row of the table."""
    without, with_them = [], []
    for number in range(pairs):
        order = (False, True) if number % 2 else (True, False)
        found = {
            looks: in_fresh_process(preset, looks=looks, evaluates=evaluates) for looks in order
        }
        without.append(found[False])
        with_them.append(found[True])
        print(f"{preset}: {with_them[-1] / without[-1]:.3f}", file=sys.stderr, flush=True)
    ratios = [new / old for new, old in zip(with_them, without, strict=True)]
    low, high = interval(ratios)
    medians = [f"{statistics.median(seconds):.3f}" for seconds in (without, with_them)]
    ratio = f"{statistics.median(ratios):.3f}"
    return [preset, *medians, ratio, f"{low:.3f} to {high:.3f}", str(pairs)]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", default="plain", help="plain, or options of conf/algorithm")
    parser.add_argument("--pairs", type=int, default=20, help="of processes")
    parser.add_argument("--evaluate", action="store_true", help="play validation episodes too")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--looks", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(measure(options.measure, looks=options.looks, evaluates=options.evaluate))
        return
    rows = [["preset", "none [s]", "all [s]", "all / none", "95 %", "pairs"]]
    for preset in options.presets.split(","):
        rows.append(row_of(preset, options.pairs, evaluates=options.evaluate))
    print(format_table(rows))


if __name__ == "__main__":
    main()

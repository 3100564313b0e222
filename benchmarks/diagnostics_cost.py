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
import os
import statistics
import subprocess
import sys
from typing import Any

from learning_time import learning_seconds
from text_table import format_table
from two_commits import interval


def measure(preset: str, *, looks: bool, evaluates: bool) -> float:
    """Return the processor seconds of learning the work unit, in this process."""

    def callbacks() -> list[Any]:
        from lightning_dqn.callbacks import Diagnostics

        return [Diagnostics()] if looks else []

    return learning_seconds(callbacks, preset=preset, limit_val_batches=1.0 if evaluates else 0)


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

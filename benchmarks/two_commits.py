"""Print the processor time that learning takes at one commit, as a share of that at another.

    python benchmarks/two_commits.py <commit>                     the working tree against it
    python benchmarks/two_commits.py <commit> <commit> --presets dqn,rainbow --pairs 40

For changes that should change no speed. The CartPole work unit runs at both commits, each in a
process of one thread, and they take turns: so many iterations of one, then as many of the other,
so that the machine was the same for both. A pair of processes gives one ratio, and there are many
pairs: how a process happens to lie in memory makes a difference of several per cent, which turns
within it can't tell. ``plain`` is built in Python, a preset from its configuration. Seconds are the
process's own, so that other work on the machine disturbs little. The first turn of each compiles
and isn't counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from contestants.work_unit import VARIABLE, WORK_UNIT
from text_table import format_table

ROOT = Path(__file__).resolve().parent.parent
PRESETS = "plain,dqn,per,noisy_dqn,c51,iqn,rainbow"

# Run the contestant with a callback that waits for its turn and tells what the last one took.
IN_TURNS = """
import os, runpy, sys, time
import pytorch_lightning as pl

turn, sys.argv = int(sys.argv[1]), sys.argv[2:]
answers, sys.stdout = sys.stdout, sys.stderr

class Turns(pl.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if (batch_idx + 1) % turn == 0:
            print(time.process_time() - getattr(self, "since", 0.0), file=answers, flush=True)
            if not sys.stdin.readline():
                os._exit(0)
            self.since = time.process_time()

make = pl.Trainer.__init__
def with_turns(self, *args, callbacks=(), **kwargs):
    make(self, *args, callbacks=[*callbacks, Turns()], **kwargs)
pl.Trainer.__init__ = with_turns
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Contestant:
    """The work unit at one commit, in a process that waits for its turns.

    Args:
        tree: a checkout.
        preset: an option of conf/algorithm, or ``plain``.
        turn: iterations of a turn.
        turns: in all.
    """

    def __init__(self, tree: Path, preset: str, turn: int, turns: int) -> None:
        self.name = f"{preset} in {tree}"
        unit = {**json.loads(WORK_UNIT.to_json()), "warmup_env_steps": 2_000}
        # An iteration of ours is 100 updates.
        unit["env_steps"] = 2_000 + turns * turn * 100 * WORK_UNIT.env_steps_per_update
        options = [] if preset == "plain" else ["--preset", preset]
        script = str(tree / "benchmarks" / "contestants" / "ours.py")
        environment = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", VARIABLE: json.dumps(unit)}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - close() closes it
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_TURNS, str(turn), script, *options],
            env={**os.environ, **environment},
            cwd=tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def take_turn(self) -> float:
        """Let it go on for a turn, and return the processor seconds of that."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.wait()

    def wait(self) -> float:
        """Return the processor seconds up to the end of its turn."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            sys.exit(f"{self.name} ended:\n{self.errors.read()}")
        return float(line)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self.errors.close()


def measure(trees: list[Path], preset: str, turn: int, turns: int) -> tuple[float, float]:
    """Return the processor seconds of all turns of a pair of processes, one of each tree."""
    with ExitStack() as stack:
        contestants = [Contestant(tree, preset, turn, turns + 2) for tree in trees]
        for contestant in contestants:
            stack.callback(contestant.close)
        for contestant in contestants:
            contestant.wait()
        seconds = [0.0, 0.0]
        for number in range(turns):
            for place in (0, 1) if number % 2 else (1, 0):
                seconds[place] += contestants[place].take_turn()
        return seconds[0], seconds[1]


def interval(ratios: list[float]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the ratios' median."""
    draws = np.random.default_rng(0).choice(ratios, (10_000, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return float(low), float(high)


def checkout(commit: str, folder: Path) -> Path:
    """Return a checkout of a commit of this repository."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "checkout", "--quiet", commit], check=True)
    return folder


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commits", nargs="+", help="before, and after; the working tree if one")
    parser.add_argument("--presets", default=PRESETS, help="plain, or options of conf/algorithm")
    parser.add_argument("--pairs", type=int, default=20, help="of processes")
    parser.add_argument("--turns", type=int, default=4, help="that each process takes")
    parser.add_argument("--iterations", type=int, default=10, help="of a turn, 100 updates each")
    options = parser.parse_args()
    rows = [["preset", "before [s]", "after [s]", "after / before", "95 %", "pairs"]]
    with tempfile.TemporaryDirectory() as temporary:
        trees = [checkout(c, Path(temporary, f"tree_{i}")) for i, c in enumerate(options.commits)]
        trees = [*trees, ROOT][:2]
        for preset in options.presets.split(","):
            seconds = []
            for number in range(options.pairs):
                order = trees if number % 2 else trees[::-1]
                pair = measure(order, preset, options.iterations, options.turns)
                seconds.append(pair if number % 2 else pair[::-1])
            ratios = [new / old for old, new in seconds]
            low, high = interval(ratios)
            columns = zip(*seconds, strict=True)
            medians = [f"{statistics.median(column):.3f}" for column in columns]
            rows.append([preset, *medians, f"{statistics.median(ratios):.3f}"])
            rows[-1] += [f"{low:.3f} to {high:.3f}", str(len(ratios))]
            print(" | ".join(rows[-1]), file=sys.stderr)
            print("  ", *(f"{r:.3f}" for r in sorted(ratios)), file=sys.stderr, flush=True)
    print(format_table(rows))


if __name__ == "__main__":
    main()

"""Print the processor time that learning takes at one commit, as a share of that at another.

    python benchmarks/two_commits.py <commit>                     the working tree against it
    python benchmarks/two_commits.py <commit> <commit> --presets dqn,rainbow --pairs 20

For changes that should change no speed. The CartPole work unit runs at both commits in turns, each
run a fresh process with one thread, and each pair gives a ratio. ``plain`` is built in Python, a
preset from its configuration. Only the learning part counts, in seconds of the process's own time,
so that other work on the machine disturbs little. The first run of each compiles and isn't counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from contestants.work_unit import VARIABLE, WORK_UNIT
from text_table import format_table

ROOT = Path(__file__).resolve().parent.parent
PRESETS = "plain,dqn,per,noisy_dqn,c51,iqn,rainbow"

# The contestant's own clock reads the process's time instead of the wall's.
PROCESSOR_TIME = """
import runpy, sys, time
time.perf_counter = time.process_time
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def learning_seconds(tree: Path, preset: str, work_unit: str) -> float:
    """Return the processor seconds of the learning part of one run."""
    contestant = tree / "benchmarks" / "contestants" / "ours.py"
    options = [] if preset == "plain" else ["--preset", preset]
    finished = subprocess.run(
        [sys.executable, "-c", PROCESSOR_TIME, str(contestant), *options],
        env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", VARIABLE: work_unit},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        sys.exit(f"{preset} in {tree}:\n{finished.stdout}{finished.stderr}")
    return json.loads(finished.stdout.splitlines()[-1])["learning_s"]


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
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--learning-env-steps", type=int, default=20_000)
    options = parser.parse_args()
    unit = {**json.loads(WORK_UNIT.to_json()), "warmup_env_steps": 2_000}
    unit["env_steps"] = unit["warmup_env_steps"] + options.learning_env_steps
    work_unit = json.dumps(unit)
    rows = [["preset", "before [s]", "after [s]", "after / before", "95 %", "pairs"]]
    with tempfile.TemporaryDirectory() as temporary:
        trees = [checkout(c, Path(temporary, f"tree_{i}")) for i, c in enumerate(options.commits)]
        before, after = [*trees, ROOT][:2]
        for preset in options.presets.split(","):
            seconds: list[tuple[float, float]] = []
            for number in range(options.pairs + 1):
                order = (before, after) if number % 2 else (after, before)
                measured = {tree: learning_seconds(tree, preset, work_unit) for tree in order}
                if number:
                    seconds.append((measured[before], measured[after]))
            ratios = [new / old for old, new in seconds]
            low, high = interval(ratios)
            old, new = (statistics.median(column) for column in zip(*seconds, strict=True))
            ratio = statistics.median(ratios)
            rows.append([preset, f"{old:.3f}", f"{new:.3f}", f"{ratio:.3f}"])
            rows[-1] += [f"{low:.3f} to {high:.3f}", str(len(ratios))]
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    print(format_table(rows))


if __name__ == "__main__":
    main()

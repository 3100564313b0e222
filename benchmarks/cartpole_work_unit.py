"""Run the CartPole work unit on every installed contestant and print times and ratios.

Each run is a fresh process; the contestants take turns within each repeat, so that a drifting
background load falls on all of them. Needs Linux or macOS.
"""

import argparse
import json
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

from contestant_run import Contestant, Run
from contestant_turns import add_options, paired_ratio, run_all, split_available
from contestants.work_unit import WORK_UNIT
from text_table import format_table, ratio_text

REFERENCE = "ours"

BARE = Contestant("bare_eager.py", (), ("torch", "gymnasium"), "torch gymnasium")
SB3 = Contestant("sb3_dqn.py", ("--mse",), ("stable_baselines3",), "stable-baselines3")
JAX = ("jax", "flax", "optax", "chex", "distrax", "flashbax", "gymnax")
TIANSHOU = Contestant("tianshou_dqn.py", (), ("tianshou",), "tianshou")

CONTESTANTS = {
    "ours": Contestant("ours.py", (), ("lightning_dqn",), "-e ."),
    "bare_eager": BARE,
    "bare_fused": replace(BARE, script="bare_fused.py"),
    "sb3": SB3,
    "sb3_10_envs": replace(SB3, arguments=("--mse", "--num-envs", "10")),
    "sb3_smooth_l1": replace(SB3, arguments=()),
    "lightning_example": Contestant(
        "lightning_example.py",
        (),
        ("pytorch_lightning", "gymnasium"),
        "pytorch-lightning gymnasium",
    ),
    "tianshou": TIANSHOU,
    "tianshou_10_envs": replace(TIANSHOU, arguments=("--num-envs", "10")),
    "torchrl": Contestant("torchrl_dqn.py", (), ("torchrl", "gymnasium"), "torchrl gymnasium"),
    "purejaxrl": Contestant("purejaxrl_dqn.py", (), JAX, " ".join(JAX) + "==0.0.8"),
}
LEFT_OUT_BY_DEFAULT = ("sb3_smooth_l1", "purejaxrl")  # the last needs a clone of its repository


def summarise(name: str, runs: Sequence[Run], references: Sequence[Run]) -> dict:
    """Return one contestant's medians over its repeats and its ratios to the reference."""

    def median(field: str) -> float:
        return statistics.median(getattr(run, field) for run in runs)

    learning = [run.learning_s for run in runs]
    return {
        "contestant": name,
        "repeats": len(runs),
        "learning_s": median("learning_s"),
        "learning_s_min": min(learning),
        "learning_s_max": max(learning),
        "env_steps_per_s": WORK_UNIT.learning_env_steps / median("learning_s"),
        "whole_s": median("whole_s"),
        "imports_s": median("imports_s"),
        "compile_s": median("compile_s"),
        "last_100_return": statistics.mean(run.last_100_return for run in runs),
        "peak_rss_mb": median("peak_rss_mb"),
        "learning_ratio": paired_ratio(runs, references, lambda run: run.learning_s),
        "whole_ratio": paired_ratio(runs, references, lambda run: run.whole_s),
    }


HEADINGS = (
    "contestant",
    "learning s (min-max)",
    "env steps/s",
    "whole s",
    "imports s",
    "compile s",
    "return",
    "RSS MB",
    f"learning / {REFERENCE}",
    f"whole / {REFERENCE}",
)


def table_row(summary: dict) -> tuple[str, ...]:
    """Return the cells of one contestant, in the order of HEADINGS."""
    spread = f"({summary['learning_s_min']:.2f}-{summary['learning_s_max']:.2f})"
    return (
        summary["contestant"],
        f"{summary['learning_s']:.2f} {spread}",
        f"{summary['env_steps_per_s']:,.0f}",
        f"{summary['whole_s']:.2f}",
        f"{summary['imports_s']:.2f}",
        f"{summary['compile_s']:.2f}",
        f"{summary['last_100_return']:.0f}",
        f"{summary['peak_rss_mb']:.0f}",
        ratio_text(summary["learning_ratio"]),
        ratio_text(summary["whole_ratio"]),
    )


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    default = ",".join(name for name in CONTESTANTS if name not in LEFT_OUT_BY_DEFAULT)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--contestants", default=default, help=f"of {', '.join(CONTESTANTS)}; default {default}"
    )
    add_options(parser)
    parser.add_argument(
        "--ours-arguments", default="", help='options of ours.py: --ours-arguments="--num-envs 32"'
    )
    arguments = parser.parse_args()
    unknown = set(arguments.contestants.split(",")) - set(CONTESTANTS)
    if unknown:
        parser.error(f"unknown contestants {sorted(unknown)}; known are {', '.join(CONTESTANTS)}")
    return arguments


def choose(arguments: argparse.Namespace) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Split the asked contestants into those that can run and the others with the reason."""
    asked = {name: CONTESTANTS[name] for name in arguments.contestants.split(",")}
    if REFERENCE in asked and arguments.ours_arguments:
        own = tuple(shlex.split(arguments.ours_arguments))
        asked[REFERENCE] = replace(asked[REFERENCE], arguments=own)
    return split_available(asked, arguments.python)


def main() -> None:
    """Run, print the table and, if asked, write the JSON file."""
    arguments = parse_arguments()
    available, unavailable = choose(arguments)
    runs, failures = run_all(
        available,
        num_repeats=arguments.repeats,
        python=arguments.python,
        num_threads=arguments.threads,
    )
    runs_of = {name: [run for run in runs if run.contestant == name] for name in available}
    references = runs_of.get(REFERENCE, [])
    summaries = [summarise(name, own, references) for name, own in runs_of.items() if own]
    print(format_table([HEADINGS, *map(table_row, summaries)]))
    for name, reason in (unavailable | failures).items():
        print(f"{name}: {reason}")
    if arguments.json:
        content = {"work_unit": asdict(WORK_UNIT), "threads": arguments.threads}
        content |= {"summaries": summaries, "runs": [asdict(run) for run in runs]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    if failures or not summaries:
        sys.exit(1)


if __name__ == "__main__":
    main()

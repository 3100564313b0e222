"""Run the CartPole work unit on every installed contestant and print times and ratios.

Each run is a fresh process; the contestants take turns within each repeat, so that a drifting
background load falls on all of them. Needs Linux or macOS.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from contestant_run import (
    CONTESTANTS_FOLDER,
    Contestant,
    Run,
    RunError,
    environment,
    run_contestant,
)
from contestants.work_unit import WORK_UNIT

REFERENCE = "ours"

BARE = Contestant("bare_eager.py", (), ("torch", "gymnasium"), "torch gymnasium")
SB3 = Contestant("sb3_dqn.py", ("--mse",), ("stable_baselines3",), "stable-baselines3")
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
}
LEFT_OUT_BY_DEFAULT = ("sb3_smooth_l1",)


def installed_modules(python: str) -> set[str]:
    """Return which of the contestants' modules the interpreter `python` finds."""
    modules = sorted({module for one in CONTESTANTS.values() for module in one.modules})
    code = (
        "import importlib.util, sys\n"
        "print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name)))"
    )
    command = [python, "-c", code, *modules]
    answer = subprocess.run(
        command,
        env=environment(1),
        capture_output=True,
        text=True,
        check=True,
        cwd=CONTESTANTS_FOLDER,
    )
    return set(answer.stdout.split())


def why_unavailable(contestant: Contestant, installed: set[str]) -> str:
    """Return why the contestant cannot run here, or an empty string."""
    if not (CONTESTANTS_FOLDER / contestant.script).is_file():
        return f"no such program: {contestant.script}"
    if not installed.issuperset(contestant.modules):
        return f"not installed: pip install {contestant.requirements}"
    return ""


def run_all(
    contestants: dict[str, Contestant], *, num_repeats: int, python: str, num_threads: int
) -> tuple[list[Run], dict[str, str]]:
    """Run every contestant once per repeat, in turns; one that fails is not run again.

    Returns:
        The finished runs, and what to say of each contestant that failed.
    """
    runs: list[Run] = []
    failures: dict[str, str] = {}
    total = num_repeats * len(contestants)
    turns = [(repeat, name) for repeat in range(1, num_repeats + 1) for name in contestants]
    for number, (repeat, name) in enumerate(turns, start=1):
        if name in failures:
            continue
        try:
            run = run_contestant(
                name, contestants[name], repeat=repeat, python=python, num_threads=num_threads
            )
        except RunError as error:
            failures[name] = f"failed in repeat {repeat}"
            say(f"[{number}/{total}] {name}: failed, {error}")
            continue
        runs.append(run)
        say(
            f"[{number}/{total}] {name}, repeat {repeat}: learning {run.learning_s:.2f} s, "
            f"whole process {run.whole_s:.2f} s, return {run.last_100_return:.0f}"
        )
    return runs, failures


def say(message: str) -> None:
    """Print progress, apart from the results."""
    print(message, file=sys.stderr, flush=True)


def paired_ratio(
    runs: Sequence[Run], references: Sequence[Run], seconds: Callable[[Run], float]
) -> float | None:
    """Return the median over the repeats of a contestant's seconds divided by the reference's."""
    reference_s = {run.repeat: seconds(run) for run in references}
    ratios = [seconds(run) / reference_s[run.repeat] for run in runs if run.repeat in reference_s]
    return statistics.median(ratios) if ratios else None


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

    def ratio(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}x"

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
        ratio(summary["learning_ratio"]),
        ratio(summary["whole_ratio"]),
    )


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Align the first column left and the others right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    )


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    default = ",".join(name for name in CONTESTANTS if name not in LEFT_OUT_BY_DEFAULT)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--contestants", default=default, help=f"of {', '.join(CONTESTANTS)}; default {default}"
    )
    parser.add_argument("--repeats", type=int, default=3, help="the repeat's number is the seed")
    parser.add_argument("--threads", type=int, default=1, help="OMP_NUM_THREADS of each run")
    parser.add_argument("--python", default=sys.executable, help="the contestants' interpreter")
    parser.add_argument(
        "--ours-arguments", default="", help='options of ours.py: --ours-arguments="--num-envs 32"'
    )
    parser.add_argument("--json", type=Path, help="write all runs and summaries to this file")
    arguments = parser.parse_args()
    unknown = set(arguments.contestants.split(",")) - set(CONTESTANTS)
    if unknown:
        parser.error(f"unknown contestants {sorted(unknown)}; known are {', '.join(CONTESTANTS)}")
    if arguments.repeats < 1:
        parser.error(f"--repeats is {arguments.repeats}; at least 1 is needed")
    return arguments


def choose(arguments: argparse.Namespace) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Split the asked contestants into those that can run and the others with the reason."""
    asked = {name: CONTESTANTS[name] for name in arguments.contestants.split(",")}
    if REFERENCE in asked and arguments.ours_arguments:
        own = tuple(shlex.split(arguments.ours_arguments))
        asked[REFERENCE] = replace(asked[REFERENCE], arguments=own)
    installed = installed_modules(arguments.python)
    reasons = {name: why_unavailable(one, installed) for name, one in asked.items()}
    available = {name: one for name, one in asked.items() if not reasons[name]}
    return available, {name: reason for name, reason in reasons.items() if reason}


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

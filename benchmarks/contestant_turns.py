"""Several contestants that take turns, so that a drifting background load falls on all of them."""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from contestant_run import (
    CONTESTANTS_FOLDER,
    Contestant,
    Run,
    RunError,
    environment,
    run_contestant,
)
from contestants.work_unit import WORK_UNIT, WorkUnit


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every driver of turns has."""
    parser.add_argument("--repeats", type=positive, default=3, help="the repeat's number is a seed")
    parser.add_argument("--threads", type=positive, default=1, help="OMP_NUM_THREADS of each run")
    parser.add_argument("--python", default=sys.executable, help="the contestants' interpreter")
    parser.add_argument("--json", type=Path, help="write all runs and summaries to this file")


def positive(text: str) -> int:
    """Read a whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: at least 1 is needed")
    return number


def split_available(
    contestants: dict[str, Contestant], python: str
) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Split contestants into those that `python` can run and the others with the reason."""
    installed = installed_modules(contestants.values(), python)
    reasons = {name: why_unavailable(one, installed) for name, one in contestants.items()}
    available = {name: one for name, one in contestants.items() if not reasons[name]}
    return available, {name: reason for name, reason in reasons.items() if reason}


def installed_modules(contestants: Iterable[Contestant], python: str) -> set[str]:
    """Return which of the contestants' modules the interpreter `python` finds."""
    modules = sorted({module for one in contestants for module in one.modules})
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
    contestants: dict[str, Contestant],
    *,
    num_repeats: int,
    python: str,
    num_threads: int,
    work_unit: WorkUnit = WORK_UNIT,
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
                name,
                contestants[name],
                repeat=repeat,
                python=python,
                num_threads=num_threads,
                work_unit=work_unit,
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

"""One run of a contestant: a fresh process, its own report, and what is measured from outside."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contestants.work_unit import VARIABLE, WORK_UNIT, WorkUnit

CONTESTANTS_FOLDER = Path(__file__).resolve().parent / "contestants"
REPOSITORY = CONTESTANTS_FOLDER.parent.parent
TIMEOUT_S = 1_800.0
MAX_EXTRA_ENV_STEPS = 120
"""A vector environment takes whole steps of all its copies."""
RSS_UNITS_PER_MB = 2**20 if sys.platform == "darwin" else 2**10


@dataclass(frozen=True)
class Contestant:
    """A program in the contestants' folder, its arguments and what it needs installed."""

    script: str
    arguments: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    requirements: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One finished run: what the contestant reported and what was measured from outside."""

    contestant: str
    repeat: int
    whole_s: float
    peak_rss_mb: float
    imports_s: float
    warmup_s: float
    compile_s: float
    learning_s: float
    last_100_return: float


class RunError(Exception):
    """A contestant crashed, hung or did another amount of work."""


def environment(num_threads: int, work_unit: WorkUnit = WORK_UNIT) -> dict[str, str]:
    """Return the environment of a run: so many threads, its work, and this clone importable."""
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "OMP_NUM_THREADS": str(num_threads),
        VARIABLE: work_unit.to_json(),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }


def run_contestant(
    name: str,
    contestant: Contestant,
    *,
    repeat: int,
    python: str,
    num_threads: int,
    work_unit: WorkUnit = WORK_UNIT,
) -> Run:
    """Run one contestant in a fresh process and an empty folder.

    Raises:
        RunError: If it fails or its totals are not the work unit's.
    """
    command = [python, str(CONTESTANTS_FOLDER / contestant.script), *contestant.arguments]
    command += ["--seed", str(repeat)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
        with (Path(folder) / "stderr").open("w+") as errors:
            started = time.perf_counter()
            process = subprocess.Popen(
                command,
                env=environment(num_threads, work_unit),
                cwd=folder,
                stdout=output,
                stderr=errors,
            )
            peak_rss_mb = wait(process)
            whole_s = time.perf_counter() - started
            errors.seek(0)
            if process.returncode:
                raise RunError(f"exit code {process.returncode}\n{errors.read()[-2_000:]}")
        output.seek(0)
        report = read_report(output.read())
    check_totals(report["env_steps"], report["updates"], work_unit)
    return Run(
        contestant=name,
        repeat=repeat,
        whole_s=whole_s,
        peak_rss_mb=peak_rss_mb,
        imports_s=report["imports_s"],
        warmup_s=report["warmup_s"],
        compile_s=report.get("compile_s", 0.0),
        learning_s=report["learning_s"],
        last_100_return=report["last_100_return"],
    )


def wait(process: subprocess.Popen) -> float:
    """Wait for the process, at most TIMEOUT_S, and return its peak resident memory in MB."""
    timer = threading.Timer(TIMEOUT_S, process.kill)
    timer.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / RSS_UNITS_PER_MB


def read_report(output: str) -> dict[str, Any]:
    """Read a run's JSON line, the last line of its output."""
    try:
        return json.loads(output.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError) as error:
        raise RunError(f"no JSON line in its output: {output[-500:]!r}") from error


def check_totals(env_steps: int, updates: int, work_unit: WorkUnit) -> None:
    """Refuse a run that did another amount of work."""
    extra = env_steps - work_unit.env_steps
    if not 0 <= extra <= MAX_EXTRA_ENV_STEPS or updates != work_unit.updates:
        raise RunError(
            f"did {env_steps} env steps and {updates} updates "
            f"instead of {work_unit.env_steps} and {work_unit.updates}"
        )

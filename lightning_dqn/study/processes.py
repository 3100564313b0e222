"""The runs of a study: a process for each seed, several at once, none forgotten."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.resume import CHECKPOINT, quoted
from lightning_dqn.safekeeping.signals import Stopped
from lightning_dqn.study.results import Failure, duration, read_run
from lightning_dqn.system.files import SUMMARY
from lightning_dqn.system.processes import PARENT

POLL_SECONDS = 0.2
STOP_SECONDS = 10.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Study:
    """What is asked for: one configuration, as arguments of the command line, and its seeds."""

    name: str
    folder: Path
    arguments: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def command(self) -> str:
        """The command that runs the same again."""
        seeds = "seeds=" + ",".join(map(str, self.seeds)) + ("," if len(self.seeds) == 1 else "")
        return shlex.join(["python", "-m", "lightning_dqn", "study", *self.arguments, seeds])

    def run_dir(self, seed: int) -> Path:
        """Return the folder of a seed's run."""
        return self.folder / f"seed_{seed}"

    def is_finished(self, seed: int) -> bool:
        """Return whether a seed's run is complete."""
        return (self.run_dir(seed) / SUMMARY).is_file()

    def log(self, seed: int) -> Path:
        """Return the file of what a seed's run prints."""
        return self.folder / f"seed_{seed}.log"


def run_seeds(study: Study, seeds: Sequence[int], *, jobs: int, say: Say) -> list[Failure]:
    """Run the seeds, ``jobs`` at once; return those that failed.

    Whatever ends this function early, as Ctrl-C, ends the runs.
    """
    waiting, running = list(seeds), dict[int, subprocess.Popen[bytes]]()
    failures: list[Failure] = []
    try:
        while waiting or running:
            ended = {seed: p.returncode for seed, p in running.items() if p.poll() is not None}
            running = {seed: p for seed, p in running.items() if seed not in ended}
            started = waiting[: jobs - len(running)]
            for seed in started:
                running[seed] = _start(study, seed)
            waiting = waiting[len(started) :]
            others = _progress(running, waiting)
            for seed, code in ended.items():
                text, reason = _outcome(study, seed, code)
                if reason:
                    failures.append(Failure(seed, reason, study.log(seed).name))
                say(f"seed {seed}: {text}{others}")
            if started and not ended:
                say(others.removeprefix(" | "))
            time.sleep(POLL_SECONDS if running else 0)
    finally:
        _stop(running.values())
    return failures


def _start(study: Study, seed: int) -> subprocess.Popen[bytes]:
    run_dir = study.run_dir(seed)
    goes_on = (run_dir / CHECKPOINT).is_file()
    if run_dir.exists() and not goes_on:
        run_dir.rename(_free_name(run_dir))
    with study.log(seed).open("ab") as log:
        return subprocess.Popen(
            _resume(study, seed) if goes_on else _command(study, seed),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", PARENT: str(os.getpid())},
        )


def _command(study: Study, seed: int) -> list[str]:
    own = [f"seed={seed}", f"hydra.run.dir={quoted(study.run_dir(seed).absolute())}"]
    return [sys.executable, "-m", "lightning_dqn", *study.arguments, *own]


def _resume(study: Study, seed: int) -> list[str]:
    # What was typed for the study is typed again, and so trusted; none of it is new to the run.
    folder = f"resume={study.run_dir(seed).absolute()}"
    return [sys.executable, "-m", "lightning_dqn", folder, *study.arguments, f"seed={seed}"]


def _free_name(run_dir: Path) -> Path:
    """Return where to put what a run left that never got to a checkpoint."""
    number = 1
    while (free := run_dir.with_name(f"{run_dir.name}_unfinished_{number}")).exists():
        number += 1
    return free


def _outcome(study: Study, seed: int, code: int) -> tuple[str, str | None]:
    """Return what to say of a run that ended, and why it failed, if it did."""
    if code != 0:
        (study.run_dir(seed) / SUMMARY).unlink(missing_ok=True)  # finished or failed, not both
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"failed, {reason}, see {study.log(seed)}", reason
    try:
        run = read_run(study.folder, study.run_dir(seed))
    except ConfigError as error:
        return f"failed, {error}", f"no usable {SUMMARY}"
    spread = f"{run.episode_return:.1f} ± {run.episode_return_std:.1f}"
    return f"return {spread} in {duration(run.wall_seconds)}", None


def _progress(running: Iterable[int], waiting: Sequence[int]) -> str:
    parts = [("running", running), ("waiting", waiting)]
    return "".join(f" | {what}: {', '.join(map(str, s))}" for what, s in parts if s)


def _stop(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt, Stopped):
            process.kill()
            process.wait()

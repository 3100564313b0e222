"""Several seeds of one configuration, and what they come to."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType

from hydra.core.override_parser.overrides_parser import OverridesParser

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer, without_hydra
from lightning_dqn.runs.mistakes import MISTAKES
from lightning_dqn.runs.training import training_module
from lightning_dqn.runs.trust import NOTHING, Trust, check_overrides, check_saved
from lightning_dqn.safekeeping.signals import Stopped
from lightning_dqn.study.processes import Say, Study, run_seeds
from lightning_dqn.study.results import (
    Failure,
    Results,
    read_run,
    write_results,
)
from lightning_dqn.system.files import write_json

ASKED = "study.json"
"""What a study was asked for, in its folder from the start."""

RESERVED = {
    "seed": "a study takes its seeds as seeds=5 or seeds=3,4,7",
    "hydra.run.dir": "a study's folder is folder=<folder>, each run's lies in it",
    "run_dir": "a study's folder is folder=<folder>, each run's lies in it",
    "resume": "a study is continued with folder=<study folder>",
}


_say = partial(print, flush=True)


def run_study(
    arguments: Sequence[str],
    *,
    seeds: Iterable[int] | None = None,
    jobs: int = 1,
    folder: str | Path | None = None,
    trust: Trust = NOTHING,
) -> Results:
    """Run a configuration with several seeds and write what they come to.

    Args:
        arguments: of ``python -m lightning_dqn``, as ``["+experiment=cartpole"]``.
        seeds: of the runs; None: 0 to 4. A study that is continued keeps those it had, too.
        jobs: runs at once.
        folder: the study's; None: a new one below ``runs/<name>``. Its finished runs are kept.
        trust: what a study that is continued may name beside what every run needs.

    Raises:
        ConfigError: an argument is wrong; nothing was written or run.
    """
    study = plan(arguments, seeds=seeds, folder=folder, trust=trust)
    return conduct(study, jobs=number_of_jobs(str(jobs)))


def plan(
    arguments: Sequence[str],
    *,
    seeds: Iterable[int] | None,
    folder: str | Path | None = None,
    trust: Trust = NOTHING,
) -> Study:
    """Return the study that is asked for, after all checks; see :func:`run_study`.

    Raises:
        ConfigError: an argument is wrong.
    """
    asked = _read_asked(Path(folder)) if folder is not None else None
    if asked is None:
        chosen = tuple(range(5) if seeds is None else seeds)
        study = Study(check(arguments, chosen), Path(folder or "."), tuple(arguments), chosen)
        stamp = f"study_{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
        return study if folder else replace(study, folder=Path("runs", study.name, stamp))
    if arguments and tuple(arguments) != asked.arguments:
        raise ConfigError(
            f"folder={folder}: holds a study of {shlex.join(asked.arguments)}; leave the keys "
            "away to continue it, or choose another folder"
        )
    study = replace(asked, seeds=tuple(dict.fromkeys([*asked.seeds, *(seeds or ())])))
    finished = [seed for seed in study.seeds if study.is_finished(seed)]
    for seed in finished:
        read_run(study.folder, study.run_dir(seed))
    if len(finished) < len(study.seeds):
        if not arguments:  # else the user typed them
            check_overrides(study.arguments, trust, str(study.folder / ASKED))
        check(study.arguments, study.seeds, None if arguments else trust)
    return study


def check(arguments: Sequence[str], seeds: Sequence[int] = (0,), trust: Trust | None = None) -> str:
    """Check a study's configuration and seeds as the command line does; return its name.

    Args:
        arguments: of each run.
        seeds: of the runs.
        trust: what arguments may name that were saved; None where they were typed.

    Raises:
        ConfigError: naming the argument at fault and the remedy.
    """
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ConfigError(f"seeds={_listed(seeds)}: expected different whole numbers")
    for flag in arguments:
        if flag.startswith("-") and not flag.startswith(("--config-dir", "-cd")):
            raise ConfigError(f"{flag}: of the flags a study takes --config-dir only")
    with Composer([*arguments, f"seed={seeds[0]}"]) as composer:
        try:
            _check_overrides(composer.flags.overrides[:-1])
            composed = composer.config()
            if trust is not None:
                check_saved(composed, trust, ASKED)
            config = without_hydra(composed)
            training_module().prepare(config)
        except MISTAKES as error:
            raise ConfigError(composer.explain(error)) from error
    if not config.test:
        raise ConfigError("test=false: a study compares what its runs' test episodes return")
    return str(config.name)


def conduct(study: Study, *, jobs: int = 1, say: Say = _say) -> Results:
    """Run what is not finished yet, ``jobs`` runs at once, and write what all come to.

    A run that fails does not keep the others from running, and is named at the end.
    """
    pending = [seed for seed in study.seeds if not study.is_finished(seed)]
    study.folder.mkdir(parents=True, exist_ok=True)
    _write_asked(study)
    num_finished = len(study.seeds) - len(pending)
    kept = f", {num_finished} of them finished already" if num_finished else ""
    say(f"study {study.name}: seeds {_listed(study.seeds)}{kept}, in {study.folder}")
    results = _results(study, run_seeds(study, pending, jobs=jobs, say=say))
    notes = write_results(results)
    say("\n".join(["", str(results), "", *notes]))
    for one in results.failures:
        log = study.folder / one.log
        say(f"seed {one.seed} failed, {one.reason}: {log}{_last_line(log)}")
    say(f"files  {study.folder}")
    return results


def interrupt_when_terminated() -> None:
    """Let a request to terminate end this process as Ctrl-C does, with the runs it started.

    It is :class:`lightning_dqn.safekeeping.signals.Stopped`.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    signal.signal(signal.SIGTERM, interrupt)


def _results(study: Study, failures: Sequence[Failure]) -> Results:
    finished = sorted(set(study.seeds) - {one.seed for one in failures})
    return Results(
        name=study.name,
        folder=study.folder,
        command=study.command,
        overrides=study.arguments,
        runs=tuple(read_run(study.folder, study.run_dir(seed)) for seed in finished),
        failures=tuple(sorted(failures, key=lambda one: one.seed)),
    )


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"\n  {lines[-1]}" if lines else ""


def _listed(seeds: Sequence[int]) -> str:
    return ",".join(map(str, seeds))


def number_of_jobs(text: str) -> int:
    """Return how many runs at once a text asks for.

    Raises:
        ConfigError: it isn't a number from 1.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"jobs={text}: expected a whole number from 1")
    return int(text)


def _check_overrides(overrides: list[str]) -> None:
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.key_or_group in RESERVED:
            raise ConfigError(f"{override.input_line}: {RESERVED[override.key_or_group]}")
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line}: a study is of one configuration; make one for each and "
                "compare them with report=<study folder>,<study folder>"
            )


def _read_asked(folder: Path) -> Study | None:
    """Return what the study in ``folder`` was asked for; None if the folder is new or empty."""
    path = folder / ASKED
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        asked = json.loads(path.read_text())
        return Study(asked["name"], folder, tuple(asked["arguments"]), tuple(asked["seeds"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"folder={folder}: is not empty and not that of a study") from error


def _write_asked(study: Study) -> None:
    asked = {"name": study.name, "arguments": study.arguments, "seeds": study.seeds}
    write_json(study.folder / ASKED, asked)

"""``python -m lightning_dqn study``: several seeds of one configuration, and what they come to."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from lightning_dqn.commands.command import USAGE_ERROR
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.curve import METRIC
from lightning_dqn.study.processes import Study
from lightning_dqn.study.results import (
    read_results,
    write_comparison,
)
from lightning_dqn.study.study import (
    ASKED,
    conduct,
    interrupt_when_terminated,
    number_of_jobs,
    plan,
)

USAGE = """\
Run one configuration with several seeds, each in a process of its own, and sum them up.

  python -m lightning_dqn study +experiment=cartpole [key=value ...] [seeds=5] [jobs=1]
  python -m lightning_dqn study folder=<study folder>             continue a study
  python -m lightning_dqn study report=<study folder>,<study folder>   compare finished studies
  python -m lightning_dqn study report=<...> metric=eval/mean_regret   draw something else of them

  seeds=5     5: seeds 0 to 4; 3,4,7: these
  jobs=1      runs at once
  folder=...  the study's folder, runs/<name>/study_<time>; what is finished there is kept
  report=...  finished studies, put into one table and one plot
  metric=...  what that plot draws, eval/episode_return or another metric of evaluations
  log=true    that plot on a logarithmic scale
All other keys are those of python -m lightning_dqn, as is --config-dir.
"""


OF_REPORTS = ("metric", "log")
INTERRUPTED = 130


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(USAGE)
        return
    try:
        options, rest = _options(arguments)
        if "report" in options:
            return _report(options, rest)
        study, jobs = _asked_study(options, rest), number_of_jobs(options.get("jobs", "1"))
    except ValueError as error:
        print(f"lightning-dqn: {error}", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    interrupt_when_terminated()
    try:
        results = conduct(study, jobs=jobs)
    except KeyboardInterrupt:
        again = f"python -m lightning_dqn study folder={shlex.quote(str(study.folder))}"
        print(f"\nstopped; continue with: {again}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(1 if results.failures else 0)


def _report(options: dict[str, str], rest: Sequence[str]) -> None:
    own = ("report", "folder", *OF_REPORTS)
    superfluous = [*rest, *(key for key in options if key not in own)]
    if superfluous:
        raise ConfigError(
            f"{superfluous[0]}: report= takes folder=, metric= and log= beside it, nothing else"
        )
    if options.get("log", "false") not in ("true", "false"):
        raise ConfigError(f"log={options['log']}: expected true or false")
    studies = [read_results(folder) for folder in options["report"].split(",")]
    default = Path("runs", f"report_{datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
    folder = Path(options.get("folder", default))
    if folder.is_file() or (folder / ASKED).exists():
        raise ConfigError(f"folder={folder}: holds a study; choose a folder for the report")
    metric, log = options.get("metric", METRIC), options.get("log") == "true"
    table, notes = write_comparison(studies, folder, metric, log=log)
    print("\n".join([table, "", *notes, f"files  {folder}"]))


def _asked_study(options: dict[str, str], rest: Sequence[str]) -> Study:
    for key in OF_REPORTS:
        if key in options:
            raise ConfigError(f"{key}={options[key]}: goes with report=<study folder> alone")
    seeds = _seeds(options["seeds"]) if "seeds" in options else None
    return plan(rest, seeds=seeds, folder=options.get("folder"))


def _options(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Part the study's own keys from the arguments that go to its runs."""
    own = re.compile(r"(seeds|jobs|folder|report|metric|log)=(.*)", re.S)
    found = [own.fullmatch(argument) for argument in arguments]
    options = {match[1]: match[2] for match in found if match}
    for key, value in options.items():
        if not value:
            raise ConfigError(f"{key}=: a value is missing")
    return options, [a for a, match in zip(arguments, found, strict=True) if not match]


def _seeds(text: str) -> tuple[int, ...]:
    """Return the seeds that ``5`` (how many) or ``3,4,7`` (which) means."""
    bare = text.strip("[]")
    numbers = [number.strip() for number in bare.split(",") if number.strip()]
    if not numbers or not all(number.isdecimal() for number in numbers):
        raise ConfigError(f"seeds={text}: expected how many, as 5, or which, as 3,4,7")
    if bare != text or "," in bare:
        return tuple(int(number) for number in numbers)
    if int(numbers[0]) < 1:
        raise ConfigError(f"seeds={text}: at least 1")
    return tuple(range(int(numbers[0])))

"""``python -m lightning_dqn study``: several seeds of one configuration, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lightning_dqn.commands import sweep, train
from lightning_dqn.commands.command import folders_of, part_arguments, read_options, usage
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.mistakes import exit_on_mistake
from lightning_dqn.runs.options import option, trust_option
from lightning_dqn.runs.trust import Trust
from lightning_dqn.study.asked import Study
from lightning_dqn.study.comparison import write_comparison
from lightning_dqn.study.curve import METRIC
from lightning_dqn.study.results_files import read_finished
from lightning_dqn.study.study import plan
from lightning_dqn.study.sweep import is_sweep

OF_REPORTS = ("metric", "log")


@dataclass(frozen=True)
class StudyOptions:
    """Run one or more settings with several seeds, each in its own process, and sum them up.

      python -m lightning_dqn study +experiment=cartpole [key=value ...] [seeds=5] [jobs=1]
      python -m lightning_dqn study +experiment=cartpole module.optimizer.lr=1e-3,3e-4   settings
      python -m lightning_dqn study <study folder>                         continue a study
      python -m lightning_dqn study report=<study folder>,<study folder>   compare finished studies
      python -m lightning_dqn study report=<...> metric=eval/mean_regret   draw something else

    All other keys and --config-dir are those of python -m lightning_dqn.
    """

    folder: str | None = option(
        "the study's folder, whose finished runs are kept; null: runs/<name>/sweep_<time>",
        None,
        is_path=True,
    )
    seeds: str | None = option("5: seeds 0 to 4; 3,4,7: these; null: 5, or as before", None)
    jobs: int | None = option("runs at once; null: 1", None, least=1)
    report: str | None = option("finished studies, compared in one table and one plot", None)
    metric: str | None = option(f"metric of that plot; null: {METRIC}", None)
    trust: str | None = trust_option()
    log: bool | None = option("true: that plot has a logarithmic scale", None)


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(usage(StudyOptions))
        return
    own, rest = part_arguments(arguments, StudyOptions)
    with exit_on_mistake():
        options = read_options(own, StudyOptions)
        _check_path(own, rest)
        if options.report is not None:
            return _report(options, rest)
        study = _asked_study(options, rest)
    with study.composer:
        placed = options.folder is not None
        sweep.run(study.composer, study.sweep, train.train, again_goes_on=placed)


def _check_path(own: Sequence[str], rest: Sequence[str]) -> None:
    """Refuse a path by itself that is none of a study, from which nothing could go on."""
    for argument in own:
        if "=" not in argument and not rest and not is_sweep(Path(argument)):
            raise ConfigError(
                f"folder={argument}: there is no study to continue; a new one is told what to "
                "run, as study +experiment=cartpole"
            )


def _report(options: StudyOptions, rest: Sequence[str]) -> None:
    asked = {"seeds": options.seeds, "jobs": options.jobs}
    superfluous = [*rest, *(name for name, value in asked.items() if value is not None)]
    if superfluous:
        raise ConfigError(
            f"{superfluous[0]}: report= takes folder=, metric= and log= beside it, nothing else"
        )
    sweeps = [read_finished(folder) for folder in folders_of(str(options.report))]
    studies = [setting for one in sweeps for setting in one.settings]
    default = Path("runs", f"report_{datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
    folder = Path(options.folder or default)
    if folder.is_file() or is_sweep(folder):
        raise ConfigError(f"folder={folder}: holds a study; choose a folder for the report")
    table, notes = write_comparison(
        studies, folder, options.metric or METRIC, log=bool(options.log)
    )
    print("\n".join([table, "", *notes, f"files  {folder}"]))


def _asked_study(options: StudyOptions, rest: Sequence[str]) -> Study:
    for key in OF_REPORTS:
        if (value := getattr(options, key)) is not None:
            raise ConfigError(f"{key}={value}: goes with report=<study folder> alone")
    seeds = None if options.seeds is None else seeds_of(options.seeds)
    trust = Trust.of(options.trust)
    return plan(rest, seeds=seeds, jobs=options.jobs, folder=options.folder, trust=trust)


def seeds_of(text: str) -> tuple[int, ...]:
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

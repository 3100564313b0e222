"""``python -m lightning_dqn suite``: one experiment in several games, beside others' scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lightning_dqn.commands import sweep, train
from lightning_dqn.commands.command import folders_of, part_arguments, read_options, usage
from lightning_dqn.commands.study import seeds_of
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.mistakes import exit_on_mistake
from lightning_dqn.runs.options import option, trust_option
from lightning_dqn.runs.trust import Trust
from lightning_dqn.study.asked import Study
from lightning_dqn.study.suite_comparison import read_suite, write_suite_comparison
from lightning_dqn.study.suite_file import find_suite
from lightning_dqn.study.suite_planning import continue_suite, plan_suite
from lightning_dqn.study.sweep import is_sweep, read_sweep


@dataclass(frozen=True)
class SuiteOptions:
    """Run one setting in several games with several seeds, and compare with published scores.

      python -m lightning_dqn suite atari100k algorithm=atari/der games=Pong,Alien seeds=5 jobs=2
      python -m lightning_dqn suite minatar algorithm=rainbow      the five games of MinAtar
      python -m lightning_dqn suite <suite folder>                 continue a suite
      python -m lightning_dqn suite report=<suite folder>,<suite folder>     compare finished suites

    Your own suites are ./conf/suite/<name>.yaml, or in a folder given by --config-dir. All other
    keys are those of python -m lightning_dqn.
    """

    suite: str | None = option(
        "atari100k, minatar or one of your own; or a suite's folder, to continue it",
        None,
        is_path=True,
    )
    games: str | None = option("Pong,Alien: these; all; null: all, or as before", None)
    seeds: str | None = option("5: seeds 0 to 4; 3,4,7: these; null: 5, or as before", None)
    jobs: int | None = option("runs at once; null: 1, or as before", None, least=1)
    folder: str | None = option("folder of the suite or the report; null: a new one in runs", None)
    report: str | None = option("finished suites, compared in one table and one plot", None)
    trust: str | None = trust_option()


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(usage(SuiteOptions))
        return
    own, rest = part_arguments(arguments, SuiteOptions)
    with exit_on_mistake():
        options = read_options(own, SuiteOptions)
        if options.report is not None:
            return _report(options, rest)
        study = _asked(options, rest)
    placed = options.folder is not None or is_sweep(Path(str(options.suite)))
    with study.composer:
        sweep.run(study.composer, study.sweep, train.train, again_goes_on=placed)


def _asked(options: SuiteOptions, rest: Sequence[str]) -> Study:
    if options.suite is None:
        raise ConfigError("suite=: name a suite, as suite atari100k, or the folder of one")
    seeds = None if options.seeds is None else seeds_of(options.seeds)
    trust = Trust.of(options.trust)
    folder = Path(options.suite)
    if not is_sweep(folder):
        return plan_suite(
            find_suite(options.suite, rest),
            rest,
            games=options.games,
            seeds=seeds,
            jobs=options.jobs,
            folder=options.folder,
            trust=trust,
        )
    if options.folder is not None:
        raise ConfigError(f"folder={options.folder}: the suite continues in {folder}, where it is")
    held = read_sweep(folder).suite
    known = None if options.games is None or held is None else find_suite(held.name, rest)
    return continue_suite(
        folder,
        rest,
        games=options.games,
        seeds=seeds,
        jobs=options.jobs,
        trust=trust,
        known=known,
    )


def _report(options: SuiteOptions, rest: Sequence[str]) -> None:
    asked = {name: getattr(options, name) for name in ("suite", "games", "seeds", "jobs", "trust")}
    superfluous = [*rest, *(name for name, value in asked.items() if value is not None)]
    if superfluous:
        raise ConfigError(f"{superfluous[0]}: report= takes folder= beside it, nothing else")
    found = [read_suite(folder) for folder in folders_of(str(options.report))]
    default = Path("runs", f"report_{datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
    folder = Path(options.folder or default)
    if folder.is_file() or is_sweep(folder):
        raise ConfigError(f"folder={folder}: holds a suite; choose a folder for the report")
    text, notes = write_suite_comparison(found, folder)
    print("\n".join([text, "", *notes, f"files  {folder}"]))

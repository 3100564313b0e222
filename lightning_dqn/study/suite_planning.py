"""Which runs a suite has, new or gone on with, checked before any of them begins."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.jobs import SEED
from lightning_dqn.runs.trust import NOTHING, Trust
from lightning_dqn.study.asked import (
    Study,
    check_flags,
    check_number_at_once,
    check_seeds,
    checked,
    going_on,
    parted,
    seeds_of,
    with_jobs,
)
from lightning_dqn.study.suite import ALL, Suite
from lightning_dqn.study.sweep import Sweep, read_sweep, seeds_text
from lightning_dqn.system.files import is_unused
from lightning_dqn.system.overrides import key_of

VERB = "suite"

RESERVED = {
    SEED: "a suite takes its seeds as seeds=5 or seeds=3,4,7",
    "experiment": "a suite has its experiment; a study takes any",
    "hydra.run.dir": "a suite's folder is folder=<folder>, each run's lies in it",
    "hydra.sweep.dir": "a suite's folder is folder=<folder>, each run's lies in it",
    "hydra/launcher": "a suite runs jobs=<number> at once, each in a process",
    "run_dir": "a suite's folder is folder=<folder>, each run's lies in it",
    "sweep": "a suite searches nothing",
    "resume": "a suite is continued by its folder: suite <folder>",
}


def plan_suite(
    suite: Suite,
    arguments: Sequence[str],
    *,
    games: str | None = None,
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    folder: str | Path | None = None,
    trust: Trust = NOTHING,
) -> Study:
    """Return a suite's runs after all checks.

    Args:
        suite: with all of its games.
        arguments: of ``python -m lightning_dqn``, as ``["algorithm=atari/der"]``.
        games: see :meth:`lightning_dqn.study.suite.Suite.choose`.
        seeds: of the runs; None: 0 to 4.
        jobs: runs at once; None: 1.
        folder: of all; None: a new one below ``runs/<name>``. A suite there that was asked for
            with the same arguments goes on.
        trust: see :func:`continue_suite`.

    Raises:
        ConfigError: an argument is wrong; nothing was written or run.
    """
    check_seeds(None if seeds is None else tuple(seeds))
    check_number_at_once(jobs)
    if folder is not None and not is_unused(Path(folder)):
        flags, typed = parted(arguments)
        _check_same(Path(folder), suite, typed)
        return continue_suite(
            Path(folder),
            flags,
            games=games,
            seeds=seeds,
            jobs=jobs,
            trust=None if typed else trust,
            known=suite,
        )
    check_flags(arguments, "a suite")
    _check_single(arguments)
    chosen = suite.choose(games)
    seeds = tuple(range(5)) if seeds is None else tuple(seeds)
    default = Path("runs", suite.name, f"suite_{datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
    named = ALL if chosen.games == suite.games else ",".join(chosen.games)
    command = (VERB, suite.name, *arguments, f"games={named}", seeds_text(seeds))
    composer, sweep = checked(
        arguments,
        # The seed before the game: a suite that is stopped has all games with the first seeds.
        [
            f"+experiment={suite.experiment}",
            f"{SEED}={','.join(map(str, seeds))}",
            chosen.override(chosen.games),
        ],
        command=command,
        jobs=jobs or 1,
        folder=folder or default,
        reserved={
            **RESERVED,
            key_of(suite.key): f"a suite takes its games as games={','.join(suite.games[:2])}",
        },
    )
    for job in sweep.jobs:
        chosen.game_of(job.setting)  # which its table is made by
    return Study(composer, replace(sweep, name=suite.name, suite=chosen))


def continue_suite(
    folder: Path,
    flags: Sequence[str] = (),
    *,
    games: str | None = None,
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    trust: Trust | None = NOTHING,
    known: Suite | None = None,
) -> Study:
    """Return what isn't finished of a suite, with further games and seeds where they are named.

    Args:
        folder: of the suite.
        flags: of Hydra's, which a folder doesn't say.
        games: beside those it has, of those of ``known``.
        seeds: beside those it has.
        jobs: runs at once; None: as many as before.
        trust: what its runs may name beside what every run needs; None: anything, for all of it
            was typed again.
        known: the suite with all of its games; None: no others can be named.

    Raises:
        ConfigError: the folder is none of a suite, or an argument is wrong.
    """
    check_seeds(None if seeds is None else tuple(seeds))
    check_number_at_once(jobs)
    sweep = read_sweep(folder)
    if sweep.suite is None:
        raise ConfigError(
            f"suite={folder}: holds no suite; what it holds is continued by: resume {folder}"
        )
    if games is not None:
        sweep = _with_games(sweep, sweep.suite, (known or sweep.suite).choose(games))
    if seeds:
        settings = dict.fromkeys(job.setting for job in sweep.jobs)
        sweep = with_jobs(sweep, [(setting, seed) for seed in seeds for setting in settings])
    command = (*sweep.command[:-1], seeds_text(seeds_of(sweep)))
    sweep = replace(sweep, command=command, num_at_once=jobs or sweep.num_at_once)
    return going_on(sweep, flags, trust)


def _with_games(sweep: Sweep, had: Suite, named: Suite) -> Sweep:
    """Return a sweep that plays further games, with the seeds that it has."""
    new = [game for game in named.games if game not in had.games]
    if not new:
        return sweep
    [first, *_] = [job.setting for job in sweep.jobs]
    suite = replace(had, games=(*had.games, *new))
    settings = [
        tuple(had.override([game]) if had.sets_game(one) else one for one in first) for game in new
    ]
    added = [(setting, seed) for seed in seeds_of(sweep) for setting in settings]
    command = (*sweep.command[:-2], f"games={','.join(suite.games)}", sweep.command[-1])
    return replace(with_jobs(sweep, added), suite=suite, command=command)


def _check_same(folder: Path, suite: Suite, typed: Sequence[str]) -> None:
    """Refuse a folder of something else."""
    asked = read_sweep(folder).command
    if parted(asked[:-2])[1] != [VERB, suite.name, *typed]:
        raise ConfigError(
            f"folder={folder}: holds what {shlex.join(asked)} asked for; continue it by its "
            "folder alone, or choose another folder"
        )


def _check_single(arguments: Sequence[str]) -> None:
    """Refuse several settings, of which a table has no room."""
    given = [one for one in arguments if "=" in one and not one.startswith("-")]
    for override in OverridesParser.create().parse_overrides(given):
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line}: a suite has one setting; run one for each, and compare "
                "them with report=<folder>,<folder>"
            )

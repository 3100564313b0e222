"""From a command line or a folder to a search that can run, checked before any trial does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from lightning_dqn.reporting.glossary import is_return
from lightning_dqn.reporting.optuna_study import make_pruner
from lightning_dqn.runs.budget import spread_budget
from lightning_dqn.runs.build import ConfigError, as_type
from lightning_dqn.runs.compose import SWEEP, Composer
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.runs.jobs_check import check_jobs
from lightning_dqn.runs.keys import typed
from lightning_dqn.runs.mistakes import MISTAKES
from lightning_dqn.runs.trust import Trust
from lightning_dqn.runs.unread import AskedInVain, Unread
from lightning_dqn.study.planning import begun as begun_sweep
from lightning_dqn.study.planning import check_pending, gone_on_with
from lightning_dqn.study.search import Search
from lightning_dqn.study.sweep import Sweep
from lightning_dqn.study.trials import launched

MAY_CHANGE = ("n_trials", "n_jobs")
"""What a search that goes on may be asked for otherwise, as ``sweep.n_trials=40``."""


class Searching(NamedTuple):
    """A search that can run, what composes its jobs, and who stops its trials."""

    composer: Composer
    sweep: Sweep
    pruner: dict[str, Any]


def asked_search(composer: Composer) -> Search | None:
    """Return the search that a command line asks for; None where it asks for none.

    Raises:
        ConfigError: its space or another key of it is wrong.
        HydraException: it can't be composed.
    """
    node = composer.search
    if node is None:
        return None
    fixed, searched = _parted(composer)
    params = {str(key): typed(text) for key, text in (node.pop("params", None) or {}).items()}
    of_command_line = {_bare(key) for key in [*(one.partition("=")[0] for one in fixed), *searched]}
    kept = {key: text for key, text in params.items() if _bare(key) not in of_command_line}
    chosen = any(_bare(one.partition("=")[0]) == SWEEP for one in composer.overrides)
    own = () if chosen else (f"{SWEEP}=none",)  # a file that all jobs read may have chosen it
    return Search.of({**node, "params": {**kept, **searched}, "fixed": [*fixed, *own]})


def begun(search: Search, composer: Composer, command: Sequence[str]) -> Searching:
    """Return a new search, of which values at the ends of its space and within were checked.

    Args:
        search: what is asked for.
        composer: of the command line.
        command: of the command line.

    Raises:
        ConfigError: a trial couldn't run, or the folder has another sweep.
    """
    flags = [one for one in composer.arguments_of_jobs if one.startswith("--")]
    hydras = [one for one in composer.overrides if one.lstrip("+~").startswith("hydra")]
    jobs = Composer([*flags, *hydras], _samples(search))
    jobs.note([*composer.notes, *_noted(search, composer)])
    try:
        sweep = begun_sweep(check_jobs(jobs), command)
        return Searching(jobs, replace(sweep, jobs=(), search=search), _pruner(search, jobs))
    except MISTAKES as error:
        raise ConfigError(jobs.explain(error)) from error


_OF_MEDIAN = Unread((f"{SWEEP}.startup_trials", f"{SWEEP}.warmup_env_steps"), "median has it alone")


def _noted(search: Search, composer: Composer) -> list[str]:
    """Return what of a search's own keys is set in vain."""
    in_vain = AskedInVain()
    in_vain.look(composer.overrides, [] if search.pruner == "median" else [_OF_MEDIAN])
    return in_vain.notes()


def continued(sweep: Sweep, arguments: Sequence[str], trust: Trust) -> Searching:
    """Return a search that goes on, checked likewise.

    Args:
        sweep: of a folder.
        arguments: flags, Hydra's own keys, and what may change.
        trust: what its jobs may name beside what every run needs.

    Raises:
        ConfigError: a trial couldn't run or isn't trusted, or an argument would change more.
    """
    assert sweep.search is not None, "a search"
    changed = {f"{SWEEP}.{key}": key for key in MAY_CHANGE}
    own = [one for one in arguments if one.partition("=")[0] in changed]
    parsed = OverridesParser.create().parse_overrides(own)
    values = {changed[one.key_or_group]: one.value() for one in parsed}
    search = Search.of({**vars(sweep.search), **values})
    checked = replace(sweep, jobs=(*sweep.pending, *_samples(search)))
    composer = gone_on_with(checked, [one for one in arguments if one not in own])
    try:
        trusted = check_pending(composer, checked, trust).trust
        pruner = _pruner(search, composer)
    except MISTAKES as error:
        raise ConfigError(composer.explain(error)) from error
    return Searching(composer, replace(sweep, search=search, trust=trusted), pruner)


def _parted(composer: Composer) -> tuple[list[str], dict[str, str]]:
    """Return the overrides that all trials have, and those to search by their keys."""
    fixed, searched = [], {}
    for override in OverridesParser.create().parse_overrides(composer.overrides):
        line = str(override.input_line)
        key, _, text = line.partition("=")
        if override.is_sweep_override():
            searched[key] = text
        elif _bare(key).split(".")[0] != SWEEP and not _bare(key).startswith("hydra"):
            fixed.append(line)
    return fixed, searched


def _bare(key: str) -> str:
    return key.lstrip("+~")


def _samples(search: Search) -> list[SweepJob]:
    """Return jobs in which all samples of the space occur, to be checked, not run."""
    return [
        _as_run(search, SweepJob(f"sample_{number}", (*search.fixed, *overrides)))
        for number, overrides in enumerate(search.space.samples())
    ]


def _as_run(search: Search, job: SweepJob) -> SweepJob:
    return launched(job, trial=0) if search.prunes else job


def _pruner(search: Search, composer: Composer) -> dict[str, Any]:
    config = next(composer.jobs()).config
    _check_metric(search, config)
    spread_budget(config)
    length = as_type(config.data.env_steps_per_epoch, int, "data.env_steps_per_epoch")
    epochs = as_type(config.trainer.max_epochs or 1, int, "trainer.max_epochs")
    asked = search.pruner_asked(length, epochs)
    try:
        make_pruner(asked)
    except ValueError as error:
        raise ConfigError(f"sweep.{error}") from error
    return asked


def _check_metric(search: Search, config: DictConfig) -> None:
    """Refuse to search by returns of self-play."""
    if not is_return(search.evaluated):
        return
    from lightning_dqn.learning.monitors import INSTEAD, of_both_sides  # with torch
    from lightning_dqn.runs.finished.finished_run import evaluated_in

    if evaluated_in(config).spec.zero_sum_turns:
        raise ConfigError(f"sweep.metric: {of_both_sides(search.evaluated)}; {INSTEAD}")

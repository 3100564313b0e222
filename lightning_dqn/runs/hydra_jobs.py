"""The jobs of a sweep as Hydra has them: which there are, and the folder and name of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.hydra_loader import Loader
from lightning_dqn.runs.jobs import is_of_folder, names_of

SHIPPED_SWEEP_DIR = "runs/${name}/sweep_${now:%Y-%m-%d_%H-%M-%S-%f}"
SHIPPED_SUBDIR = "${hydra.job.num}"
"""Where stock Hydra puts a sweep and its jobs; here one folder holds all, each named."""


class Job(NamedTuple):
    """One run: its number and name in a sweep, what it is composed from, and the outcome.

    The configuration has Hydra's node with the folder that the job would have; nothing is written.
    One may stand for jobs that a sweeper makes up as it goes, of which it has what is common.
    """

    number: int
    name: str
    overrides: tuple[str, ...]
    config: DictConfig
    stands_for_others: bool = False


class Multirun(NamedTuple):
    """What Hydra's launchers need: the configuration that jobs have in common, and its context."""

    config: DictConfig
    context: HydraContext


def grid_of(master: DictConfig, loader: Loader) -> list[list[str]] | None:
    """Return the overrides of each job of a plain grid; None for other sweepers.

    Args:
        master: what the jobs have in common.
        loader: that knows the options of groups.

    Raises:
        ConfigError: there is no job.
    """
    sweeper = master.hydra.sweeper
    if not sweeper._target_.endswith(f".{BasicSweeper.__name__}"):
        return None
    given = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=loader)
    asked: Any = OmegaConf.to_container(master.hydra.overrides.task, resolve=False)
    parsed = parser.parse_overrides([*given, *asked])
    [jobs] = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    if not jobs:
        raise ConfigError(
            "a sweep over nothing: one of its overrides gives no value to choose, as "
            "range(3,1) or a glob() that no option fits"
        )
    return [list(job) for job in jobs]


def names_of_folders(grid: list[list[str]], configs: Sequence[DictConfig]) -> list[str]:
    """Return a name for each job, which is its folder's; the user's own where there is one.

    Args:
        grid: the overrides of each.
        configs: of each.

    Raises:
        ConfigError: a name of the user's own is no folder's, or several jobs' at once.
    """
    if not configs or _unresolved(configs[0], "subdir") == SHIPPED_SUBDIR:
        return names_of(grid)
    names = []
    for config in configs:
        HydraConfig.instance().cfg = config  # type: ignore[assignment]
        names.append(str(config.hydra.sweep.subdir))
        if not is_of_folder(names[-1]):
            raise ConfigError(
                f"hydra.sweep.subdir={names[-1]}: a job's folder lies below that of its sweep; "
                "leave it out, and the jobs are named by what differs"
            )
    if len(set(names)) < len(names):
        raise ConfigError(
            f"hydra.sweep.subdir={_unresolved(configs[0], 'subdir')}: several jobs would have "
            "the same folder; leave it out, and they are named by what differs"
        )
    return names


def sweep_folder(master: DictConfig, configs: Sequence[DictConfig]) -> Path:
    """Return the one folder of all jobs: below their name, or that which the user named."""
    if _unresolved(master, "dir") != SHIPPED_SWEEP_DIR:
        HydraConfig.instance().cfg = master  # type: ignore[assignment]
        return Path(master.hydra.sweep.dir)
    names = set()
    for config in configs:
        HydraConfig.instance().cfg = config  # type: ignore[assignment]
        names.add(str(config.name))
    HydraConfig.instance().cfg = master  # type: ignore[assignment]
    stamped = Path(master.hydra.sweep.dir).name
    return Path("runs", *(names if len(names) == 1 else ()), stamped)


def enter(config: DictConfig, folder: Callable[[DictConfig], Any]) -> None:
    """Give a configuration the folder it would run in, and make Hydra's present one of it."""
    HydraConfig.instance().cfg = config  # type: ignore[assignment]  # all of it, not a copy
    output_dir = os.path.abspath(str(folder(config)))
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = output_dir


def _unresolved(config: DictConfig, key: str) -> str:
    """Return what ``hydra.sweep`` has by a key, as it is written."""
    values: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    return str(values[key])

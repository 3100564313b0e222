"""From the arguments of a command line to jobs and their configurations, by Hydra.

This file and those beside it whose names begin with ``hydra_`` alone know the insides of
Hydra. Checking, printing and running go through one :class:`Composer` with one loader, so that
what was checked is what runs.
"""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser, run_and_report
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.main import _get_rerun_conf
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.former_names import former_choices, former_words
from lightning_dqn.runs.begun_from import placed
from lightning_dqn.runs.hydra_files import CONFIG_MODULE, search_path
from lightning_dqn.runs.hydra_flags import check_flags, parse_arguments
from lightning_dqn.runs.hydra_jobs import (
    Job,
    Multirun,
    enter,
    grid_of,
    names_of_folders,
    sweep_folder,
)
from lightning_dqn.runs.hydra_loader import Loader
from lightning_dqn.runs.jobs import ALONE, SweepJob, is_for_jobs
from lightning_dqn.runs.keys import SUITES, flat, to_choose
from lightning_dqn.runs.lengths import register_lengths
from lightning_dqn.runs.mistakes import explain
from lightning_dqn.runs.resume import quoted
from lightning_dqn.system.overrides import key_of

CONFIG_NAME = "config"
SWEEP = "sweep"
VERSION_BASE = "1.3"

_OF_FILES = ("config_dir", "config_name", "config_path")

for _name, _node in former_choices().items():
    ConfigStore.instance().store(group="module", name=_name, node=_node, package="_global_")


class Composer:
    """Hydra for one command line; as a context it leaves Hydra's global state as it was.

    Args:
        arguments: flags and overrides, in any order.
        jobs: of a sweep that goes on, which the arguments hold for; None: they say which.

    Attributes:
        flags: Hydra's.
        overrides: in today's words.
        sweep_folder: that all jobs of a sweep lie in, when they were composed.

    Raises:
        ConfigError: a flag or a folder doesn't exist.
    """

    def __init__(self, arguments: Sequence[str], jobs: Sequence[SweepJob] | None = None) -> None:
        version.setbase(VERSION_BASE)
        register_lengths()
        self.flags = parse_arguments(arguments)
        check_flags(self.flags)
        self.overrides, self._told = former_words(self.flags.overrides)
        self._noted: list[str] = []
        self._going_on = jobs
        self.sweep_folder: Path | None = None
        self._config_name: str = self.flags.config_name or CONFIG_NAME
        self._loader = Loader(search_path(self.flags))
        self._before = (GlobalHydra.instance().hydra, HydraConfig.instance().cfg)
        self._hydra = PlacedHydra(task_name="train", config_loader=self._loader)
        GlobalHydra.instance().hydra = self._hydra

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = self._before

    @property
    def notes(self) -> list[str]:
        """What the user should know of what was composed so far, a line each."""
        return list(dict.fromkeys([*self._told, *self._loader.notes, *self._noted]))

    def note(self, lines: Iterable[str]) -> None:
        """Note what a look at the jobs found that the user should know."""
        self._noted += lines

    @property
    def is_sweep(self) -> bool:
        """Whether several jobs are asked for, by a flag or by ``hydra.mode``."""
        if self._going_on is not None:
            return True
        if self.flags.multirun or self.flags.run:
            return bool(self.flags.multirun)
        if self._sweeps_values:
            return bool(self._hydra.get_mode(self._config_name, self.overrides) == RunMode.MULTIRUN)
        return bool(self._compose(self.overrides, RunMode.RUN).hydra.mode == RunMode.MULTIRUN)

    @property
    def search(self) -> dict[str, Any] | None:
        """What ``sweep`` asks to search; None where it asks nothing, or one run is to be made.

        Raises:
            HydraException: it can't be composed.
        """
        if self._going_on is not None or ALONE in self.overrides:
            return None
        several = self.flags.multirun or self._sweeps_values
        config = self._compose_sweep() if several else self._compose(self.overrides, RunMode.RUN)
        if SWEEP not in config:
            return None
        node: Any = OmegaConf.to_container(config[SWEEP], resolve=True)
        return dict(node)

    @property
    def _sweeps_values(self) -> bool:
        parsed = OverridesParser.create().parse_overrides(self.overrides)
        return any(override.is_sweep_override() for override in parsed)

    @property
    def only_shows(self) -> bool:
        """Whether a flag asks to print something of Hydra's instead of running."""
        flags = self.flags
        asked = (flags.cfg, flags.info, flags.hydra_help, flags.shell_completion)
        return any(asked) or flags.experimental_rerun is not None

    def groups(self) -> dict[str, list[str]]:
        """Return the options of every group, those of the user's folders included."""
        found: dict[str, set[str]] = {}
        for source in self._loader.get_sources():
            is_shipped = source.full_path() == f"pkg://{CONFIG_MODULE}"
            if is_shipped or source.scheme() == "file":
                root = Path(str(files(CONFIG_MODULE))) if is_shipped else Path(source.path)
                for path in root.glob("**/*.yaml"):
                    found.setdefault(path.parent.relative_to(root).as_posix(), set()).add(path.stem)
        return {
            group: sorted(options)
            for group, options in found.items()
            if group != "." and group.split("/")[0] not in ("hydra", SUITES)
        }

    def explain(self, error: Exception) -> str:
        """Return a mistake in one line, with what there is that may have been meant."""
        if "group override must be a string or a list" in str(error):
            nulls = [key_of(one) for one in self.overrides if one.endswith("=null")]
            if group := next((one for one in nulls if one in self.groups()), None):
                return f"{group}=null: {to_choose(group)}"
        keys: dict[str, Any] = {}
        with contextlib.suppress(HydraException, OmegaConfBaseException):
            keys = dict(flat(OmegaConf.to_container(self._bare())))
        return explain(error, keys, self.groups())

    def config(self) -> DictConfig:
        """Compose the configuration of a single run."""
        return next(self._run()).config

    def lasting_folder(self) -> Path | None:
        """Return the folder of a single run; None where the time, and so each start, names it."""
        config = self.config()
        OmegaConf.clear_cache(config)
        folder = Path(os.path.abspath(config.hydra.run.dir))
        return None if OmegaConf.get_cache(config).get("now") else folder

    def jobs(self) -> Iterator[Job]:
        """Compose one after the other the jobs that are known before any has run.

        Of a sweeper that makes its jobs up as it goes it is one: what they have in common. While
        a job is looked at, ``${hydra:...}`` is that job's.

        Raises:
            HydraException: a job can't be composed.
        """
        return self._sweep() if self.is_sweep else self._run()

    @contextlib.contextmanager
    def multirun(self, folder: Path) -> Iterator[Multirun]:
        """Be what Hydra's multirun is around its jobs, in a folder."""
        config = self._compose_sweep(f"hydra.sweep.dir={quoted(folder)}")
        callbacks = Callbacks(config)
        callbacks.on_multirun_start(config=config, config_name=self._config_name)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(config, folder / "multirun.yaml")
        yield Multirun(config, HydraContext(config_loader=self._loader, callbacks=callbacks))
        callbacks.on_multirun_end(config=config, config_name=self._config_name)

    @property
    def arguments_of_jobs(self) -> list[str]:
        """What a process for a single job is told, beside the job's own overrides."""
        flags = {name: getattr(self.flags, name) for name in _OF_FILES}
        given = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items() if value]
        return [*given, *(one for one in self.overrides if is_for_jobs(one))]

    def execute(self, task: Callable[[DictConfig], Any]) -> None:
        """Run ``task`` in each job, or print what a flag asks for."""
        flags = self.flags
        if flags.hydra_help:
            self._hydra.hydra_help(self._config_name, get_args_parser(), flags)
        elif flags.cfg is not None:
            self._hydra.show_cfg(
                self._config_name, self.overrides, flags.cfg, flags.package, flags.resolve
            )
        elif flags.info is not None:
            self._hydra.show_info(flags.info, self._config_name, self.overrides)
        elif flags.experimental_rerun is not None:
            task(_get_rerun_conf(flags.experimental_rerun, self.overrides))
        elif flags.shell_completion:
            self._hydra.shell_completion(self._config_name, self.overrides)
        elif self.is_sweep:
            overrides = [*self.overrides, "hydra.mode=MULTIRUN"]
            run_and_report(lambda: self._hydra.multirun(self._config_name, task, overrides))
        else:
            overrides = [*self.overrides, ALONE]
            run_and_report(lambda: self._hydra.run(self._config_name, task, overrides))

    def _bare(self) -> DictConfig:
        return without_hydra(self._compose([], RunMode.RUN))

    def _compose(self, overrides: list[str], mode: RunMode) -> DictConfig:
        return self._hydra.compose_config(self._config_name, overrides, mode)

    def _compose_sweep(self, *more: str) -> DictConfig:
        return self._compose([*self.overrides, "hydra.mode=MULTIRUN", *more], RunMode.MULTIRUN)

    def _run(self) -> Iterator[Job]:
        config = self._compose([*self.overrides, ALONE], RunMode.RUN)
        enter(config, lambda config: config.hydra.run.dir)
        yield Job(0, "", tuple(self.overrides), config)

    def _sweep(self) -> Iterator[Job]:
        master = self._compose_sweep()
        enter(master, lambda config: config.hydra.sweep.dir)  # the jobs have its time of day
        grid = self._grid(master)
        if grid is None:
            yield Job(0, "", tuple(self.overrides), master, stands_for_others=True)
            return
        configs = [self._job(master, number, overrides) for number, overrides in enumerate(grid)]
        names = self._names(grid, configs)
        self.sweep_folder = folder = sweep_folder(master, configs)
        for number, (name, overrides, config) in enumerate(zip(names, grid, configs, strict=True)):
            enter(config, partial(_placed, folder, name))
            yield Job(number, name, tuple(placed(overrides)), config)

    def _grid(self, master: DictConfig) -> list[list[str]] | None:
        if self._going_on is not None:
            return [list(job.overrides) for job in self._going_on]
        return grid_of(master, self._loader)

    def _names(self, grid: list[list[str]], configs: Sequence[DictConfig]) -> list[str]:
        if self._going_on is not None:
            return [job.name for job in self._going_on]
        return names_of_folders(grid, configs)

    def _job(self, master: DictConfig, number: int, overrides: list[str]) -> DictConfig:
        config = self._loader.load_sweep_config(master, overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config


class PlacedHydra(Hydra):
    """Hydra that gives each single run's configuration the folder that it will have."""

    def compose_config(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        with_log_configuration: bool = False,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose; what is printed with ``--resolve`` knows its folder too."""
        config: DictConfig = super().compose_config(
            config_name,
            overrides,
            run_mode,
            with_log_configuration,
            from_shell,
            validate_sweep_overrides,
        )
        if run_mode == RunMode.RUN:
            with contextlib.suppress(OmegaConfBaseException):
                enter(config, lambda config: config.hydra.run.dir)
        return config


def compose(overrides: Sequence[str], config_dir: str | None = None) -> DictConfig:
    """Compose the configuration of a run that has no folder, for use outside a command line."""
    flags = [] if config_dir is None else ["--config-dir", config_dir]
    with Composer([*flags, *overrides, "run_dir=."]) as composer:
        return without_hydra(composer.config())


def chosen_options(config: DictConfig) -> dict[str, str]:
    """Return the option of each group that a configuration was composed of."""
    return {group: str(option) for group, option in config.hydra.runtime.choices.items()}


def without_hydra(config: DictConfig) -> DictConfig:
    """Return a configuration without Hydra's own node, as tasks get it."""
    own = copy.deepcopy(config)
    with read_write(own), open_dict(own):
        own.pop("hydra", None)
    return own


def _placed(folder: Path, name: str, config: DictConfig) -> Path:
    return folder / name

"""From the arguments of a command line to jobs and their configurations, by Hydra.

The only file that knows the insides of Hydra. Checking, printing and running go through one
:class:`Composer` with one loader, so that what was checked is what runs.
"""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self, TypeVar

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.defaults_list import DefaultsList
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser, run_and_report
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.main import _get_rerun_conf
from hydra.plugins.config_source import ConfigResult
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.former_names import former_choices, former_words
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.jobs import SweepJob, is_for_jobs, names_of
from lightning_dqn.runs.keys import SUITES, flat
from lightning_dqn.runs.lengths import register_lengths
from lightning_dqn.runs.mistakes import explain
from lightning_dqn.runs.resume import quoted

CONFIG_MODULE = "lightning_dqn.conf"
CONFIG_NAME = "config"
EXPERIMENT, SWEEP = "experiment", "sweep"
VERSION_BASE = "1.3"

SHIPPED_SWEEP_DIR = "runs/${name}/sweep_${now:%Y-%m-%d_%H-%M-%S-%f}"
SHIPPED_SUBDIR = "${hydra.job.num}"
"""Where stock Hydra puts a sweep and its jobs; here one folder holds all, each named."""

_OF_FILES = ("config_dir", "config_name", "config_path")
_COMMAND_LINE, _OWN = "command-line", "conf"  # who brings a folder
_SEARCH_PATH = "hydra.searchpath"

for _name, _node in former_choices().items():
    ConfigStore.instance().store(group="module", name=_name, node=_node, package="_global_")


Composed = TypeVar("Composed", DictConfig, ConfigResult | None)


class Job(NamedTuple):
    """One run: its number and name in a sweep, what it is composed from, and the outcome.

    The configuration has Hydra's node with the folder that the job would have; nothing is written.
    """

    number: int
    name: str
    overrides: tuple[str, ...]
    config: DictConfig


class Multirun(NamedTuple):
    """What Hydra's launchers need: the configuration that jobs have in common, and its context."""

    config: DictConfig
    context: HydraContext


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
        _check_flags(self.flags)
        self.overrides, self._told = former_words(self.flags.overrides)
        self._going_on = jobs
        self.sweep_folder: Path | None = None
        self._config_name: str = self.flags.config_name or CONFIG_NAME
        self._loader = Loader(_search_path(self.flags))
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
        return [*self._told, *self._loader.notes]

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
        """What ``sweep`` asks to search; None where it asks nothing.

        Raises:
            HydraException: it can't be composed.
        """
        if self._going_on is not None:
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
        keys: list[str] = []
        with contextlib.suppress(HydraException, OmegaConfBaseException):
            keys = [key for key, _ in flat(OmegaConf.to_container(self._bare()))]
        return explain(error, keys, self.groups())

    def config(self) -> DictConfig:
        """Compose the configuration of a single run."""
        return next(self._run()).config

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
            overrides = [*self.overrides, "hydra.mode=RUN"]
            run_and_report(lambda: self._hydra.run(self._config_name, task, overrides))

    def _bare(self) -> DictConfig:
        return without_hydra(self._compose([], RunMode.RUN))

    def _compose(self, overrides: list[str], mode: RunMode) -> DictConfig:
        return self._hydra.compose_config(self._config_name, overrides, mode)

    def _compose_sweep(self, *more: str) -> DictConfig:
        return self._compose([*self.overrides, "hydra.mode=MULTIRUN", *more], RunMode.MULTIRUN)

    def _run(self) -> Iterator[Job]:
        config = self._compose([*self.overrides, "hydra.mode=RUN"], RunMode.RUN)
        _enter(config, lambda config: config.hydra.run.dir)
        yield Job(0, "", tuple(self.overrides), config)

    def _sweep(self) -> Iterator[Job]:
        master = self._compose_sweep()
        _enter(master, lambda config: config.hydra.sweep.dir)  # the jobs have its time of day
        grid = self._grid(master)
        if grid is None:
            yield Job(0, "", tuple(self.overrides), master)
            return
        configs = [self._job(master, number, overrides) for number, overrides in enumerate(grid)]
        names = self._names(grid, configs)
        self.sweep_folder = folder = _sweep_folder(master, configs)
        for number, (name, overrides, config) in enumerate(zip(names, grid, configs, strict=True)):
            _enter(config, partial(_placed, folder, name))
            yield Job(number, name, tuple(overrides), config)

    def _job(self, master: DictConfig, number: int, overrides: list[str]) -> DictConfig:
        config = self._loader.load_sweep_config(master, overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config

    def _names(self, grid: list[list[str]], configs: Sequence[DictConfig]) -> list[str]:
        """Return a name for each job, which is its folder's; the user's own where there is one."""
        if self._going_on is not None:
            return [job.name for job in self._going_on]
        if not configs or _unresolved(configs[0], "subdir") == SHIPPED_SUBDIR:
            return names_of(grid)
        names = []
        for config in configs:
            HydraConfig.instance().cfg = config  # type: ignore[assignment]
            names.append(str(config.hydra.sweep.subdir))
        if len(set(names)) < len(names):
            raise ConfigError(
                f"hydra.sweep.subdir={_unresolved(configs[0], 'subdir')}: several jobs would have "
                "the same folder; leave it away, and they are named by what differs"
            )
        return names

    def _grid(self, master: DictConfig) -> list[list[str]] | None:
        """Return the jobs of a plain grid; None for other sweepers."""
        if self._going_on is not None:
            return [list(job.overrides) for job in self._going_on]
        sweeper = master.hydra.sweeper
        if not sweeper._target_.endswith(f".{BasicSweeper.__name__}"):
            return None
        given = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
        parser = OverridesParser.create(config_loader=self._loader)
        asked: Any = OmegaConf.to_container(master.hydra.overrides.task, resolve=False)
        parsed = parser.parse_overrides([*given, *asked])
        [jobs] = BasicSweeper.split_arguments(parsed, max_batch_size=None)
        return [list(job) for job in jobs]


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
                _enter(config, lambda config: config.hydra.run.dir)
        return config


def compose(overrides: Sequence[str], config_dir: str | None = None) -> DictConfig:
    """Compose the configuration of a run that has no folder, for use outside a command line."""
    flags = [] if config_dir is None else ["--config-dir", config_dir]
    with Composer([*flags, *overrides, "run_dir=."]) as composer:
        return without_hydra(composer.config())


def without_hydra(config: DictConfig) -> DictConfig:
    """Return a configuration without Hydra's own node, as tasks get it."""
    own = copy.deepcopy(config)
    with read_write(own), open_dict(own):
        own.pop("hydra", None)
    return own


def parse_arguments(arguments: Sequence[str]) -> Namespace:
    """Part Hydra's flags from overrides.

    Raises:
        ConfigError: a flag doesn't exist or lacks its value.
    """
    parser: ArgumentParser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"{message}; --hydra-help lists the flags")

    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_intermixed_args(list(arguments))


def flags() -> set[str]:
    """Return Hydra's flags, as they are typed."""
    parser: ArgumentParser = get_args_parser()
    return set(parser._option_string_actions)


def _check_flags(flags: Namespace) -> None:
    """Refuse flags that can't go together, as Hydra does."""
    if flags.resolve and flags.cfg is None:
        raise ConfigError("--resolve: goes with --cfg")
    asked = {
        "--run": flags.run,
        "--multirun": flags.multirun,
        "--cfg": flags.cfg,
        "--info": flags.info,
        "--shell-completion": flags.shell_completion,
    }
    several = [name for name, value in asked.items() if value]
    if len(several) > 1:
        raise ConfigError(f"{' '.join(several)}: only one of them at once")


class ExperimentFiles(FileConfigSource):
    """What a folder has in ``experiment/``, and nothing else of it."""

    @staticmethod
    def scheme() -> str:
        """Return what its paths begin with."""
        return "experiments"

    def is_group(self, config_path: str) -> bool:
        """Return whether this is the root, or a folder of experiments."""
        is_ours = config_path == "" or config_path.split("/")[0] == EXPERIMENT
        return is_ours and super().is_group(config_path)

    def is_config(self, config_path: str) -> bool:
        """Return whether this is an experiment."""
        return config_path.startswith(f"{EXPERIMENT}/") and super().is_config(config_path)


Plugins.instance().register(ExperimentFiles)


class Loader(ConfigLoaderImpl):
    """Hydra's loader; it reads each file once, and lets what is chosen win over an experiment.

    Choices decide what is composed; values are then set in a copy of it, so that jobs which
    differ in values alone cost a copy each. An option that the choices of the command line bring
    in, and the experiment by itself would not, is laid over the experiment: its values hold.

    Attributes:
        notes: what happened so that the user couldn't see it, a line each.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.notes: list[str] = []
        self._files: dict[tuple[str | None, ...], Files] = {}
        self._overrides: dict[str, Override] = {}
        self._composed: dict[tuple[Any, ...], tuple[Callable[[], DictConfig], dict[str, str]]] = {}
        self._alone: dict[tuple[Any, ...], DefaultsList] = {}
        self._later: Callable[[ResultDefault], bool] = lambda option: False
        self._replaced: dict[str, str] = {}

    def __getstate__(self) -> Mapping[str, Any]:
        """Leave behind what is remembered, for launchers that start processes."""
        return {"config_search_path": self.config_search_path}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Begin anew."""
        self.__init__(**state)  # type: ignore[misc]

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], Files]:
        parsed = [self._parse(line) for line in overrides]
        key = (config_name, *(o.input_line for o in parsed if o.key_or_group == _SEARCH_PATH))
        if key not in self._files:
            self._files[key] = Files(self.repository)
            self._process_config_searchpath(config_name, parsed, self._files[key])
        return parsed, self._files[key]

    def _parse(self, line: str) -> Override:
        if line not in self._overrides:
            [self._overrides[line]] = OverridesParser.create().parse_overrides([line])
        return self._overrides[line]

    def _load_configuration_impl(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        parsed, read = self._parse_overrides_and_create_caching_repo(config_name, overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        values = [one for one in parsed if _sets_a_value(one, read)]
        choices = [str(one.input_line) for one in parsed if one not in values]
        key = (config_name, run_mode, *choices)
        if key not in self._composed:
            self._later = self._beside_experiments(config_name, choices, run_mode)
            composed = super()._load_configuration_impl(config_name, choices, run_mode)
            self._look_for_doubles(composed, read)
            self._composed[key] = _copies_of(composed), self._replaced
        copies, replaced = self._composed[key]
        set_anew = {one.key_or_group for one in values}
        self._note(*(text for key, text in replaced.items() if key not in set_anew))
        config = copies()
        for one in values:
            if not one.is_sweep_override() and not _take_null_away(one, config):
                self._apply_overrides_to_config([one], config)
        own = [one for one in parsed if not one.is_hydra_override()]
        config.hydra.overrides.task = [str(one.input_line) for one in own]
        form = config.hydra.job.config.override_dirname
        config.hydra.job.override_dirname = get_overrides_dirname(
            own, list(form.exclude_keys), form.item_sep, form.kv_sep
        )
        return config

    def _beside_experiments(
        self, config_name: str | None, choices: list[str], run_mode: RunMode
    ) -> Callable[[ResultDefault], bool]:
        """Return which options the choices bring in that the experiments alone would not."""
        experiments = [one for one in choices if one.lstrip("+").startswith(f"{EXPERIMENT}=")]
        others = [one for one in choices if not one.lstrip("+").startswith("hydra")]
        if not experiments or len(experiments) == len(others):
            return lambda option: False
        kept = [one for one in choices if one in experiments or one not in others]
        key = (config_name, run_mode, *kept)
        if key not in self._alone:
            self._alone[key] = self.compute_defaults_list(config_name, kept, run_mode)
        alone = self._alone[key]
        known = {one.config_path for one in alone.defaults}

        def is_brought_in(option: ResultDefault) -> bool:
            path = str(option.config_path)
            group = path.rpartition("/")[0]
            is_inherited = str(option.parent).rpartition("/")[0] == group
            if group.startswith("hydra") or (is_inherited and option.config_path in known):
                return False
            return bool(group) and not _is_chosen(path, alone.overrides.known_choices)

        return is_brought_in

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        later = [one for one in defaults if self._later(one)]
        others = [one for one in defaults if not self._later(one)]
        config = super()._compose_config_from_defaults_list([*others, *later], repo)
        self._replaced = {}
        if later:
            experiments = [one for one in others if _is_experiment(one)]
            given, chosen = (self._values(some, repo) for some in (experiments, later))
            self._replaced = {
                key: f"{key}={chosen[key]} by a choice on the command line; "
                f"the experiment has {value}"
                for key, value in given.items()
                if chosen.get(key, value) != value
            }
        return config

    def _values(self, defaults: list[ResultDefault], repo: IConfigRepository) -> dict[str, Any]:
        """Return the values that files set, by their keys; of a later one over an earlier."""
        loaded = (self._load_single_config(one, repo).config for one in defaults)
        nodes = (OmegaConf.to_container(one) for one in loaded if isinstance(one, DictConfig))
        return {key: value for node in nodes for key, value in flat(node)}

    def _look_for_doubles(self, config: DictConfig, read: Files) -> None:
        """Tell of an experiment that takes a shipped one's place; refuse other such files.

        Raises:
            ConfigError: a file of the user's own has the name of a shipped one, which hides it.
        """
        sources = [s for s in read.get_sources() if s.provider not in ("hydra", "schema")]
        for group, option in config.hydra.runtime.choices.items():
            name = f"{group}/{option}"
            found = [source for source in sources if source.is_config(name)]
            if not any(source.provider == "main" for source in found):
                continue
            if found[0].provider != "main":
                own = Path(found[0].path, f"{name}.yaml")
                self._note(f"{group}={option} is {own}, not the shipped {option}")
            elif len(found) > 1:
                own = Path(found[1].path, f"{name}.yaml")
                raise ConfigError(
                    f"{own}: has the name of a shipped file, which is the one that is read; "
                    f"rename it and choose it: {group}=<new name>"
                )

    def _note(self, *lines: str) -> None:
        self.notes += [line for line in lines if line not in self.notes]


class Files(CachingConfigRepository):
    """Configuration files, read once; each composition gets copies, for it writes into them."""

    def __init__(self, delegate: IConfigRepository) -> None:
        super().__init__(delegate)
        self._copies: dict[str, Callable[[], ConfigResult | None]] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Return what a file holds."""
        if config_path not in self._copies:
            self._copies[config_path] = _copies_of(super().load_config(config_path))
        return self._copies[config_path]()


def _copies_of(original: Composed) -> Callable[[], Composed]:
    """Return what makes copies, by pickling where that can be: seven times as fast."""
    try:
        pickled = pickle.dumps(original)
    except pickle.PicklingError:  # a launcher's process may have loaded its plugin twice
        return lambda: copy.deepcopy(original)
    return lambda: pickle.loads(pickled)


def _is_chosen(path: str, choices: Mapping[str, str | None]) -> bool:
    """Tell whether a file is an option that was chosen, also as ``atari/dqn`` of ``algorithm``."""
    parts = path.split("/")
    places = range(1, len(parts))
    return any(choices.get("/".join(parts[:i])) == "/".join(parts[i:]) for i in places)


def _take_null_away(override: Override, config: DictConfig) -> bool:
    """Take a key away that holds null, which Hydra takes for one that isn't there.

    Returns:
        Whether that is what the override asks for.
    """
    parent, _, name = override.key_or_group.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if not override.is_delete() or not isinstance(node, DictConfig):
        return False
    held: Any = OmegaConf.to_container(node, resolve=False)
    if held.get(name, ...) is not None or override.value() is not None:
        return False
    with open_dict(node):
        del node[name]
    return True


def _is_experiment(option: ResultDefault) -> bool:
    return str(option.config_path).startswith(f"{EXPERIMENT}/")


def _sets_a_value(override: Override, read: Files) -> bool:
    """Return whether an override sets a value of what is composed, by Hydra's rules."""
    if override.is_hydra_override():
        return False
    return not read.group_exists(override.key_or_group) or isinstance(override.value(), dict)


def _enter(config: DictConfig, folder: Callable[[DictConfig], Any]) -> None:
    """Give a configuration the folder it would run in, and make Hydra's present one of it."""
    HydraConfig.instance().cfg = config  # type: ignore[assignment]  # all of it, not a copy
    output_dir = os.path.abspath(str(folder(config)))
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = output_dir


def _placed(folder: Path, name: str, config: DictConfig) -> Path:
    return folder / name


def _unresolved(config: DictConfig, key: str) -> str:
    """Return what ``hydra.sweep`` has by a key, as it is written."""
    values: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    return str(values[key])


def _sweep_folder(master: DictConfig, configs: Sequence[DictConfig]) -> Path:
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


def _search_path(flags: Namespace) -> ConfigSearchPath:
    """Return where files are looked for.

    The experiments of the user's folders come before the shipped ones, all else there after.

    Raises:
        ConfigError: a folder that was named doesn't exist.
    """
    main = flags.config_path or f"pkg://{CONFIG_MODULE}"
    for flag, folder in (("--config-path", main), ("--config-dir", flags.config_dir)):
        if folder and "://" not in folder and not Path(folder).is_dir():
            raise ConfigError(f"{flag} {folder}: there is no such folder")
    path = create_config_search_path(main if "://" in main else str(Path(main).absolute()))
    shipped = Path(str(files(CONFIG_MODULE)))
    for provider, folder in ((_COMMAND_LINE, flags.config_dir), (_OWN, "conf")):
        if folder and Path(folder).is_dir() and not shipped.samefile(folder):
            whole = Path(folder).absolute()
            path.prepend(provider, f"{ExperimentFiles.scheme()}://{whole}", "main")
            path.prepend(provider, f"file://{whole}", "schema")
    return path

"""Where configuration files are looked for, and how they are read."""

from __future__ import annotations

import copy
import pickle
from argparse import Namespace
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.system.overrides import key_of

CONFIG_MODULE = "lightning_dqn.conf"
EXPERIMENT = "experiment"

SEARCH_PATH = "hydra.searchpath"
"""The key of further folders."""

_COMMAND_LINE, _OWN = "command-line", "conf"  # who brings a folder

Composed = TypeVar("Composed", DictConfig, ConfigResult | None)


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


def search_path(flags: Namespace) -> ConfigSearchPath:
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


def searched(overrides: Iterable[str]) -> list[str]:
    """Return those overrides that say where else files are looked for."""
    return [one for one in overrides if key_of(one) == SEARCH_PATH]


class Files(CachingConfigRepository):
    """Configuration files, read once; each composition gets copies, for it writes into them."""

    def __init__(self, delegate: IConfigRepository) -> None:
        super().__init__(delegate)
        self._copies: dict[str, Callable[[], ConfigResult | None]] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Return what a file holds."""
        if config_path not in self._copies:
            self._copies[config_path] = copies_of(super().load_config(config_path))
        return self._copies[config_path]()


def copies_of(original: Composed) -> Callable[[], Composed]:
    """Return what makes copies, by pickling where that can be: seven times as fast."""
    try:
        pickled = pickle.dumps(original)
    except pickle.PicklingError:  # a launcher's process may have loaded its plugin twice
        return lambda: copy.deepcopy(original)
    return lambda: pickle.loads(pickled)

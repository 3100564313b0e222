"""From the arguments of a command line to a configuration, by Hydra."""

from __future__ import annotations

import difflib
import logging
import re
import warnings
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from lightning_dqn.former_names import WORDS, former_choices, former_words
from lightning_dqn.runs.keys import leaves
from lightning_dqn.system.startup import uncollected

CONFIG_MODULE = "lightning_dqn.conf"


class OwnConfigs(SearchPathPlugin):
    """Adds ``./conf`` after the shipped configuration, for experiments of the user's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append ``./conf`` if it exists."""
        folder = Path.cwd() / "conf"
        if folder.is_dir():
            search_path.append("lightning_dqn-own", f"file://{folder}")


Plugins.instance().register(OwnConfigs)
for _name, _node in former_choices().items():
    ConfigStore.instance().store(group="module", name=_name, node=_node, package="_global_")


def parse_arguments(arguments: Sequence[str]) -> Namespace:
    """Part Hydra's flags from overrides; the one place beside the sweeper that asks its insides."""
    return get_args_parser().parse_args(list(arguments))


def compose(overrides: list[str], config_dir: str | None = None) -> DictConfig:
    """Compose the configuration outside a run."""
    overrides, _ = former_words(overrides)
    if config_dir is not None:
        overrides = [*overrides, f"hydra.searchpath=[file://{Path(config_dir).absolute()}]"]
    with hydra.initialize_config_module(CONFIG_MODULE, version_base="1.3"):
        # The run's folder has no name before the run.
        return hydra.compose("config", overrides=[*overrides, "run_dir=."])


def grid_jobs(overrides: list[str]) -> list[list[str]]:
    """Return the jobs of a plain grid sweep; other sweepers check their jobs as they come."""
    if any(override.startswith("hydra/sweeper=") for override in overrides):
        return []
    parsed = OverridesParser.create().parse_overrides(overrides)
    [jobs] = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in jobs]


def expand_resume(arguments: list[str]) -> list[str]:
    """Replace ``resume=<run folder>`` by that run's own overrides, folder and last checkpoint.

    Raises:
        ValueError: the folder isn't one of a run that can be continued.
    """
    resumes = [a for a in arguments if a.startswith("resume=")]
    if not resumes:
        return arguments
    folder = Path(resumes[-1].removeprefix("resume="))
    saved, checkpoint = folder / ".hydra" / "overrides.yaml", folder / "checkpoints" / "last.ckpt"
    for path in (saved, checkpoint):
        if not path.is_file():
            raise ValueError(f"resume={folder}: {path} is missing, so it can't be continued")
    own: Any = OmegaConf.to_container(OmegaConf.load(saved))
    rest = [a for a in arguments if a not in resumes]
    kept = [o for o in own if not o.startswith(("ckpt_path=", "hydra.run.dir="))]
    return [
        *kept,
        f"ckpt_path='{checkpoint.absolute()}'",
        f"hydra.run.dir='{folder.absolute()}'",
        *rest,
    ]


def training_module() -> ModuleType:
    """Import what prepares and runs, and keep Lightning's hints on products off the terminal."""
    with uncollected(freeze=True):
        from lightning_dqn.runs import run as training

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # Lightning 2.6 itself calls what torch 2.13 deprecates; nothing a user could change.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    # Said of short epochs, of which there may be reasons, and of a continued run's own folder.
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    return training


def explain(error: Exception) -> str:
    """Return what is wrong and what to do, without a traceback."""
    text = str(error)
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown is None:
        return text
    key = unknown[1]
    if key in WORDS:
        return f"{key}: no such key; it is now {WORDS[key]}"
    near = difflib.get_close_matches(key, [name for name, _ in leaves(compose([]))], n=1)
    hint = f"did you mean {near[0]}?" if near else "--help lists them all"
    if near == [key]:
        group = key.rpartition(".")[0].replace(".", "/")
        hint = f"it belongs to another choice of {group}, which other arguments made"
    return f"{key}: no such key; {hint} (a new key of your own takes a plus: +{key}=...)"

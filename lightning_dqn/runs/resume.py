"""A finished or interrupted run goes on, with its own configuration."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.hydra_files import searched
from lightning_dqn.runs.jobs import ALONE
from lightning_dqn.runs.keys import flat, typed
from lightning_dqn.runs.trust import NOTHING, Trust, check_overrides, check_saved, printable
from lightning_dqn.safekeeping.generations import LAST, is_kept
from lightning_dqn.system.faults import first_line
from lightning_dqn.system.files import SUMMARY
from lightning_dqn.system.overrides import is_of, key_of, last_of_each_key, path_of

CONFIGURATION = Path(".hydra", "config.yaml")
"""Of a run, in its folder; beside it ``overrides.yaml`` and ``hydra.yaml``."""

CHECKPOINT = Path("checkpoints", LAST)
"""From which a run goes on, in its folder."""

MAY_CHANGE = (
    "env_steps",
    "trainer.max_epochs",
    "trainer.max_steps",
    "trainer.max_time",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.check_val_every_n_epoch",
    "trainer.limit_val_batches",
    "trainer.limit_test_batches",
    "trainer.log_every_n_steps",
    "trainer.num_sanity_val_steps",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.profiler",
    "data.collection.address",
    "data.collection.call_timeout",
    "data.collection.max_actor_restarts",
    "data.evaluation",
    "data.replay.storage",
    "data.replay.directory",
    "environment.worker_timeout",
    "environment.max_worker_restarts",
    "callbacks.live",
    "callbacks.progress",
    "callbacks.best_checkpoint",
    "callbacks.last_checkpoint",
    "callbacks.safe_stop",
    "callbacks.early_stopping",
    "callbacks.device_stats",
    "callbacks.diagnostics",
    "callbacks.doctor",
    "callbacks.exact_metrics",
    "callbacks.matches",
    "callbacks.unseen_states",
    "callbacks.videos",
    "logger",
    "num_threads",
    "name",
    "tags",
    "notes",
    "test",
    "print_config",
    "run_dir",
    "ckpt_path",
)
"""What a continued run may have otherwise: its budget, where and how it is shown, evaluated and
kept. All else is what was learned by, and another run."""

_OWN = ("ckpt_path=", "hydra.run.dir=")


def is_own(checkpoint: str | Path, run_dir: str | Path) -> bool:
    """Tell whether a checkpoint is that from which a folder's run goes on, however it is named."""
    return os.path.realpath(checkpoint) == os.path.realpath(Path(run_dir) / CHECKPOINT)


@dataclass(frozen=True)
class Resumed:
    """A run that goes on.

    Attributes:
        folder: of the run.
        arguments: that it was started with, its folder and checkpoint, and the new ones.
        asked: the new ones.
        trust: what the run's own may name beside what every run needs.
    """

    folder: Path
    arguments: list[str]
    asked: list[str]
    trust: Trust

    @classmethod
    def of(cls, folder: Path, arguments: Sequence[str], trust: Trust = NOTHING) -> Self:
        """Return the run of a folder; one that has no checkpoint yet begins as it did before.

        Args:
            folder: of the run.
            arguments: of the command line, without the folder.
            trust: what the run's own may name beside what every run needs.

        Raises:
            ConfigError: the folder isn't one of a run, has checkpoints but not the last, is that
                of a finished run without any, or names what isn't trusted.
        """
        saved = folder / CONFIGURATION.parent / "overrides.yaml"
        if not saved.is_file():
            raise ConfigError(f"resume={folder}: {saved} is missing, so it can't be continued")
        own: Any = OmegaConf.to_container(OmegaConf.load(saved))
        if not isinstance(own, list):
            raise ConfigError(f"{saved}: no list of overrides")
        rest = [a for a in arguments if not a.startswith("hydra.run.dir=")]
        flags = flags_of_run(folder, rest)
        checkpoint = _checkpoint_of(folder) or _began_from(own)
        kept = [*flags, *(one for one in own if not str(one).startswith(_OWN))]
        check_overrides(kept, trust, str(folder))
        rest = _new(rest, own)
        placed = [*checkpoint, f"hydra.run.dir={quoted(folder.absolute())}", ALONE]
        return cls(folder, last_of_each_key([*kept, *placed, *rest]), rest, trust)

    def check(self, config: DictConfig) -> None:
        """Refuse a configuration that isn't the run's own, but for what may change.

        Raises:
            ConfigError: naming the first key that differs, and both values, or what isn't trusted.
        """
        check_saved(config, self.trust, "resume", folder=self.folder)
        saved, now = _values(read_configuration(self.folder / CONFIGURATION)), _values(config)
        # Refused here, before the folder's configuration is written anew.
        if (was := _num_ranks(saved)) != (is_ := _num_ranks(now)):
            raise ConfigError(
                f"trainer.devices={typed(now.get('trainer.devices', 1))}: the run in {self.folder} "
                f"was saved by {was} rank{'s' if was > 1 else ''}, each with its part of the "
                f"replay ring, and there would be {is_}; continue with devices * num_nodes = {was}"
            )
        for key, is_of_version in _differing(saved, now):
            if is_of_version and not is_of(key, self._asked_keys()):
                continue
            before, after = (_shown(values, key) for values in (saved, now))
            raise ConfigError(
                f"{key}={after}: the run in {self.folder} was made with {before}; continue "
                f"with that, or begin another run with its network, weights_from={self.folder}"
            )

    def _asked_keys(self) -> list[str]:
        return [path for argument in self.asked if (path := path_of(argument))]


_ABSENT = object()


def begun_otherwise(config: DictConfig) -> list[str]:
    """Return what the run of a checkpoint had otherwise than the new one that goes on from it.

    Args:
        config: of the new one, with ``ckpt_path``; one that lies in no run's folder tells nothing.
    """
    path = Path(str(config.ckpt_path)).absolute().parent.parent / CONFIGURATION
    try:
        saved, now = _values(read_configuration(path)), _values(config)
    except ConfigError:  # it isn't needed, and tells nothing
        return []
    differing = [key for key, is_of_version in _differing(saved, now) if not is_of_version]
    return [printable(f"{key}={_shown(saved, key)}") for key in differing]


def read_configuration(path: Path) -> DictConfig:
    """Return the configuration that a run or a published agent has in a file.

    Raises:
        ConfigError: it is damaged, or something else.
    """
    try:
        config = OmegaConf.load(path)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: can't be read: {first_line(error)}") from error
    if not isinstance(config, DictConfig) or not config:
        raise ConfigError(f"{path}: no configuration of a run")
    return config


def _differing(saved: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield the keys in which what is learned by differs, and whether that needs no change of it.

    Another version has keys that this one lacks, and parts that were called otherwise; another
    folder has other names for what a run began with.
    """
    for key in dict.fromkeys((*saved, *now)):
        if is_of(key, MAY_CHANGE) or saved.get(key, _ABSENT) == now.get(key, _ABSENT):
            continue
        is_of_version = key not in saved or key not in now or key.endswith("_target_")
        is_of_version |= all("${" in str(values.get(key)) for values in (saved, now))
        is_of_version |= key == "weights_from"  # of which the checkpoint has what it took
        yield key, is_of_version


def _new(typed: Sequence[str], own: Sequence[str]) -> list[str]:
    """Return what was typed without the keys that have their values by now."""
    typed, own = last_of_each_key(typed), last_of_each_key(own)

    def of_key(key: str, overrides: Sequence[str]) -> list[str]:
        return [one for one in overrides if key_of(one) == key]

    values_of = {key: of_key(key, typed) for key in map(key_of, typed)}
    known = {key for key, values in values_of.items() if of_key(key, own)[-len(values) :] == values}
    return [one for one in typed if key_of(one) not in known]


def _num_ranks(values: Mapping[str, Any]) -> int:
    """Return how many processes learn, 1 where the devices that there are say so."""
    devices, nodes = values.get("trainer.devices", 1), values.get("trainer.num_nodes", 1)
    if isinstance(devices, str) and "," in devices:  # numbers of devices, as Lightning takes them
        devices = [one for one in devices.split(",") if one.strip()]
    counts = [str(len(devices) if isinstance(devices, list) else devices), str(nodes)]
    return math.prod(map(int, counts)) if all(one.isdecimal() for one in counts) else 1


def quoted(path: Path) -> str:
    """Return a path as a value of an override, whatever characters it has."""
    # A backslash is itself, unless it stands before a quote.
    text = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), str(path))
    return f"'{text}'"


def _checkpoint_of(folder: Path) -> list[str]:
    """Return the override that names the checkpoint to go on from; none: there is none at all."""
    checkpoint = folder / CHECKPOINT
    if is_kept(checkpoint):
        return [f"ckpt_path={quoted(checkpoint.absolute())}"]
    if others := sorted(path.name for path in checkpoint.parent.glob("*.ckpt")):
        raise ConfigError(
            f"resume={folder}: {checkpoint} is missing, though {', '.join(others)} is there; copy "
            f"that to {checkpoint.name} to continue from it, or begin a run in another folder"
        )
    if (folder / SUMMARY).is_file():
        raise ConfigError(
            f"resume={folder}: the run was finished and has no checkpoint to continue from; begin "
            f"another in another folder, or delete {folder / SUMMARY} to begin this one anew"
        )
    return []


def _began_from(own: Sequence[str]) -> list[str]:
    """Return the override that names another run's checkpoint, from which a run began."""
    given = {name: [o for o in own if str(o).startswith(name)] for name in _OWN}
    checkpoints, folders = given.values()
    if not checkpoints:
        return []
    parser = OverridesParser.create()
    values = (parser.parse_override(one[-1]).value() for one in (checkpoints, folders) if one)
    path, *placed = (Path(str(value)) for value in values)
    is_own = placed and path == placed[0] / CHECKPOINT  # which a resume before named, and is gone
    return [] if is_own else checkpoints[-1:]


def _values(config: Any) -> dict[str, Any]:
    """Return what a configuration holds, by keys, without Hydra's own."""
    container: Any = OmegaConf.to_container(config, resolve=False)
    return dict(flat({name: node for name, node in container.items() if name != "hydra"}))


def _shown(values: Mapping[str, Any], key: str) -> str:
    return typed(values[key]) if key in values else "nothing of that name"


def flags_of(hydra: Mapping[str, Any]) -> list[str]:
    """Return the flags that a configuration was found by.

    Args:
        hydra: Hydra's own node of it, as plain values.
    """
    found = {
        "--config-dir": [
            source["path"]
            for source in hydra["runtime"]["config_sources"]
            if source["provider"] == "command-line" and source["schema"] == "file"
        ],
        "--config-name": [hydra["job"]["config_name"]],
    }
    return [
        f"{flag}={value}"
        for flag, values in found.items()
        for value in values
        if value not in (None, "config")
    ]


def flags_of_run(folder: Path, given: Sequence[str] = ()) -> list[str]:
    """Return what a run found its configuration by, flags and ``hydra.searchpath``.

    Those that are given anew are left out.

    Raises:
        ConfigError: its folder doesn't tell.
    """
    path = folder / CONFIGURATION.with_name("hydra.yaml")
    if not path.is_file():
        return []
    hydra: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    try:
        found = [*flags_of(hydra["hydra"]), *searched(hydra["hydra"]["overrides"]["hydra"])]
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not what Hydra writes: {error!r}") from error
    return [one for one in found if not any(a.startswith(one.partition("=")[0]) for a in given)]

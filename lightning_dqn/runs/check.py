"""What can be said of a configuration before anything is made of it."""

from __future__ import annotations

import functools
import json
import math
import os
import re
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.former_names import FORMER_ROOT_KEYS
from lightning_dqn.runs.build import ConfigError, build, check_types, unresolved
from lightning_dqn.runs.jobs import is_of_folder
from lightning_dqn.runs.keys import choices, flat, refers_to, texts, to_choose, typed
from lightning_dqn.runs.lengths import total_env_steps
from lightning_dqn.runs.mistakes import hint_of, near
from lightning_dqn.runs.named import PARTS
from lightning_dqn.runs.ranks import rank_of
from lightning_dqn.runs.resume import CONFIGURATION
from lightning_dqn.runs.secrets import check_secrets
from lightning_dqn.runs.shell import shown
from lightning_dqn.safekeeping.generations import is_kept

MOST_SEED = 2**32 - 1
"""That numpy's global generator takes, which is seeded for code of the user's own."""

_HERE = "|".join((*PARTS, "hints", "name", "run_dir", "tags", r"total_\w+"))
_ELSEWHERE = re.compile(rf"\$\{{(?!({_HERE})[.:}}])")
"""An interpolation of what may be of another type in another job: of no part, and no text."""


def check_parts(config: DictConfig) -> None:
    """Refuse a configuration without one of its parts, before anything reads it.

    Raises:
        ConfigError: naming it, and what there is to choose.
    """
    for name in PARTS:
        if name not in config:
            raise ConfigError(f"{name}: is missing; {to_choose(name)}")
    if not isinstance(config.get("run_dir"), str):
        raise ConfigError(
            f"run_dir={typed(config.get('run_dir'))}: expected the path of a folder; a run's is "
            "named by hydra.run.dir=<folder>"
        )
    _check_places(config)


def _check_places(config: DictConfig) -> None:
    """Refuse an empty path, which would be that of the folder one is in."""
    for kind in ("run", "sweep"):
        node = OmegaConf.select(config, f"hydra.{kind}")
        named: Any = {} if node is None else OmegaConf.to_container(node, resolve=False)
        if named.get("dir") == "":
            raise ConfigError(f"hydra.{kind}.dir='': expected the path of a folder, as runs/mine")


def check_keys(config: DictConfig) -> None:
    """Refuse keys that nothing reads, and values of the few that are no part's; without torch.

    Secrets that are written out are refused too. A key of the user's own at the top is fine where
    an interpolation refers to it.

    Raises:
        ConfigError: naming the key and the nearest there is.
    """
    check_parts(config)
    check_secrets(config)
    _check_root_values(config)
    values: Any = OmegaConf.to_container(config, resolve=False)
    _check_headers(values)
    _check_choices(values)
    text = "\n".join(texts(values))
    for prefix, known in (("", _root_keys()), ("hints.", _shipped()["hints"])):
        node = values["hints"] if prefix else values
        for name in node:
            key = f"{prefix}{name}"
            if name in known or key in FORMER_ROOT_KEYS or refers_to(text, key):
                continue
            names = [f"{prefix}{one}" for one in known]
            raise ConfigError(_about_unknown(key, names, [one for one, _ in flat(values)]))


def check_values(config: DictConfig, seen: set[str]) -> None:
    """Hold all values against what they go to, building what needs no environment.

    Args:
        config: of one job.
        seen: nodes that were checked; they are skipped, and new ones added.

    Raises:
        ConfigError: naming the key and the remedy.
    """
    as_written = json.dumps(
        [OmegaConf.to_container(config[name], resolve=False) for name in (*PARTS, "hints")],
        default=str,
    )
    if as_written in seen:
        return
    values: Any = {name: _resolved(config, name) for name in PARTS}
    for name, node in values.items():
        others = values["environment"] if name == "data" else None
        text = json.dumps([name, node, others], default=str)
        if text not in seen:
            seen.add(text)
            _CHECKS.get(name, _check_plain)(config, name, node)
    check_lengths(config)
    if not _ELSEWHERE.search(as_written):
        seen.add(as_written)


def check_lengths(config: DictConfig) -> None:
    """Refuse a run in which nothing is learned.

    Raises:
        ConfigError: naming the key and the remedy.
    """
    epochs = config.trainer.max_epochs
    if epochs is None or epochs < 0:
        return
    if epochs == 0:
        raise ConfigError("trainer.max_epochs=0: nothing is learned; the command evaluate plays")
    rows = min(total_env_steps(config), int(config.data.replay.capacity))
    if int(config.data.batch_size) > rows:
        raise ConfigError(
            f"data.batch_size={config.data.batch_size}: more than the {rows} rows that replay "
            "ever holds in this run"
        )


def check_folder(folder: Path, key: str) -> None:
    """Refuse a folder that can't be written.

    Args:
        folder: it, or one that would be made.
        key: that names it.

    Raises:
        ConfigError: with the reason.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise ConfigError(f"{key}={folder}: {existing} is a file")
    try:
        tempfile.TemporaryDirectory(dir=existing).cleanup()  # no other way tells for sure
    except OSError as error:
        raise ConfigError(f"{key}={folder}: {existing} can't be written: {error}") from error


_BOOL = (lambda value: isinstance(value, bool), "true or false")
_ROOT_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (
        lambda value: isinstance(value, str) and is_of_folder(value),
        "the name of a folder below runs",
    ),
    "seed": (lambda value: _is_whole(value, 0, MOST_SEED), f"a whole number from 0 to {MOST_SEED}"),
    "num_threads": (
        lambda value: value is None or _is_whole(value, 1),
        "a whole number from 1, or null",
    ),
    "tags": (
        lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
        "a list of texts, as [baseline,long]",
    ),
    "notes": (lambda value: value is None or isinstance(value, str), "a text, or null"),
    "print_config": _BOOL,
    "test": _BOOL,
    "hints": (lambda value: isinstance(value, dict), "keys with values"),
}
"""Of keys at the top that are no part's: what is right, and the words for it."""


def _is_whole(value: Any, least: int, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _check_root_values(config: DictConfig) -> None:
    for key, (is_right, expected) in _ROOT_VALUES.items():
        if key not in config:
            raise ConfigError(f"{key}: is missing; expected {expected}")
        value = _resolved(config, key)
        if not is_right(value):
            raise ConfigError(f"{key}={value!r}: expected {expected}")
    place = CONFIGURATION.parent
    # The others of several ranks write none.
    is_first = rank_of(config, os.environ) == 0
    if "hydra" in config and is_first and config.hydra.output_subdir != str(place):
        raise ConfigError(
            f"hydra.output_subdir={config.hydra.output_subdir}: a run's configuration lies in "
            f"{place} of its folder, where evaluating and continuing it look"
        )
    if "hydra" in config and os.path.abspath(config.run_dir) != config.hydra.runtime.output_dir:
        raise ConfigError(
            f"run_dir={config.run_dir}: Hydra makes a run's folder; name it by "
            "hydra.run.dir=<folder>, that of a sweep by hydra.sweep.dir=<folder>"
        )
    if config.ckpt_path is not None and not is_kept(Path(str(config.ckpt_path))):
        path = shown(Path(str(config.ckpt_path)))
        raise ConfigError(f"ckpt_path={path}: there is no such file")


def _resolved(config: DictConfig, name: str) -> Any:
    try:
        value = config[name]
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except (OmegaConfBaseException, ValueError) as error:
        raise unresolved(name, error) from error


def _check_plain(config: DictConfig, name: str, node: Any) -> None:
    check_types(node, name)


def _check_data(config: DictConfig, name: str, node: Any) -> None:
    build(config, name, environment=build(config, "environment"), seed=config.seed)


def _check_module(config: DictConfig, name: str, node: Any) -> None:
    check_types(node, name)
    _check_learning_rate(node)
    for part, value in node.items():
        if isinstance(value, dict) and "_target_" in value:
            build(config, f"{name}.{part}")


def _check_learning_rate(module: dict[str, Any]) -> None:
    rate = (module.get("optimizer") or {}).get("lr")
    if isinstance(rate, int | float) and not 0 <= rate < math.inf:
        raise ConfigError(f"module.optimizer.lr={rate}: expected a finite number from 0")


def _check_trainer(config: DictConfig, name: str, node: Any) -> None:
    check_types(node, name)
    limit = node.get("max_time")
    if not isinstance(limit, str | dict | None):
        raise ConfigError(
            f"{name}.max_time={typed(limit)}: expected days:hours:minutes:seconds, as 00:01:00:00, "
            "in a file in quotes"
        )


def _check_several(config: DictConfig, name: str, node: Any) -> None:
    for one, value in (node or {}).items():
        if value is None:  # taken away
            continue
        if not isinstance(value, dict) or "_target_" not in value:
            raise ConfigError(f"{name}.{one}={value!r}: expected a mapping with a _target_")
        check_types(value, f"{name}.{one}")


_CHECKS = {
    "environment": lambda config, name, node: build(config, name),
    "data": _check_data,
    "module": _check_module,
    "callbacks": _check_several,
    "logger": _check_several,
    "trainer": _check_trainer,
}


_OF_THE_WHOLE = ("experiment", "algorithm", "debug", "sweep")
"""Groups whose files say something of all the others."""


def _check_headers(values: dict[str, Any]) -> None:
    """Refuse what stands below such a group, as of a file without its header: nobody reads it.

    Raises:
        ConfigError: naming the header.
    """
    for group in _OF_THE_WHOLE:
        if isinstance(values.get(group), dict):
            raise ConfigError(
                f"{group}: nothing reads what stands below it; one is chosen as a whole, "
                f"{group}=<name>, from a file that begins with the line '# @package _global_'"
            )


def _check_choices(values: dict[str, Any]) -> None:
    """Refuse the name of an option where its group is written as a key.

    Raises:
        ConfigError: naming the group.
    """
    for group, options in _choices_below().items():
        node: Any = values
        for name in group.split("/"):
            node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, str) and node in options:
            key = group.replace("/", ".")
            raise ConfigError(f"{key}={node}: one is chosen with a slash, {group}={node}")


def _about_unknown(key: str, known: list[str], keys: list[str]) -> str:
    if "/" in key:
        return f"{key}: there is no such group; {near(key, _groups()) or '--help lists them all'}"
    others = [one for one in keys if one.split(".")[0] != key.split(".")[0]]
    hint = hint_of(key, others, _groups(), [*known, "experiment", "debug"])
    hint = hint or f"there are {', '.join(sorted(known))}"
    return f"{key}: no such key, and nothing refers to it as ${{{key}}}; {hint}"


@functools.cache
def _shipped() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(
        files("lightning_dqn.conf").joinpath("config.yaml").read_text()
    )
    return loaded


@functools.cache
def _root_keys() -> frozenset[str]:
    shipped = _shipped()
    groups = {
        str(key).split("/")[0]
        for one in shipped["defaults"]
        for key in one
        if one != "_self_" and not str(key).startswith("override ")
    }
    return frozenset({*shipped, *groups} - {"defaults"})


@functools.cache
def _choices_below() -> dict[str, list[str]]:
    """Return the options of groups within others."""
    return {group: options for group, options in choices().items() if "/" in group}


def _groups() -> list[str]:
    return sorted(choices())

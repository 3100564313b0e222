"""The configuration of a run, as its folder has it, and in what several differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.keys import flat, typed
from lightning_dqn.runs.lengths import register_lengths
from lightning_dqn.runs.named import untrusted
from lightning_dqn.runs.resume import CONFIGURATION
from lightning_dqn.runs.secrets import without_secrets
from lightning_dqn.system.faults import first_line

HYPERPARAMETERS = Path("hparams.yaml")
FILES = (CONFIGURATION, HYPERPARAMETERS)
"""Where it stands, the better one first; runs of the first versions have the second alone."""

_OF_ONE_RUN = ("seed", "run_dir", "tags", "notes", "logger", "ckpt_path", "print_config", "hydra")
_OPEN = "${run_dir}"
_PARTIAL = "._partial_"
"""Of what builds a part, not of the part."""


def read_configuration(run_dir: Path) -> dict[str, Any]:
    """Return a run's configuration without its secrets, empty where it has none.

    Raises:
        ConfigError: the file is damaged.
    """
    path = next((run_dir / name for name in FILES if (run_dir / name).is_file()), None)
    if path is None:
        return {}
    register_lengths()  # which a configuration may be written by
    try:
        config = OmegaConf.load(path)
        if not isinstance(config, DictConfig):
            raise ValueError("no mapping")
        for key in ("hydra", "logger"):  # of another process, and it may name secrets
            config.pop(key, None)
        if path.name != HYPERPARAMETERS.name:  # in which the place is written out
            config["run_dir"] = str(run_dir)
        sampler = _put_aside(config)
        found = without_secrets(config)
        return (
            found if sampler is None else {**found, "data": {**found["data"], "sampler": sampler}}
        )
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = first_line(error)
        raise ConfigError(f"{path}: can't be read ({reason}); mend it or leave it out") from error


def _put_aside(config: DictConfig) -> dict[str, Any] | None:
    """Take a sampler of the user's own out, which counting the run's iterations would build.

    Whose run it is isn't asked here, so none of its code may run.
    """
    data = OmegaConf.to_container(config, resolve=False).get("data")  # type: ignore[union-attr]
    sampler = data.get("sampler") if isinstance(data, dict) else None
    if not any(untrusted({"data": {"sampler": sampler}}, "", lambda name: False)):
        return None
    config.data.sampler = None
    return sampler


def settings_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return every value of a configuration by its path, without what is each run's own."""
    place = str(config.get("run_dir") or "")
    shared = {key: value for key, value in config.items() if key not in _OF_ONE_RUN}
    texts = {key: _text(key, value) for key, value in flat(shared) if not key.endswith(_PARTIAL)}
    return {key: text.replace(place, _OPEN) if place else text for key, text in texts.items()}


def _text(key: str, value: object) -> str:
    """Return a value as one would type it, of a class its own name alone."""
    text = typed(value)
    return text.rpartition(".")[2] if key.endswith("_target_") else text


def environment_of(config: Mapping[str, Any]) -> str | None:
    """Return what a run was evaluated in, by which returns can be compared; None: not known."""
    data = config.get("data") or {}
    other = (data.get("evaluation") or {}).get("environment")
    for one in (other, config.get("environment")):
        if isinstance(one, Mapping) and (name := one.get("id") or one.get("game")):
            kwargs = one.get("kwargs") or {}
            arguments = ", ".join(f"{key}={typed(value)}" for key, value in kwargs.items())
            return f"{name} ({arguments})" if arguments else str(name)
    return None


def differences(
    configurations: Mapping[str, Mapping[str, str]],
) -> dict[str, dict[str, str | None]]:
    """Return the keys in which settings differ, each with its value by the setting's label.

    Args:
        configurations: what :func:`settings_of` gives, by label. None stands for a key that a
            setting hasn't got; one without any configuration isn't asked.
    """
    known = {label: one for label, one in configurations.items() if one}
    keys = dict.fromkeys(key for one in known.values() for key in one)
    values = {key: {label: one.get(key) for label, one in known.items()} for key in keys}
    return {key: found for key, found in values.items() if len(set(found.values())) > 1}

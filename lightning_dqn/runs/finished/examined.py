"""What the doctor finds in a run that was made before, by its metrics."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.diagnostics.doctor.examination import examine
from lightning_dqn.diagnostics.doctor.rule import Facts, Finding
from lightning_dqn.reporting.metrics_file import METRICS, read_rows
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.json_file import read_json
from lightning_dqn.runs.resume import CONFIGURATION
from lightning_dqn.system.faults import first_line
from lightning_dqn.system.files import FINDINGS


def findings_of(folder: str | Path) -> list[Finding]:
    """Return what a run's metrics show, by the rules of today, in the order in which it began.

    Args:
        folder: of the run, finished or not.

    Raises:
        ConfigError: it has no metrics, or they can't be read.
    """
    folder = Path(folder)
    return examine(list(rows_of(folder)), facts_of_run(folder))


def rows_of(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield env steps and values of each row of a run's metrics.

    Raises:
        ConfigError: there are none, or they can't be read.
    """
    path = folder / METRICS
    if not path.is_file():
        raise ConfigError(
            f"run={folder}: {METRICS} is missing; name the folder of a run that logged with "
            "logger=csv"
        )
    try:
        for row in read_rows(path):
            yield int(row.env_steps), row.values
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"{path}: can't be read as metrics: {error}") from error


def facts_of_run(folder: Path) -> Facts:
    """Return what a run was told to do: as its doctor noted it, else by its configuration.

    Raises:
        ConfigError: a file can't be read.
    """
    path = folder / FINDINGS
    if path.is_file():
        with read_json(path, "what a doctor found") as saved:
            return Facts.of(saved["facts"])
    path = folder / CONFIGURATION
    return _by_configuration(path) if path.is_file() else Facts()


def _by_configuration(path: Path) -> Facts:
    """Return what plain numbers of a configuration tell; nothing it names is built."""
    try:
        config = OmegaConf.load(path)
        assert isinstance(config, DictConfig)
        found = {name: _plain(config, key) for name, key in _KEYS.items()}
        alike = OmegaConf.select(config, "data.evaluation.environment") is None
    except (OSError, AssertionError, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        reason = first_line(error)
        raise ConfigError(f"{path}: can't be read: {reason}") from error
    turns = _turns(found)
    both = {"trains_both_sides": turns, "evaluates_both_sides": turns and alike}
    lags = (_plain(config, "callbacks.target_network.every_n_updates") or 1) > 1
    return Facts.of(
        {**found, **both, "evaluates_alike": alike and not turns, "target_lags": lags or None}
    )


_KEYS: Mapping[str, str] = {
    "gamma": "data.replay.gamma",
    "max_gradient_norm": "module.max_gradient_norm",
    "batch_size": "data.batch_size",
    "capacity": "data.replay.capacity",
    "num_envs": "environment.num_envs",
}


def _plain(config: DictConfig, key: str) -> Any:
    value = OmegaConf.select(config, key)
    return value if isinstance(value, int | float) else None


def _turns(found: Mapping[str, Any]) -> bool:
    """Tell whether the next state is the opponent's, as a negative discount says."""
    return (found["gamma"] or 0) < 0

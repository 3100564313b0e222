"""From a configuration to all that a run is made of, checked before anything is written."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_dqn.data import ReplayDataModule
from lightning_dqn.dqn import DQN
from lightning_dqn.former_names import FORMER_ROOT_KEYS
from lightning_dqn.learning.trainer import SUPPORTED_PRECISIONS
from lightning_dqn.replay.reading import check_discount
from lightning_dqn.replay.samplers.sampler import Pace, as_sampling
from lightning_dqn.replay.samplers.uniform import UniformSampling
from lightning_dqn.runs.build import ConfigError, build, check_types, invalid


@dataclass(frozen=True)
class Experiment:
    """What a configuration describes, built but not yet run."""

    config: DictConfig
    module: DQN
    data: ReplayDataModule


def prepare(config: DictConfig) -> Experiment:
    """Build environment, module and data module, and check all that can be checked.

    Nothing is written and no memory of size is taken.

    Raises:
        ConfigError: naming the key at fault and the remedy.
    """
    _take_former_keys(config)
    _check_top(config)
    pl.seed_everything(config.seed, verbose=False)
    environment = build(config, "environment")
    try:
        _ = environment.spec
    except ValueError as error:
        raise invalid("environment", error) from error
    data = build(config, "data", environment=environment, seed=config.seed)
    module = build(config, "module", environment=environment)
    if data.sampling.gives_whole_targets:
        try:
            module.target.refuse_whole_targets()
        except ValueError as error:
            raise invalid("module.target", error) from error
    try:
        check_discount(environment.spec, data.replay_config)
    except ValueError as error:
        raise invalid("data.replay", error) from error
    device = _check_trainer(config)
    try:
        data.check_memory(device)
    except ValueError as error:
        raise invalid("data", error) from error
    for group in ("callbacks", "logger"):
        for name in config[group] or {}:
            _check_node(config, f"{group}.{name}")
    for name in config.callbacks or {}:
        if not name.endswith("_checkpoint"):  # they look for their folder
            build(config, f"callbacks.{name}")
    return Experiment(config, module, data)


def build_trainer(config: DictConfig, run_dir: Path) -> pl.Trainer:
    """Build the Trainer with the configuration's callbacks and loggers."""
    callbacks = [build(config, f"callbacks.{name}") for name in config.callbacks or {}]
    if not config.trainer.get("enable_progress_bar", True):
        callbacks = [c for c in callbacks if not isinstance(c, pl.callbacks.ProgressBar)]
    loggers = [build(config, f"logger.{name}") for name in config.logger or {}]
    return build(
        config,
        "trainer",
        callbacks=callbacks,
        logger=loggers or False,
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
        **({} if "default_root_dir" in config.trainer else {"default_root_dir": str(run_dir)}),
    )


def total_iterations(config: DictConfig) -> int:
    """Return the iterations of the whole run, for learning-rate schedules over all of it."""
    data = config.data
    asked = Pace(
        num_envs=int(config.environment.num_envs),
        frame_stack=1,
        n_step=1,
        overlap=False,
        capacity=int(data.replay.capacity),
        batch_size=int(data.batch_size),
        updates_per_iteration=int(data.updates_per_iteration),
        env_steps_per_iteration=int(data.env_steps_per_iteration),
        warmup_env_steps=0,
    )
    pace = as_sampling(build(config, "data.sampler") or UniformSampling()).pace(asked)
    iterations = -(-int(data.env_steps_per_epoch) // pace.env_steps_per_iteration)
    return _total_epochs(config) * iterations


def total_env_steps(config: DictConfig) -> int:
    """Return the env steps of the whole run, for schedules over all of it."""
    warmup = int(config.data.collection.warmup_env_steps)
    return warmup + _total_epochs(config) * int(config.data.env_steps_per_epoch)


def _total_epochs(config: DictConfig) -> int:
    epochs = config.trainer.max_epochs
    if epochs is None or epochs < 0:
        raise ConfigError(
            f"trainer.max_epochs={epochs}: a schedule over the whole run needs its end; "
            "set max_epochs or the schedule's own length"
        )
    return int(epochs)


for _resolver in (total_iterations, total_env_steps):
    OmegaConf.register_new_resolver(
        _resolver.__name__, lambda *, _root_, of=_resolver: of(_root_), replace=True
    )


def _take_former_keys(config: DictConfig) -> None:
    """Lay what a user's own file sets by a key of 0.1 over the key that it is now."""
    for old, new in FORMER_ROOT_KEYS.items():
        if old in config:
            warnings.warn(
                f"{old} is now {new}; the old key goes with 0.3", FutureWarning, stacklevel=2
            )
            OmegaConf.update(config, new, config[old], merge=True)


def _check_top(config: DictConfig) -> None:
    if not isinstance(config.seed, int) or isinstance(config.seed, bool) or config.seed < 0:
        raise ConfigError(f"seed={config.seed!r}: expected a whole number from 0")
    threads = config.num_threads
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ConfigError(f"num_threads={threads!r}: expected a whole number from 1, or null")
    if config.ckpt_path is not None and not Path(config.ckpt_path).is_file():
        raise ConfigError(f"ckpt_path={config.ckpt_path}: there is no such file")


def _check_trainer(config: DictConfig) -> torch.device:
    """Build a Trainer that does nothing, for its own checks; return the device it chose."""
    precision = config.trainer.get("precision")
    if precision not in (None, *SUPPORTED_PRECISIONS):
        choice = " or ".join(SUPPORTED_PRECISIONS)
        raise ConfigError(f"trainer.precision={precision}: choose {choice}")
    folder = {} if "default_root_dir" in config.trainer else {"default_root_dir": "."}
    trainer = build(config, "trainer", logger=False, enable_checkpointing=False, **folder)
    if trainer.world_size > 1:
        raise ConfigError(f"trainer.devices={config.trainer.devices}: DQN learns on one device")
    return trainer.strategy.root_device


def _check_node(config: DictConfig, key: str) -> None:
    """Check the types of a node that can be built inside a run only."""
    node = OmegaConf.to_container(config, resolve=True)
    for name in key.split("."):
        node = node[name]  # type: ignore[index, call-overload]
    if not isinstance(node, dict) or "_target_" not in node:
        raise ConfigError(f"{key}={node!r}: expected a mapping with a _target_")
    check_types(node, key)

"""From a configuration to all that a run is made of, checked before anything is written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Checkpoint

from lightning_dqn.data import ReplayDataModule
from lightning_dqn.dqn import DQN
from lightning_dqn.experience import parts_of_memory
from lightning_dqn.formats.saved import begin_with
from lightning_dqn.former_names import FORMER_ROOT_KEYS
from lightning_dqn.learning.devices import SUPPORTED_PRECISIONS, check_shared
from lightning_dqn.learning.monitors import check_monitors
from lightning_dqn.learning.run_length import iterations_of
from lightning_dqn.learning.trainer import check_trainer
from lightning_dqn.replay.reading import check_discount
from lightning_dqn.runs.best import take_last_for_best
from lightning_dqn.runs.budget import spread_budget
from lightning_dqn.runs.build import ConfigError, build, build_several, invalid
from lightning_dqn.runs.check import check_folder, check_keys, check_values
from lightning_dqn.runs.ranks import asks_for_several
from lightning_dqn.runs.unread import without_idle_warnings
from lightning_dqn.system.ranks import Ranks


@dataclass(frozen=True)
class Experiment:
    """What a configuration describes, built but not yet run.

    Attributes:
        note: a line about what is done otherwise than the configuration says.
    """

    config: DictConfig
    module: DQN
    data: ReplayDataModule
    trainer: pl.Trainer
    note: str | None = None


def prepare(config: DictConfig, seen: set[str] | None = None) -> Experiment:
    """Build environment, module, data module and Trainer, and check all that can be checked.

    Nothing is written and no memory of size is taken.

    Args:
        config: of a run.
        seen: nodes that were checked, see :func:`check_values`.

    Raises:
        ConfigError: naming the key at fault and the remedy.
    """
    take_former_keys(config)
    spread_budget(config)
    check_keys(config)
    check_values(config, set() if seen is None else seen)
    pl.seed_everything(config.seed, verbose=False)
    environment = build(config, "environment")
    with _as_mistake_of("environment"):
        spec = environment.spec
    data = build(config, "data", environment=environment, seed=config.seed)
    module = build(config, "module", environment=environment)
    if config.get("weights_from") is not None and config.ckpt_path is None:
        with _as_mistake_of("weights_from"):
            begin_with(module.agent, config.weights_from)
    with _as_mistake_of("module.target"):
        if data.sampling.gives_whole_targets:
            module.target.refuse_whole_targets()
    with _as_mistake_of("data.replay"):
        check_discount(spec, data.replay_config)
    check_folder(Path(config.run_dir), "run_dir")
    _check_precision(config)
    with _as_mistake_of("data.evaluation.environment"):
        data.check_evaluated(spec)
        note = take_last_for_best(config, data)
    trainer = build_trainer(config)
    with _as_mistake_of("module.optimizer"):
        module.make_optimizers(iterations_of(trainer, data.iterations_per_epoch))
    with _as_mistake_of("trainer"):
        check_trainer(trainer, logs_own_metrics=type(module) is not DQN)
    with _as_mistake_of("callbacks"):
        check_monitors(trainer.callbacks, data)  # type: ignore[attr-defined]
    experiment = Experiment(config, module, data, trainer, note)
    _check_ranks(experiment)
    with _as_mistake_of("data"):
        parts = parts_of_memory(trainer, data.replay_config)
        data.check_memory(trainer.strategy.root_device, parts=parts)
    return experiment


def _check_ranks(experiment: Experiment) -> None:
    """Refuse what several ranks can't share, naming the key."""
    module, data, trainer = experiment.module, experiment.data, experiment.trainer
    ranks = Ranks(trainer.world_size)
    if ranks.are_several and not asks_for_several(experiment.config):
        raise ConfigError(
            f"trainer.devices=auto: there are {ranks.size}, with a process for each; say so by "
            f"trainer.devices={trainer.num_devices} trainer.strategy=ddp, or choose "
            "trainer.devices=1"
        )
    with _as_mistake_of("environment"):
        data.environment.shared(ranks)
    with _as_mistake_of("data"):
        data.check_ranks(ranks)
    with _as_mistake_of("callbacks"):
        check_shared(trainer, data)
    with _as_mistake_of("module"):
        check_shared(trainer, None, module.q_network)


def rehearse(experiment: Experiment) -> None:
    """Let the callbacks of this package look at what they would work on, as a fit begins.

    The parts are of no use afterwards.

    Raises:
        ConfigError: one of them can't work with the module or the environment.
    """
    trainer, module, data = experiment.trainer, experiment.module, experiment.data
    trainer.datamodule = data  # type: ignore[attr-defined]
    for name, callback in named_callbacks(experiment):
        with _as_mistake_of(f"callbacks.{name}"), without_idle_warnings():
            callback.setup(trainer, module, "fit")
            callback.on_fit_start(trainer, module)


def named_callbacks(experiment: Experiment) -> Iterator[tuple[str, pl.Callback]]:
    """Yield those that are of this package, by their keys."""
    nodes = experiment.config.callbacks or {}
    callbacks: list[pl.Callback] = experiment.trainer.callbacks  # type: ignore[attr-defined]
    left = [one for one in callbacks if type(one).__module__.startswith("lightning_dqn.")]
    for name, node in nodes.items():
        # Those of one class lie in the order of their keys.
        of_class = (one for one in left if node._target_.endswith(f".{type(one).__name__}"))
        if node and (callback := next(of_class, None)) is not None:
            left.remove(callback)
            yield str(name), callback


def build_trainer(config: DictConfig) -> pl.Trainer:
    """Build the Trainer with the configuration's callbacks and loggers."""
    callbacks = build_several(config, "callbacks")
    if not config.trainer.get("enable_progress_bar", True):
        callbacks = [c for c in callbacks if not isinstance(c, pl.callbacks.ProgressBar)]
    loggers = build_several(config, "logger")
    folder = {} if "default_root_dir" in config.trainer else {"default_root_dir": config.run_dir}
    trainer: pl.Trainer = build(
        config,
        "trainer",
        callbacks=callbacks,
        logger=loggers or False,
        enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
        **folder,
    )
    return trainer


def take_former_keys(config: DictConfig) -> None:
    """Lay what a user's own file sets by a key of 0.1 over the key that it is now."""
    for old, new in FORMER_ROOT_KEYS.items():
        if old in config:
            warnings.warn(
                f"{old} is now {new}; the old key goes with 0.3", FutureWarning, stacklevel=2
            )
            OmegaConf.update(config, new, config[old], merge=True)


def _check_precision(config: DictConfig) -> None:
    """Refuse a precision before the Trainer changes it by itself."""
    precision = config.trainer.get("precision")
    if precision not in (None, *SUPPORTED_PRECISIONS):
        choice = " or ".join(SUPPORTED_PRECISIONS)
        raise ConfigError(f"trainer.precision={precision}: choose {choice}")


@contextmanager
def _as_mistake_of(key: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever an environment or an optimizer may raise
        raise invalid(key, error) from error

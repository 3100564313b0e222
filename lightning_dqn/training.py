"""A run from its configuration: prepare, fit, test, save, sum up."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_dqn.configuration import ConfigError, build, check_types, invalid
from lightning_dqn.datamodule import ReplayDataModule
from lightning_dqn.files import SUMMARY, write_json
from lightning_dqn.loggers import WandbLogger
from lightning_dqn.module import DQN, SUPPORTED_PRECISIONS
from lightning_dqn.provenance import provenance
from lightning_dqn.replay_storage import check_discount
from lightning_dqn.sampling import LambdaReturns
from lightning_dqn.weights import save_weights


@dataclass(frozen=True)
class Experiment:
    """What a configuration describes, built but not yet run."""

    config: DictConfig
    module: DQN
    data: ReplayDataModule


@dataclass(frozen=True)
class Summary:
    """What a run came to; ``str`` of it is what the terminal shows at the end."""

    name: str
    run_dir: Path
    env_steps: int
    updates: int
    seconds: float
    tested: str
    episode_return: float | None
    episode_return_std: float | None
    episodes: int

    def __str__(self) -> str:
        rate = self.env_steps / max(self.seconds, 1e-9)
        lines = [
            f"{self.name}: {self._result()}",
            f"  trained   {self.env_steps:,} env steps, {self.updates:,} updates in "
            f"{self.seconds:.1f} s ({rate:,.0f} env steps/s)",
            f"  files     {self.run_dir}",
            f"  evaluate  {_python()} -m lightning_dqn.evaluate run={self.run_dir}",
            f"  continue  {_python()} -m lightning_dqn resume={self.run_dir} trainer.max_epochs=N",
        ]
        return "\n".join(lines)

    def _result(self) -> str:
        if self.episode_return is None:
            return "not tested"
        return (
            f"return {self.episode_return:.1f} ± {self.episode_return_std:.1f} over "
            f"{self.episodes} test episodes ({self.tested})"
        )


def prepare(config: DictConfig) -> Experiment:
    """Build environment, module and data module, and check all that can be checked.

    Nothing is written and no memory of size is taken.

    Raises:
        ConfigError: naming the key at fault and the remedy.
    """
    _check_top(config)
    pl.seed_everything(config.seed, verbose=False)
    environment = build(config, "environment")
    try:
        _ = environment.spec
    except ValueError as error:
        raise invalid("environment", error) from error
    module = build(config, "module", environment=environment)
    data = build(config, "data", environment=environment, seed=config.seed)
    if module.munchausen is not None and isinstance(data.sampler_config, LambdaReturns):
        raise ConfigError(
            "module.munchausen: lambda-returns hold the greedy value of the next states already; "
            "set module/munchausen=none or another data/sampler"
        )
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


def run(experiment: Experiment) -> Summary:
    """Train, test the best checkpoint, save its weights and return the summary.

    The summary is also the run folder's ``summary.json``, written last: where it lies, the run is
    complete.
    """
    began = time.perf_counter()
    config, module, data = experiment.config, experiment.module, experiment.data
    run_dir = Path(config.run_dir)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    trainer = build_trainer(config, run_dir)
    for logger in trainer.loggers:
        logger.log_hyperparams(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    start, first_env_step = time.perf_counter(), module.env_steps
    trainer.fit(module, data, ckpt_path=config.ckpt_path)
    seconds = time.perf_counter() - start
    trained = {"env_steps": module.env_steps - first_env_step, "updates": module.updates}
    best = _best_checkpoint(trainer)
    results: dict[str, float] = {}
    if config.test:
        [results] = trainer.test(module, data, ckpt_path=best, verbose=False)  # type: ignore[assignment]
    elif best:
        checkpoint = torch.load(best, map_location="cpu", weights_only=True)
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(checkpoint["state_dict"])
    tested = (
        f"the best checkpoint, of env step {module.env_steps:,}" if best else "the last weights"
    )
    save_weights(module, run_dir)
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
    summary = Summary(
        name=config.name,
        run_dir=_shown(run_dir),
        seconds=seconds,
        tested=tested,
        episode_return=results.get("test/episode_return"),
        episode_return_std=results.get("test/episode_return_std"),
        episodes=int(results.get("test/episodes", 0)),
        **trained,
    )
    wall_seconds = time.perf_counter() - began
    counted = {"first_env_step": first_env_step, "wall_seconds": wall_seconds}
    origin = provenance(trainer.strategy.root_device)
    run_dir.mkdir(parents=True, exist_ok=True)
    write_json(run_dir / SUMMARY, {**asdict(summary), "seed": config.seed, **counted, **origin})
    return summary


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
    per_iteration = int(data.env_steps_per_iteration)
    if (data.get("sampler") or {}).get("rollout_length") is not None:
        per_iteration = int(data.sampler.rollout_length) * int(config.environment.num_envs)
    return _total_epochs(config) * -(-int(data.env_steps_per_epoch) // per_iteration)


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


def _best_checkpoint(trainer: pl.Trainer) -> str | None:
    callback = trainer.checkpoint_callback
    return (getattr(callback, "best_model_path", None) or None) if callback is not None else None


def _python() -> str:
    """Return how to call this Python: by its path if it lies in the working directory."""
    executable = Path(sys.executable)
    return str(_shown(executable)) if executable.is_relative_to(Path.cwd()) else "python"


def _shown(path: Path) -> Path:
    """Return ``path`` relative to the working directory where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path

"""A run: fit, test, save, sum up."""

from __future__ import annotations

import logging
import shlex
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig

from lightning_dqn.formats.saved import save_weights
from lightning_dqn.reporting.wandb_logger import WandbLogger
from lightning_dqn.runs.experiment import Experiment, prepare, rehearse
from lightning_dqn.runs.opening import config_tree, opening_line
from lightning_dqn.runs.provenance import provenance
from lightning_dqn.runs.secrets import without_secrets
from lightning_dqn.runs.trust import needed_trust
from lightning_dqn.system.files import SUMMARY, write_json

_logger = logging.getLogger(__name__)

__all__ = ["Summary", "prepare", "rehearse", "run"]


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
    trust: tuple[str, ...] = ()

    def __str__(self) -> str:
        rate = self.env_steps / max(self.seconds, 1e-9)
        folder, resume = shlex.quote(str(self.run_dir)), shlex.quote(f"resume={self.run_dir}")
        trust = f" trust={','.join(self.trust)}" if self.trust else ""
        again = f"{resume} trainer.max_epochs=N{trust}{_flags()}"
        lines = [
            f"{self.name}: {self._result()}",
            f"  trained   {self.env_steps:,} env steps, {self.updates:,} updates in "
            f"{self.seconds:.1f} s ({rate:,.0f} env steps/s)",
            f"  files     {self.run_dir}",
            f"  evaluate  {_python()} -m lightning_dqn evaluate {folder}{trust}",
            f"  continue  {_python()} -m lightning_dqn {again}",
        ]
        return "\n".join(lines)

    def _result(self) -> str:
        if self.episode_return is None:
            return "not tested"
        return (
            f"return {self.episode_return:.1f} ± {self.episode_return_std:.1f} over "
            f"{self.episodes} test episodes ({self.tested})"
        )


def run(experiment: Experiment) -> Summary:
    """Train, test the best checkpoint, save its weights and return the summary.

    The summary is also the run folder's ``summary.json``, written last: where it lies, the run is
    complete.
    """
    began = time.perf_counter()
    config, module, data = experiment.config, experiment.module, experiment.data
    trainer, run_dir = experiment.trainer, Path(config.run_dir)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    _say(experiment, run_dir)
    for logger in trainer.loggers:
        logger.log_hyperparams(without_secrets(config))
    start, first_env_step = time.perf_counter(), module.env_steps
    trainer.fit(module, data, ckpt_path=config.ckpt_path, weights_only=True)
    seconds = time.perf_counter() - start
    trained = {"env_steps": module.env_steps - first_env_step, "updates": module.updates}
    best = _best_checkpoint(trainer)
    results: dict[str, float] = {}
    if config.test:
        [results] = trainer.test(  # type: ignore[assignment]
            module, data, ckpt_path=best, verbose=False, weights_only=True
        )
    elif best:
        checkpoint = torch.load(best, map_location="cpu", weights_only=True)
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(checkpoint["state_dict"])
    tested = (
        f"the best checkpoint, of env step {module.env_steps:,}" if best else "the last weights"
    )
    save_weights(module.agent, run_dir, module.hparams)
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
        trust=tuple(needed_trust(config)),
        **trained,
    )
    wall_seconds = time.perf_counter() - began
    counted = {"first_env_step": first_env_step, "wall_seconds": wall_seconds}
    origin = provenance(trainer.strategy.root_device)
    run_dir.mkdir(parents=True, exist_ok=True)
    write_json(
        run_dir / SUMMARY,
        {**asdict(summary), "seed": config.seed, "tags": list(config.tags), **counted, **origin},
    )
    return summary


def _say(experiment: Experiment, run_dir: Path) -> None:
    """Say what begins, on the terminal and in the run's log."""
    if experiment.config.print_config:
        _logger.info("%s", config_tree(experiment.config))
    _logger.info("%s", opening_line(experiment, _shown(run_dir)))


def _best_checkpoint(trainer: pl.Trainer) -> str | None:
    callback = trainer.checkpoint_callback
    return (getattr(callback, "best_model_path", None) or None) if callback is not None else None


def _flags() -> str:
    """Return the flags by which the configuration was found; a folder's own aren't followed."""
    if not HydraConfig.initialized():
        return ""
    hydra = HydraConfig.get()
    folders = [one.path for one in hydra.runtime.config_sources if one.provider == "command-line"]
    flags = [f"--config-dir={shlex.quote(folder)}" for folder in dict.fromkeys(folders)]
    if (name := hydra.job.config_name) not in (None, "config"):
        flags.append(f"--config-name={shlex.quote(str(name))}")
    return "".join(f" {flag}" for flag in flags)


def _python() -> str:
    """Return how to call this Python: by its path if it lies in the user's folder."""
    executable = Path(sys.executable)
    return str(_shown(executable)) if executable.is_relative_to(_user_folder()) else "python"


def _shown(path: Path) -> Path:
    """Return ``path`` relative to the user's folder where it lies below it."""
    folder = _user_folder()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _user_folder() -> Path:
    """Return where the command was given, which ``hydra.job.chdir`` leaves."""
    return Path(HydraConfig.get().runtime.cwd if HydraConfig.initialized() else Path.cwd())

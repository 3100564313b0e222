"""Runs of a configuration in this process: two epochs of 100 env steps on CartPole."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.experiment import prepare
from lightning_dqn.runs.run import Summary, run

SMALL = (
    "name=small",
    "num_threads=null",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "trainer.enable_progress_bar=false",
    "data.env_steps_per_epoch=100",
    "data.collection.warmup_env_steps=64",
    "data.evaluation.num_envs=2",
    "data.evaluation.test_episodes_per_env=2",
)
HIDDEN = "module.network.hidden=[8]"


def small_config(folder: Path, *overrides: str, network: str | None = HIDDEN) -> DictConfig:
    """Return the configuration of a short run in ``folder``."""
    config = compose([*SMALL, *([network] if network else []), *overrides])
    config.run_dir = str(folder)
    return config


def small_run(folder: Path, *overrides: str, network: str | None = HIDDEN) -> Summary:
    """Run it, and leave its configuration where the command line leaves it."""
    config = small_config(folder, *overrides, network=network)
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")
    return run(prepare(config))

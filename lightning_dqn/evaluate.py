"""``python -m lightning_dqn.evaluate run=<run folder>``: play episodes with a trained policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from lightning_dqn.configuration import ConfigError, build
from lightning_dqn.episodes import play_episodes
from lightning_dqn.simple_command import read_options, run_command
from lightning_dqn.table import Table, UnseenCount
from lightning_dqn.weights import load_agent

USAGE = """\
Play test episodes with the policy of a finished run.

  python -m lightning_dqn.evaluate run=<run folder> [key=value ...]

  run                the folder that training named at its end
  checkpoint=null    a checkpoint file; null: the run's module.safetensors, of its best checkpoint
  num_envs=10        environments stepped at once
  episodes_per_env=10  episodes of each of them
  epsilon=0.0        probability of a random action
  seed=1_010_000     of the episodes; the default plays those of the run's own test
"""

DEFAULTS = {
    "run": None,
    "checkpoint": None,
    "num_envs": 10,
    "episodes_per_env": 10,
    "epsilon": 0.0,
    "seed": 1_010_000,
}


def main() -> None:
    """Run the command line."""
    run_command(USAGE, _run)


def _run(arguments: list[str]) -> None:
    returns = evaluate(_options(arguments))
    print(
        f"return {returns.mean():.1f} ± {returns.std():.1f} over {len(returns)} episodes "
        f"(min {returns.min():.1f}, median {np.median(returns):.1f}, max {returns.max():.1f})"
    )


def evaluate(options: DictConfig) -> np.ndarray:
    """Play and return the returns of all episodes, float64[num_envs * episodes_per_env].

    Of a table it prints how often it had to decide in states that it never learned from.

    Raises:
        ValueError: the run's folder or checkpoint can't be read.
    """
    run = Path(options.run)
    saved = run / ".hydra" / "config.yaml"
    if not saved.is_file():
        raise ConfigError(f"run={run}: {saved} is missing, so this is not the folder of a run")
    config = OmegaConf.load(saved)
    assert isinstance(config, DictConfig)
    factory = build(config, "environment")
    module = load_agent(options.checkpoint or run)
    if module.spec != factory.spec:
        raise ConfigError(f"checkpoint={options.checkpoint}: was not trained on {factory.name}")
    network = module.get_submodule(module.evaluation_network)
    counts = [UnseenCount(network)] if isinstance(network, Table) else []
    environment = factory.make(options.num_envs)
    try:
        episodes = play_episodes(
            environment,
            factory.spec,
            module.eval(),
            episodes_per_env=options.episodes_per_env,
            epsilon=options.epsilon,
            seed=options.seed,
            observers=counts,
        )
        returns = np.array([episode.episode_return for episode in episodes])
    finally:
        environment.close()
    for count in counts:
        print(count)
    return returns


def _options(arguments: list[str]) -> DictConfig:
    options = read_options(arguments, DEFAULTS)
    if options.run is None:
        raise ConfigError("run=null: name the folder of a run, as run=runs/cartpole/<time>")
    return options


if __name__ == "__main__":
    main()

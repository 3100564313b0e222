"""Episodes by the policy of a finished run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from lightning_dqn.collecting.evaluation import play_episodes
from lightning_dqn.formats.saved import load_agent
from lightning_dqn.networks.table import Table, UnseenCount
from lightning_dqn.runs.build import ConfigError, build


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
    agent = load_agent(options.checkpoint or run)
    if agent.spec != factory.spec:
        raise ConfigError(f"checkpoint={options.checkpoint}: was not trained on {factory.name}")
    network = agent.get_submodule(agent.evaluation_network)
    counts = [UnseenCount(network)] if isinstance(network, Table) else []
    environment = factory.make(options.num_envs)
    try:
        episodes = play_episodes(
            environment,
            factory.spec,
            agent.eval(),
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

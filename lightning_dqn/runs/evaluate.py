"""Episodes by the policy of a finished run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from lightning_dqn.collecting.evaluation import EvaluationConfig, Evaluator
from lightning_dqn.environments.spec import check_same
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
    try:
        check_same(agent.spec, factory.spec, f"environment {factory.name}")
    except ValueError as error:
        raise ConfigError(f"checkpoint={options.checkpoint}: {error}") from error
    network = agent.get_submodule(agent.evaluation_network)
    counts = [UnseenCount(network)] if isinstance(network, Table) else []
    try:
        evaluation = EvaluationConfig(
            num_envs=options.num_envs,
            epsilon=options.epsilon,
            max_episode_steps=options.max_episode_steps,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    evaluator = Evaluator(factory, evaluation)
    try:
        episodes = list(
            evaluator.play(
                agent.eval(),
                seed=_test_seed(config) if options.seed is None else options.seed,
                episodes_per_env=options.episodes_per_env,
                observers=counts,
            )
        )
    finally:
        evaluator.close()
    for count in counts:
        print(count)
    if cut := sum(episode.is_cut for episode in episodes):
        print(f"{cut} of {len(episodes)} episodes were cut; max_episode_steps=N sets where")
    return np.array([episode.episode_return for episode in episodes])


def _test_seed(config: DictConfig) -> int:
    """Return the seed of the run's own test."""
    given = OmegaConf.select(config, "data.evaluation.seed")
    return EvaluationConfig(seed=given).episode_seed(config.seed, "test")

"""Episodes by the policy of a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from omegaconf import OmegaConf

from lightning_dqn.collecting.evaluation import EvaluationConfig, EvaluationRules, Evaluator
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.learning.monitors import of_both_sides
from lightning_dqn.networks.table import Table, UnseenCount
from lightning_dqn.reporting.statistics import interquartile_mean, stratified_bootstrap_interval
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.finished.playing import Epsilon, Limit, Of, as_tested
from lightning_dqn.transitions import Episode


class Outcome(NamedTuple):
    """What was played.

    Attributes:
        episodes: in their order.
        rules: how they were played.
        notes: lines about them, as how often a table had to decide in states that it never learned
            from.
    """

    episodes: list[Episode]
    rules: EvaluationRules
    notes: list[str]


def evaluate(
    run: FinishedRun,
    *,
    num_envs: int | Of = "run",
    episodes_per_env: int | Of = "run",
    epsilon: Epsilon = "run",
    seed: int | None = None,
    max_episode_steps: Limit = "run",
) -> Outcome:
    """Play in the environments that the run was evaluated in, as in its test where nothing is said.

    Args:
        run: whose policy plays.
        num_envs: environments stepped at once.
        episodes_per_env: of each of them.
        epsilon: see :class:`EvaluationConfig`.
        seed: of the episodes; None: that of the run's own test.
        max_episode_steps: see :class:`EvaluationConfig`.

    Raises:
        ValueError: the run can't be read, or a number is out of range.
    """
    factory = run.environment()
    agent = run.agent_for(factory)
    network = agent.get_submodule(agent.evaluation_network)
    counts = [UnseenCount(network)] if isinstance(network, Table) else []
    try:
        config = EvaluationConfig(
            **as_tested(
                run,
                num_envs=num_envs,
                test_episodes_per_env=episodes_per_env,
                epsilon=epsilon,
                max_episode_steps=max_episode_steps,
            )
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    evaluator = Evaluator(factory, config)
    try:
        rules = evaluator.rules
        episodes = list(
            evaluator.play(
                agent,
                seed=test_seed(run) if seed is None else seed,
                episodes_per_env=config.test_episodes_per_env,
                observers=counts,
            )
        )
    finally:
        evaluator.close()
    notes = [str(count) for count in counts]
    if cut := sum(episode.is_cut for episode in episodes):
        notes.append(f"{cut} of {len(episodes)} episodes were cut; max_episode_steps=N sets where")
    return Outcome(episodes, rules, [*notes, *notes_on_returns(factory.spec)])


def notes_on_returns(spec: EnvironmentSpec) -> list[str]:
    """Return what has to be known of an environment's returns, whoever plays."""
    return [of_both_sides("a return")] if spec.zero_sum_turns else []


def summed_up(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Return what the returns of episodes come to, as JSON has it."""
    returns = np.array([episode.episode_return for episode in episodes])
    return {
        "iqm": float(interquartile_mean(returns)),
        "interval": list(stratified_bootstrap_interval(returns)),
        "mean": float(returns.mean()),
        "std": float(returns.std()),
        "min": float(returns.min()),
        "median": float(np.median(returns)),
        "max": float(returns.max()),
    }


def test_seed(run: FinishedRun) -> int:
    """Return the seed of a run's own test."""
    config = run.config()
    given = OmegaConf.select(config, "data.evaluation.seed")
    return EvaluationConfig(seed=given).episode_seed(config.seed, "test")

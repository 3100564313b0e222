"""Tables learn what value iteration computes: each experiment as shipped, held to exact values."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl

from lightning_dqn.environments.tabular import TabularVectorEnv
from lightning_dqn.environments.value_iteration import (
    TabularMDP,
    from_gymnasium,
    policy_value,
    solve,
)
from lightning_dqn.runs.build import build
from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.experiment import Experiment, prepare

# experiment: steps that a policy is judged over, the largest gap to the best policy from the start
# states, the largest root mean square error of the values of states seen. All undiscounted returns.
ASKED: dict[str, tuple[int, float, float]] = {
    "frozen_lake": (100, 0.02, 0.06),
    "taxi": (200, 0.05, 2.0),
    "torus": (50, 0.5, 1.5),
    "gambler": (3_000, 0.01, 0.03),
}


def process(experiment: Experiment) -> TabularMDP:
    """Return what the experiment's environment is as a table."""
    environment: Any = experiment.data.environment.make(1)
    gamma = float(experiment.config.data.replay.gamma)
    if isinstance(environment, TabularVectorEnv):
        return environment.mdp(gamma)
    masks = experiment.module.spec.has_action_mask
    return from_gymnasium(environment.envs[0], gamma=gamma, masks=masks)


def undiscounted(mdp: TabularMDP, q_values: np.ndarray, horizon: int) -> float:
    """Return the greedy policy's exact return from the start states."""
    plain = dataclasses.replace(mdp, gamma=1.0)
    return float(mdp.start @ policy_value(plain, mdp.greedy(q_values), horizon=horizon))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, on compiling
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", sorted(ASKED))
def test_an_experiment_learns_the_best_policy_and_its_values(name, seed, make_trainer):
    horizon, largest_gap, largest_error = ASKED[name]
    experiment = prepare(compose([f"+experiment={name}", f"seed={seed}"]))
    config = experiment.config
    trainer: pl.Trainer = make_trainer(
        max_epochs=config.trainer.max_epochs, callbacks=[build(config, "callbacks.target_network")]
    )
    trainer.fit(experiment.module, experiment.data)
    network = experiment.module.q_network
    found = network.weight.detach().double().numpy()
    mdp = process(experiment)
    expected = solve(mdp)
    best, reached = (undiscounted(mdp, q_values, horizon) for q_values in (expected, found))
    cells = network.seen.numpy()[:, None] & mdp.legal
    error = float(np.sqrt(np.square(found - expected)[cells].mean()))
    print(f"{name}, seed {seed}: {reached:.4f} of {best:.4f}, error of the values {error:.4f}")
    assert best - reached <= largest_gap
    assert error <= largest_error

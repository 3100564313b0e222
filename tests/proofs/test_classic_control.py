"""The learning results that the README states, each from its experiment's command.

Slow: `make test-slow`, or one of them with `pytest -m slow -k cartpole`.
"""

from pathlib import Path

import pytest

from lightning_dqn.runs import run as training
from lightning_dqn.runs.compose import compose

# experiment: what the mean return of 100 test episodes must reach, within how many env steps
RESULTS = {
    "cartpole": (495.0, 50_000),
    "acrobot": (-85.0, 100_000),
    "mountain_car": (-101.0, 120_000),
    "lunar_lander": (180.0, 100_000),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("experiment", RESULTS)
def test_an_experiment_reaches_its_result(experiment: str, seed: int, tmp_path: Path) -> None:
    episode_return, env_steps = RESULTS[experiment]
    config = compose([f"+experiment={experiment}", f"seed={seed}"])
    config.run_dir = str(tmp_path)
    summary = training.run(training.prepare(config))
    assert summary.episodes == 100
    assert summary.env_steps <= env_steps
    assert summary.episode_return >= episode_return

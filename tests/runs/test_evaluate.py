"""Episodes by the policy of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from support.short_runs import small_run

from lightning_dqn.commands.evaluate import DEFAULTS
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.evaluate import evaluate
from lightning_dqn.runs.run import Summary


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    folder = tmp_path_factory.mktemp("cartpole") / "run"
    return folder, small_run(folder)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake") / "run"
    small_run(folder, "algorithm=q_learning", "environment.id=FrozenLake-v1", network=None)
    return folder


def options(run: Path, **changed: Any) -> DictConfig:
    """Return the command's defaults with the few episodes of a short run's test."""
    few = {"num_envs": 2, "episodes_per_env": 2}
    return OmegaConf.create({**DEFAULTS, "run": str(run), **few, **changed})


def test_the_test_of_the_run_is_repeated(cartpole: tuple[Path, Summary]) -> None:
    run, summary = cartpole
    returns = evaluate(options(run))
    assert returns.dtype == np.float64
    assert returns.shape == (4,)
    assert returns.mean() == pytest.approx(summary.episode_return)
    assert returns.std() == pytest.approx(summary.episode_return_std)
    assert (evaluate(options(run)) == returns).all()


def test_episodes_are_those_of_the_numbers_the_seed_and_epsilon(
    cartpole: tuple[Path, Summary],
) -> None:
    run, _ = cartpole
    assert evaluate(options(run, num_envs=3, episodes_per_env=4)).shape == (12,)
    first = evaluate(options(run, num_envs=5)).tolist()
    assert evaluate(options(run, num_envs=5, seed=7)).tolist() != first
    assert evaluate(options(run, num_envs=5, epsilon=1.0)).tolist() != first


def test_a_checkpoint_plays_in_place_of_the_best_weights(cartpole: tuple[Path, Summary]) -> None:
    run, _ = cartpole
    best = run / "checkpoints" / "best.ckpt"
    assert (evaluate(options(run, checkpoint=str(best))) == evaluate(options(run))).all()


def test_what_is_no_folder_of_a_run_is_refused(
    tmp_path: Path, cartpole: tuple[Path, Summary]
) -> None:
    with pytest.raises(ConfigError, match=rf"^run={tmp_path}: .*config.yaml is missing, so this"):
        evaluate(options(tmp_path))
    run, _ = cartpole
    with pytest.raises(ValueError, match=r"nowhere\.ckpt: there is no such file"):
        evaluate(options(run, checkpoint="nowhere.ckpt"))


def test_a_checkpoint_of_another_environment_is_refused(
    cartpole: tuple[Path, Summary], lake: Path
) -> None:
    run, _ = cartpole
    other = lake / "checkpoints" / "last.ckpt"
    with pytest.raises(
        ConfigError, match=rf"^checkpoint={other}: observation_shape: .* CartPole-v1 has"
    ):
        evaluate(options(run, checkpoint=str(other)))


def test_a_table_tells_of_states_that_it_never_learned_from(
    lake: Path, cartpole: tuple[Path, Summary], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    returns = evaluate(options(lake))
    assert returns.shape == (4,)
    assert "decisions" in capsys.readouterr().out
    evaluate(options(cartpole[0]))
    assert capsys.readouterr().out == "", "a network of layers has nothing to tell"

"""Episodes by the policy of a finished run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.short_runs import small_run

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.finished.evaluate import evaluate
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.run import Summary
from lightning_dqn.safekeeping.reading import read_checkpoint


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    folder = tmp_path_factory.mktemp("cartpole") / "run"
    return folder, small_run(folder)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake") / "run"
    small_run(folder, "algorithm=q_learning", "environment.id=FrozenLake-v1", network=None)
    return folder


def returns_of(run: Path, **changed: Any) -> np.ndarray:
    """Return those of the few episodes of a short run's test."""
    few = {"num_envs": 2, "episodes_per_env": 2, **changed}
    episodes = evaluate(FinishedRun.find(run), **few).episodes
    return np.array([episode.episode_return for episode in episodes])


def test_the_test_of_the_run_is_repeated(cartpole: tuple[Path, Summary]) -> None:
    run, summary = cartpole
    returns = returns_of(run)
    assert returns.shape == (4,)
    assert returns.mean() == pytest.approx(summary.episode_return)
    assert returns.std() == pytest.approx(summary.episode_return_std)
    assert (returns_of(run) == returns).all()


@pytest.mark.filterwarnings("ignore:.* evaluation episodes were cut")
def test_the_test_of_a_run_is_repeated_by_its_own_rules(tmp_path: Path) -> None:
    """Random actions and a limit of its own: without a word both are as they were."""
    rules = ("data.evaluation.epsilon=1.0", "data.evaluation.max_episode_steps=15")
    summary = small_run(tmp_path / "run", *rules)
    played = evaluate(FinishedRun.find(tmp_path / "run"))
    assert played.rules == (1.0, 15)
    assert len(played.episodes) == summary.episodes
    returns = [episode.episode_return for episode in played.episodes]
    assert np.mean(returns) == pytest.approx(summary.episode_return)
    assert sum(episode.is_cut for episode in played.episodes) == summary.episodes_cut > 0
    greedy = evaluate(FinishedRun.find(tmp_path / "run"), epsilon=0.0, max_episode_steps=None)
    assert greedy.rules == (0.0, None)
    assert not any(episode.is_cut for episode in greedy.episodes)


def test_episodes_are_those_of_the_numbers_the_seed_and_epsilon(
    cartpole: tuple[Path, Summary],
) -> None:
    run, _ = cartpole
    assert returns_of(run, num_envs=3, episodes_per_env=4).shape == (12,)
    first = returns_of(run, num_envs=5).tolist()
    assert returns_of(run, num_envs=5, seed=7).tolist() != first
    assert returns_of(run, num_envs=5, epsilon=1.0).tolist() != first


def test_a_checkpoint_plays_in_place_of_the_best_weights(cartpole: tuple[Path, Summary]) -> None:
    run, _ = cartpole
    best = run / "checkpoints" / "best.ckpt"
    assert (returns_of(best) == returns_of(run)).all()


PAST_SELVES = (
    "environment.id=lightning_dqn/TicTacToe-v0",
    "+environment.kwargs.opponent._target_=lightning_dqn.games.opponents.past_selves.PastSelves",
    "+callbacks/promote_past_self=default",
    "callbacks.promote_past_self.level=0.99",
    "data.evaluation.test_episodes_per_env=20",
)


def test_past_selves_are_those_of_the_run_and_told_of_where_they_are_missing(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    summary = small_run(run, *PAST_SELVES)
    kept = read_checkpoint(run / "checkpoints" / "last.ckpt")["callbacks"]["PromotePastSelf"]
    pool = FinishedRun.find(run).environment().kwargs["opponent"]
    assert len(pool.policies) == len(kept["past_selves"]) > 0
    for policy, weights in zip(pool.policies, kept["past_selves"], strict=True):
        for name, found in policy.network.state_dict().items():
            assert (found == weights[name]).all(), name
    returns = [episode.episode_return for episode in evaluate(FinishedRun.find(run)).episodes]
    assert np.mean(returns) == pytest.approx(summary.episode_return)
    shutil.rmtree(run / "checkpoints")
    with pytest.warns(UserWarning, match="past selves .* aren't here; their moves are random"):
        assert not FinishedRun.find(run).environment().kwargs["opponent"].policies


def test_returns_of_self_play_are_said_to_be_of_both_sides(tmp_path: Path) -> None:
    own = ("environment.id=lightning_dqn/TicTacToe-v0", "data.replay.gamma=-0.9")
    small_run(tmp_path / "run", *own)
    [note] = evaluate(FinishedRun.find(tmp_path / "run")).notes
    assert note.startswith("in self-play a return is the sum of both sides' rewards")


def test_a_number_out_of_range_is_refused(cartpole: tuple[Path, Summary]) -> None:
    with pytest.raises(ConfigError, match=r"^num_envs=0: at least 1"):
        returns_of(cartpole[0], num_envs=0)


def test_a_checkpoint_of_another_environment_is_refused(
    cartpole: tuple[Path, Summary], lake: Path, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(cartpole[0], mixed)
    other = mixed / "checkpoints" / "other.ckpt"
    shutil.copy(lake / "checkpoints" / "last.ckpt", other)
    with pytest.raises(ConfigError, match=rf"^run={other}: observation_shape: .* CartPole-v1 has"):
        returns_of(other)


def test_a_table_tells_of_states_that_it_never_learned_from(
    lake: Path, cartpole: tuple[Path, Summary]
) -> None:
    few = {"num_envs": 2, "episodes_per_env": 2}
    episodes, _, notes = evaluate(FinishedRun.find(lake), **few)
    assert len(episodes) == 4
    assert "decisions" in notes[0]
    notes = evaluate(FinishedRun.find(cartpole[0]), **few).notes
    assert notes == [], "a network of layers has nothing to tell"


def test_a_run_is_played_in_the_environment_that_it_was_evaluated_in(tmp_path: Path) -> None:
    run = tmp_path / "run"
    small_run(
        run,
        "+data.evaluation.environment._target_=lightning_dqn.environments.factory.EnvironmentFactory",
        "+data.evaluation.environment.id=CartPole-v1",
        "+data.evaluation.environment.kwargs.max_episode_steps=5",
    )
    assert returns_of(run).tolist() == [5.0] * 4

"""A large ring beside its checkpoints: written as it grows, put back, and tidied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.resumed_runs import differences_of_broken_run, fit

from lightning_dqn import DQN, CollectionConfig, EvaluationConfig, ReplayConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.replay import archive
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.safekeeping.reading import read_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*evaluation episodes were cut")


@pytest.fixture(autouse=True)
def every_ring_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES_INSIDE", 0)


def parts(capacity: int = 200) -> Any:
    environment = EnvironmentFactory("CartPole-v1", num_envs=4)
    module = DQN(environment, network=MLP(hidden=[8]), compile=False)
    data = ReplayDataModule(
        environment,
        batch_size=8,
        updates_per_iteration=2,
        env_steps_per_iteration=16,
        env_steps_per_epoch=128,
        sampler=PrioritizedSampling(),
        replay=ReplayConfig(capacity=capacity, n_step=2),
        collection=CollectionConfig(warmup_env_steps=40),
        evaluation=EvaluationConfig(num_envs=2, max_episode_steps=30),
    )
    return module, data, [EMATargetNetwork(tau=0.1)]


@pytest.mark.parametrize("iteration", [1, 11, 21], ids=["filling", "full", "wrapped"])
def test_a_run_goes_on_with_its_segments_as_if_never_stopped(
    iteration: int, tmp_path: Path
) -> None:
    assert differences_of_broken_run(parts, tmp_path, epochs=3, iteration=iteration) == []
    assert list((tmp_path / "broken" / "replay").glob("segment_*.bin"))


def test_the_rows_lie_beside_the_checkpoint_not_in_it(tmp_path: Path) -> None:
    fit(parts, tmp_path, epochs=3, seed=1, iteration=5)
    state = read_checkpoint(tmp_path / "last.ckpt")["ReplayDataModule"]["replay"]
    assert "rows" not in state
    files = {path.name for path in (tmp_path / "replay").iterdir()}
    assert {segment["file"] for segment in state["segments"]} == files


def test_a_save_writes_what_is_new_and_old_rows_go(tmp_path: Path) -> None:
    folder = tmp_path / "replay"
    fit(parts, tmp_path, epochs=9, seed=1, iteration=5)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    for iteration in (10, 15, 20, 25, 30, 40, 50):
        fit(parts, tmp_path, epochs=9, seed=1, resume=True, iteration=iteration)
        now = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
        kept = before.keys() & now.keys()
        assert all(before[name] == now[name] for name in kept)
        assert now.keys() - before.keys()
        before = now
    times = [int(name.split("_")[2]) for name in before]
    newest = read_checkpoint(tmp_path / "last.ckpt")["ReplayDataModule"]["replay"]["total_times"]
    assert min(times) > newest - 200  # the ring holds 50 times, four saves are kept


def test_without_its_segments_a_run_fills_the_ring_anew_and_says_so(tmp_path: Path) -> None:
    fit(parts, tmp_path, epochs=3, seed=1, iteration=11)
    for path in (tmp_path / "replay").iterdir():
        path.unlink()
    with pytest.warns(UserWarning, match=r"segment_.*can't be read.*; the replay ring is filled"):
        again = fit(parts, tmp_path, epochs=3, seed=1, resume=True)
    assert not again.is_stopped
    steps = [step for step, _ in again.rows if step is not None]
    assert steps == sorted(steps)

"""A large ring beside its checkpoints: written as it grows, put back, and tidied."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest
from support.counted_ring import CountedRing
from support.resumed_runs import differences_of_broken_run, fit

from lightning_dqn import DQN, CollectionConfig, EvaluationConfig, ReplayConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.replay import archive
from lightning_dqn.replay.archive import KEPT_SAVES, RingArchive
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.replay.segments import Segment
from lightning_dqn.safekeeping import checkpoint_files
from lightning_dqn.safekeeping.checkpoint_files import SafeCheckpointIO
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


class Saved:
    """A ring of 9 times, of which checkpoints are saved in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ring, self.files = folder, CountedRing(9), SafeCheckpointIO()
        self.archive = RingArchive(cast(Any, self.ring), "data")
        self.archive.join(self.files)

    @classmethod
    def from_checkpoint(cls, folder: Path, name: str) -> Saved:
        """Return another ring, which goes on from a checkpoint."""
        saved = cls(folder)
        state = read_checkpoint(folder / name)["data"]["replay"]
        assert saved.archive.load(state, folder)
        return saved

    def save(self, name: str, num_new: int = 0) -> list[Segment]:
        """Return the segments that a checkpoint names."""
        self.ring.collect(num_new)
        state: dict[str, Any] = {"total_times": self.ring.total_times}
        self.files.save_checkpoint({"data": {"replay": state}}, self.folder / name)
        return cast(list[Segment], state["segments"])

    def has_rows_of(self, name: str) -> bool:
        """Tell whether all segments that a checkpoint names are there."""
        segments = read_checkpoint(self.folder / name)["data"]["replay"]["segments"]
        folder = (self.folder / name).parent / "replay"
        return all((folder / one["file"]).is_file() for one in segments)


def test_whatever_else_is_saved_the_last_checkpoint_keeps_its_rows(tmp_path: Path) -> None:
    saved = Saved(tmp_path)
    for _ in range(3):
        saved.save("last.ckpt", 4)
    for number in range(9):  # as by a key
        saved.save(f"{number}.ckpt", 4)
    for name in ("last", "last.previous", *range(9 - KEPT_SAVES, 9)):
        assert saved.has_rows_of(f"{name}.ckpt"), name
    assert not saved.has_rows_of("0.ckpt"), "of the others the newest alone"


def test_each_folder_of_checkpoints_has_segments_of_its_own(tmp_path: Path) -> None:
    saved = Saved(tmp_path)
    saved.save("a/last.ckpt", 9)
    for number in range(KEPT_SAVES + 1):
        before = saved.ring.total_times
        new = saved.save(f"b/{number}.ckpt", 1)[-1]
        assert (new["first_time"], new["end_time"]) == (before if number else 1, before + 1)
    for number in range(2 * KEPT_SAVES):
        saved.save(f"a/{number}.ckpt", 1)
        saved.save("b/last.ckpt", 1)
    for name in ("a/last", "b/last", "b/last.previous", f"a/{KEPT_SAVES}"):
        assert saved.has_rows_of(f"{name}.ckpt"), name
    assert not saved.has_rows_of("b/0.ckpt")


@pytest.mark.parametrize("saves", [1, KEPT_SAVES + 1])
def test_the_checkpoint_that_a_run_goes_on_from_keeps_its_rows(saves: int, tmp_path: Path) -> None:
    Saved(tmp_path).save("last.ckpt", 9)
    continued = Saved.from_checkpoint(tmp_path, "last.ckpt")
    for number in range(saves):
        continued.save(f"{number}.ckpt", 9)
    assert continued.has_rows_of("last.ckpt")


def test_it_keeps_them_as_one_of_the_newest_too(tmp_path: Path) -> None:
    Saved(tmp_path).save("best.ckpt", 9)
    continued = Saved.from_checkpoint(tmp_path, "best.ckpt")
    for _ in range(KEPT_SAVES - 1):
        continued.save("last.ckpt", 9)
    assert continued.has_rows_of("best.ckpt")


def test_saves_that_fail_take_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = Saved(tmp_path)
    for name in ("best.ckpt", "last.ckpt"):
        saved.save(name, 4)
    with monkeypatch.context() as full:
        full.setattr(checkpoint_files, "_write", Mock(side_effect=OSError(errno.ENOSPC, "full")))
        for _ in range(KEPT_SAVES):
            with pytest.raises(OSError, match="full"):
                saved.save("last.ckpt", 3)
    saved.save("best.ckpt", 3)
    for name in ("best", "best.previous", "last"):
        assert saved.has_rows_of(f"{name}.ckpt"), name


def test_without_its_segments_a_run_fills_the_ring_anew_and_says_so(tmp_path: Path) -> None:
    fit(parts, tmp_path, epochs=3, seed=1, iteration=11)
    for path in (tmp_path / "replay").iterdir():
        path.unlink()
    with pytest.warns(UserWarning, match=r"segment_.*can't be read.*; the replay ring is filled"):
        again = fit(parts, tmp_path, epochs=3, seed=1, resume=True)
    assert not again.is_stopped
    steps = [step for step, _ in again.rows if step is not None]
    assert steps == sorted(steps)

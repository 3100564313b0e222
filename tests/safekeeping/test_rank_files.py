"""Each rank finds its own again, of the moment that the checkpoint is of."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytorch_lightning.trainer.states import TrainerFn, TrainerStatus
from support.threaded_ranks import in_ranks

from lightning_dqn.safekeeping import checkpoint_files
from lightning_dqn.safekeeping.checkpoint_files import SafeCheckpointIO
from lightning_dqn.safekeeping.failures import MOST_IN_A_ROW, CheckpointsFailed, Failures
from lightning_dqn.safekeeping.rank_files import KEY, folder_of, own_files, share_files
from lightning_dqn.safekeeping.reading import read_checkpoint
from lightning_dqn.system.faults import DamagedCheckpoint
from lightning_dqn.system.ranks import Ranks


class Strategy:
    """Saves as Lightning's do: the first rank alone."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks, self.checkpoint_io = ranks, SafeCheckpointIO()

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        if self.ranks.is_first:
            self.checkpoint_io.save_checkpoint(checkpoint, path, storage_options)

    def load_checkpoint(self, path: Any, weights_only: bool | None = None) -> Any:
        return self.checkpoint_io.load_checkpoint(path, weights_only=weights_only)

    def remove_checkpoint(self, path: Any) -> None:
        if self.ranks.is_first:
            self.checkpoint_io.remove_checkpoint(path)


def trainer_of(ranks: Ranks, stage: str = "fit") -> Any:
    """Return what stands for a Trainer whose files are shared."""
    strategy = Strategy(ranks)
    trainer: Any = SimpleNamespace(
        strategy=strategy, state=SimpleNamespace(fn=stage), checkpoint_callbacks=[]
    )
    share_files(trainer, ranks, strategy.checkpoint_io, "data")
    share_files(trainer, ranks, strategy.checkpoint_io, "data")  # as a test after a fit does
    return trainer


def state(ranks: Ranks, number: int) -> dict[str, Any]:
    return {"data": {"rank": ranks.rank, "number": number}, "dqn": {"r": ranks.rank}, "w": number}


def loaded(path: Path, ranks: Ranks, stage: str = "fit") -> Any:
    found = trainer_of(ranks, stage).strategy.load_checkpoint(path)
    return found["data"]["rank"], found["data"]["number"], found["dqn"]["r"], found["w"]


def save(path: Path, ranks: Ranks, *numbers: int) -> None:
    strategy = trainer_of(ranks).strategy
    for number in numbers:
        strategy.save_checkpoint(state(ranks, number), path)


def test_each_rank_gets_its_own_state_back(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    in_ranks(3, lambda ranks: save(path, ranks, 1))
    assert in_ranks(3, lambda ranks: loaded(path, ranks)) == [(r, 1, r, 1) for r in range(3)]
    assert not (tmp_path / "rank0").exists()


def test_a_second_fit_with_a_data_module_of_another_class_saves_its_state(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"

    def fitted_twice(ranks: Ranks) -> None:
        trainer = trainer_of(ranks)
        share_files(trainer, ranks, trainer.strategy.checkpoint_io, "other")
        checkpoint = {**state(ranks, 1), "other": ranks.rank}
        del checkpoint["data"]
        trainer.strategy.save_checkpoint(checkpoint, path)

    in_ranks(2, fitted_twice)
    [own] = own_files(path, 1)
    assert read_checkpoint(own)["other"] == 1


def test_a_test_takes_what_the_first_rank_has(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    in_ranks(2, lambda ranks: save(path, ranks, 1))
    assert in_ranks(2, lambda ranks: loaded(path, ranks, "test"))[1] == (0, 1, 0, 1)


def test_what_the_two_generations_name_is_kept_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    in_ranks(2, lambda ranks: save(path, ranks, 1, 2, 3))
    assert len(own_files(path, 1)) == 2
    path.write_bytes(path.read_bytes()[:-100])  # damaged: the generation before is taken
    with pytest.warns(UserWarning, match="the one before it"):
        found = in_ranks(2, lambda ranks: loaded(path, ranks))
    assert found == [(0, 2, 0, 2), (1, 2, 1, 2)]


@pytest.mark.parametrize("is_gone", [True, False])
def test_where_one_rank_cannot_read_its_own_all_take_the_generation_before(
    is_gone: bool, tmp_path: Path
) -> None:
    path = tmp_path / "last.ckpt"
    in_ranks(3, lambda ranks: save(path, ranks, 1, 2))
    [older, newest] = sorted(own_files(path, 2), key=lambda file: file.stat().st_mtime_ns)

    def spoil(file: Path) -> None:
        file.unlink() if is_gone else file.write_bytes(file.read_bytes()[:-100])

    spoil(newest)
    told = rf"{newest.name}: .* \(rank 2\); the one before it, last\.previous\.ckpt, is taken"
    with pytest.warns(UserWarning, match=told):
        found = in_ranks(3, lambda ranks: loaded(path, ranks))
    assert found == [(rank, 1, rank, 1) for rank in range(3)]
    spoil(older)

    def refused(ranks: Ranks) -> str:
        with pytest.raises(DamagedCheckpoint) as error:
            loaded(path, ranks)
        return str(error.value)

    assert all(text.endswith("(rank 2)") for text in in_ranks(3, refused)), "one line in each"


def test_a_save_that_is_broken_off_changes_nothing_for_the_checkpoint_that_is_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "last.ckpt"
    in_ranks(2, lambda ranks: save(path, ranks, 1))
    whole = path.read_bytes()
    in_ranks(2, lambda ranks: save(path, ranks, 2))
    path.write_bytes(whole)  # as if the first rank had been killed before it wrote
    assert in_ranks(2, lambda ranks: loaded(path, ranks)) == [(0, 1, 0, 1), (1, 1, 1, 1)]


class FullDisk:
    """A disk that has no room for what one of the ranks writes, while there is one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rank: int | None = None
        self._write = checkpoint_files._write
        monkeypatch.setattr(checkpoint_files, "_write", self._write_or_fail)

    def _write_or_fail(self, checkpoint: dict[str, Any], path: Path) -> None:
        if self.rank is not None and path.parent.name == ("checkpoints", "rank1")[self.rank]:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._write(checkpoint, path)

    def fill(self, rank: int, ranks: Ranks) -> None:
        """Have no more room for one of them, when all have come here."""
        ranks.first_ones(None)
        self.rank = rank
        ranks.first_ones(None)


def learning(ranks: Ranks) -> Any:
    """Return what stands for a Trainer that goes on where a checkpoint can't be written."""
    trainer = trainer_of(ranks)
    trainer.state = SimpleNamespace(fn=TrainerFn.FITTING, status=TrainerStatus.RUNNING)
    trainer.loggers, trainer.global_step, trainer.lightning_module = [], 0, None
    trainer.strategy.checkpoint_io.failures = Failures(trainer)
    return trainer


@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_rank_cannot_write_leaves_both_generations_of_all(
    rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, disk = tmp_path / "checkpoints" / "last.ckpt", FullDisk(monkeypatch)

    def act(ranks: Ranks) -> int:
        strategy = learning(ranks).strategy
        for number in (1, 2, 3, 4):
            if number == 3:
                disk.fill(rank, ranks)
            strategy.save_checkpoint(state(ranks, number), path)
        strategy.remove_checkpoint(path)  # for the one that failed, so that it stays
        return strategy.checkpoint_io.failures.total

    with pytest.warns(UserWarning, match=rf"No space left on device \(rank {rank}\); the run"):
        assert in_ranks(3, act) == [2, 2, 2]
    assert in_ranks(3, lambda ranks: loaded(path, ranks)) == [(r, 2, r, 2) for r in range(3)]
    assert [len(own_files(path, r)) for r in range(3)] == [0, 2, 2]
    path.unlink()
    with pytest.warns(UserWarning, match="the one before it"):
        found = in_ranks(3, lambda ranks: loaded(path, ranks))
    assert found == [(r, 1, r, 1) for r in range(3)]


@pytest.mark.filterwarnings("ignore:.*the run continues")
@pytest.mark.parametrize("rank", [0, 1])
def test_too_many_failures_of_one_rank_end_all(
    rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, disk = tmp_path / "checkpoints" / "last.ckpt", FullDisk(monkeypatch)

    def act(ranks: Ranks) -> str:
        strategy = learning(ranks).strategy
        disk.fill(rank, ranks)
        for number in range(MOST_IN_A_ROW - 1):
            strategy.save_checkpoint(state(ranks, number), path)
        with pytest.raises(CheckpointsFailed) as failed:
            strategy.save_checkpoint(state(ranks, MOST_IN_A_ROW), path)
        return str(failed.value)

    told = in_ranks(2, act)
    assert told[0] == told[1]
    assert f"(rank {rank}); that is {MOST_IN_A_ROW} in a row" in told[0]


def test_a_removed_checkpoint_takes_along_what_it_names(tmp_path: Path) -> None:
    path, other = tmp_path / "best.ckpt", tmp_path / "best-v1.ckpt"

    def act(ranks: Ranks) -> None:
        strategy = trainer_of(ranks).strategy
        strategy.save_checkpoint(state(ranks, 1), path)
        strategy.save_checkpoint(state(ranks, 1), other)
        strategy.remove_checkpoint(path)

    in_ranks(2, act)
    assert not path.exists()
    assert own_files(path, 1) == []
    assert len(own_files(other, 1)) == 1


def test_weights_alone_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.ckpt"
    in_ranks(2, lambda ranks: trainer_of(ranks).strategy.save_checkpoint({"w": 1}, path))
    assert KEY not in SafeCheckpointIO().load_checkpoint(path)
    assert not folder_of(path, 1).exists()


def test_other_ways_to_write_are_refused() -> None:
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(checkpoint_io=object()))
    with pytest.raises(ValueError, match="plugins=object: several ranks save"):
        share_files(trainer, Ranks(2), None, "data")
    with pytest.raises(ValueError, match=r"memory://bucket/a.ckpt: several ranks save"):
        trainer_of(Ranks(2)).strategy.save_checkpoint({}, "memory://bucket/a.ckpt")

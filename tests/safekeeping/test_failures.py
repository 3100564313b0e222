"""Which errors of a save a run may outlive."""

from __future__ import annotations

import errno

import pytest
from pytorch_lightning.trainer.states import TrainerFn, TrainerStatus

from lightning_dqn.safekeeping.failures import CheckpointsFailed, Failures, reason_of


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT", "EIO", "EACCES", "EROFS"])
def test_an_error_of_the_disk_is_told_by_its_reason(number):
    code = getattr(errno, number)
    assert reason_of(OSError(code, "the reason")) == "the reason"
    assert reason_of(OSError("in words alone")) == "in words alone"


def test_torchs_complaint_is_told_by_its_cause():
    error = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos\nmore")
    assert reason_of(error) == "[enforce fail at inline_container.cc:672] . unexpected pos"
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert reason_of(error) == "No space left on device"


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), ValueError("inline")])
def test_other_errors_end_the_run(error):
    assert reason_of(error) is None


@pytest.mark.parametrize("function", [TrainerFn.TESTING, TrainerFn.VALIDATING, None])
def test_where_nothing_is_learned_a_failure_is_an_error(function, make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.state.fn, trainer.state.status = function, TrainerStatus.RUNNING
    with pytest.raises(CheckpointsFailed, match=r"a\.ckpt: .* written: No space left"):
        Failures(trainer).count(tmp_path / "a.ckpt", "No space left")
